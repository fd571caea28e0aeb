/* SPDX-License-Identifier: Apache-2.0
 *
 * An event: an entry of a stream (its type, data and user) and the bytes in which readers get it,
 * its frames. Never changed, shared by all its readers. The frame of the wire that it was made for
 * stands in the same allocation, and holds the entry's texts where it has them as they are; frames
 * of other wires are added when the first reader needs them, and stay. An atomic count of
 * references. The hub makes events, any thread takes, drops and adds frames.
 */
#ifndef RS_EVENT_H
#define RS_EVENT_H

#include "../proto/rs_cursor.h"

typedef struct {
    const char *data;
    size_t len;
} rs_text_t;

/* Where in a frame its id stands: a reader with a position of its own gets other bytes there. */
typedef struct {
    apr_uint32_t head, tail;
} rs_id_place_t;

/* One more frame. */
typedef struct rs_frame_t rs_frame_t;
struct rs_frame_t {
    rs_frame_t *next; /* of the same event */
    int wire;
    apr_uint32_t len;
    rs_id_place_t place;
    char bytes[];
};

typedef enum {
    RS_NOTICE_NONE,
    RS_NOTICE_TOO_BIG, /* the entry is not sent: its readers are told so */
    RS_NOTICE_GAP      /* entries are missing up to here, which concerns everybody: no type */
} rs_notice_t;

struct rs_event_t {
    unsigned refs;         /* atomic */
    unsigned pins;         /* atomic: clients that have begun it and not finished */
    rs_frame_t *more;      /* atomic: frames of other wires */
    rs_id_t id;            /* of the entry */
    apr_uint32_t appended; /* the topic's: milliseconds, wraps */
    apr_uint32_t len;      /* of the first frame, with which the bytes begin; the user follows */
    rs_id_place_t place;
    apr_uint32_t type, data, data_len; /* where those stand in the bytes */
    apr_uint16_t type_len;
    apr_uint16_t user_len; /* 0: for all users of the tenant */
    apr_uint16_t stream;   /* index in its source */
    unsigned char wire;    /* of the first frame */
    unsigned char notice;
    unsigned char
        npos;      /* 0: of one stream, `id` is the position; else positions of all come next */
    rs_id_t pos[]; /* and then the bytes */
};

/* What an event is made of. type and data may point into the frame. */
typedef struct {
    rs_id_t id;
    int stream;
    const rs_cursor_t *cursor; /* the topic's position after it; NULL: `id` */
    int wire;
    rs_text_t frame, type, data, user;
    rs_id_place_t place;
    rs_notice_t notice;
} rs_event_parts_t;

/* With one reference, or NULL when memory is short. */
rs_event_t *rs_event_create(const rs_event_parts_t *parts);

static inline rs_event_t *rs_event_take(rs_event_t *e)
{
    __atomic_fetch_add(&e->refs, 1, __ATOMIC_RELAXED);
    return e;
}

void rs_event_drop(rs_event_t *e);

static inline const char *rs_event_bytes(const rs_event_t *e)
{
    return (const char *)(e->pos + e->npos);
}

static inline rs_text_t rs_event_type(const rs_event_t *e)
{
    return (rs_text_t){rs_event_bytes(e) + e->type, e->type_len};
}

static inline rs_text_t rs_event_data(const rs_event_t *e)
{
    return (rs_text_t){rs_event_bytes(e) + e->data, e->data_len};
}

static inline rs_text_t rs_event_user(const rs_event_t *e)
{
    return (rs_text_t){rs_event_bytes(e) + e->len, e->user_len};
}

/* Its frame for this wire; data NULL: that was not made yet. */
rs_text_t rs_event_frame(const rs_event_t *e, int wire, rs_id_place_t *place);

/* Adds a frame, unless another thread did meanwhile. 0 when memory is short. */
int rs_event_add_frame(rs_event_t *e, int wire, rs_text_t bytes, rs_id_place_t place);

/* The topic's position after the event. `cursor` says of how many streams; 0: it is not of so many.
 */
int rs_event_cursor(const rs_event_t *e, rs_cursor_t *cursor);

/* What it counts for against RaglineCache: with its first frame. */
static inline size_t rs_event_cost(const rs_event_t *e)
{
    return sizeof(*e) + e->npos * sizeof(rs_id_t) + e->len + e->user_len + 2 * sizeof(void *);
}

#endif
