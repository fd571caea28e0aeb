/* SPDX-License-Identifier: Apache-2.0
 *
 * An event as it goes out: framed once, never changed, shared by all its readers. One allocation,
 * an atomic count of references. The hub makes them, any thread takes and drops.
 */
#ifndef RS_EVENT_H
#define RS_EVENT_H

#include "../proto/rs_cursor.h"

struct rs_event_t {
    unsigned refs;       /* atomic */
    apr_uint16_t stream; /* index in its source */
    apr_uint16_t type_len;
    apr_uint16_t user_len; /* 0: for all users of the tenant */
    apr_uint16_t notice;   /* it tells that an entry is not sent: the frame's type is another one;
                            * type_len 0: that some are missing, which concerns everybody */
    apr_uint32_t head;     /* where the id line starts in `frame` */
    apr_uint32_t tail;     /* and where it ends */
    apr_uint32_t appended; /* the topic's: milliseconds, wraps */
    unsigned pins;         /* atomic: clients that have begun it and not finished */
    apr_uint32_t len;      /* of the frame; the user's name follows it, then a notice's type */
    rs_id_t id;
    char frame[];
};

#define RS_EVENT_USER(e) ((e)->frame + (e)->len)

/* The entry's type, by which endpoints choose: it stands in the frame, after "event: ". */
#define RS_EVENT_TYPE(e) ((e)->notice ? RS_EVENT_USER(e) + (e)->user_len : (e)->frame + 7)

/* With one reference, or NULL when memory is short. frame NULL: the caller fills it in. */
rs_event_t *rs_event_create(apr_uint16_t stream, rs_id_t id, const char *frame, size_t len,
                            const char *user, size_t user_len);

static inline rs_event_t *rs_event_take(rs_event_t *e)
{
    __atomic_fetch_add(&e->refs, 1, __ATOMIC_RELAXED);
    return e;
}

void rs_event_drop(rs_event_t *e);

/* The cursor in the frame's id line: the topic's position after the event. n and keys of `cursor`
 * say what is expected; 0 when it is not that. */
int rs_event_cursor(const rs_event_t *e, rs_cursor_t *cursor);

/* What it counts for against RaglineCache. */
static inline size_t rs_event_cost(const rs_event_t *e)
{
    return sizeof(*e) + e->len + e->user_len + 2 * sizeof(void *);
}

#endif
