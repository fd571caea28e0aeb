/* SPDX-License-Identifier: Apache-2.0
 *
 * Events. Made by the hub, dropped by whoever is last.
 */
#include <stdlib.h>
#include <string.h>

#include "rs_event.h"

static int is_within(rs_text_t text, rs_text_t frame)
{
    return text.data >= frame.data && text.data + text.len <= frame.data + frame.len;
}

/* Where the text stands in the bytes: in the frame, or put at *end. */
static apr_uint32_t put(char *bytes, size_t *end, rs_text_t text, rs_text_t frame)
{
    size_t at = *end;

    if (is_within(text, frame)) {
        return (apr_uint32_t)(text.data - frame.data);
    }
    if (text.len) {
        memcpy(bytes + at, text.data, text.len);
        *end += text.len;
    }
    return (apr_uint32_t)at;
}

rs_event_t *rs_event_create(const rs_event_parts_t *parts)
{
    int npos = parts->cursor && parts->cursor->n > 1 ? parts->cursor->n : 0;
    size_t size = parts->frame.len + parts->user.len, end = size;
    rs_event_t *e;
    char *bytes;

    size += is_within(parts->type, parts->frame) ? 0 : parts->type.len;
    size += is_within(parts->data, parts->frame) ? 0 : parts->data.len;
    e = malloc(sizeof(*e) + (size_t)npos * sizeof(rs_id_t) + size);
    if (!e) {
        return NULL;
    }
    memset(e, 0, sizeof(*e));
    e->refs = 1;
    e->id = parts->id;
    e->stream = (apr_uint16_t)parts->stream;
    e->wire = (unsigned char)parts->wire;
    e->notice = (unsigned char)parts->notice;
    e->npos = (unsigned char)npos;
    if (npos) {
        memcpy(e->pos, parts->cursor->pos, (size_t)npos * sizeof(rs_id_t));
    }
    bytes = (char *)(e->pos + npos);
    e->len = (apr_uint32_t)parts->frame.len;
    e->place = parts->place;
    memcpy(bytes, parts->frame.data, parts->frame.len);
    e->user_len = (apr_uint16_t)parts->user.len;
    if (parts->user.len) {
        memcpy(bytes + e->len, parts->user.data, parts->user.len);
    }
    e->type_len = (apr_uint16_t)parts->type.len;
    e->type = put(bytes, &end, parts->type, parts->frame);
    e->data_len = (apr_uint32_t)parts->data.len;
    e->data = put(bytes, &end, parts->data, parts->frame);
    return e;
}

void rs_event_drop(rs_event_t *e)
{
    rs_frame_t *frame;

    if (e && __atomic_fetch_sub(&e->refs, 1, __ATOMIC_ACQ_REL) == 1) {
        while ((frame = e->more)) {
            e->more = frame->next;
            free(frame);
        }
        free(e);
    }
}

static const rs_frame_t *find(const rs_frame_t *frame, int wire)
{
    while (frame && frame->wire != wire) {
        frame = frame->next;
    }
    return frame;
}

rs_text_t rs_event_frame(const rs_event_t *e, int wire, rs_id_place_t *place)
{
    const rs_frame_t *frame;

    if (e->wire == wire) {
        *place = e->place;
        return (rs_text_t){rs_event_bytes(e), e->len};
    }
    frame = find(__atomic_load_n(&e->more, __ATOMIC_ACQUIRE), wire);
    if (!frame) {
        return (rs_text_t){NULL, 0};
    }
    *place = frame->place;
    return (rs_text_t){frame->bytes, frame->len};
}

int rs_event_add_frame(rs_event_t *e, int wire, rs_text_t bytes, rs_id_place_t place)
{
    rs_frame_t *frame = malloc(sizeof(*frame) + bytes.len);

    if (!frame) {
        return 0;
    }
    frame->next = __atomic_load_n(&e->more, __ATOMIC_ACQUIRE);
    frame->wire = wire;
    frame->len = (apr_uint32_t)bytes.len;
    frame->place = place;
    memcpy(frame->bytes, bytes.data, bytes.len);
    do {
        if (find(frame->next, wire)) {
            free(frame);
            return 1;
        }
    } while (!__atomic_compare_exchange_n(&e->more, &frame->next, frame, 0, __ATOMIC_ACQ_REL,
                                          __ATOMIC_ACQUIRE));
    return 1;
}

int rs_event_cursor(const rs_event_t *e, rs_cursor_t *cursor)
{
    if (cursor->n != (e->npos ? e->npos : 1)) {
        return 0;
    }
    memcpy(cursor->pos, e->npos ? e->pos : &e->id, (size_t)cursor->n * sizeof(rs_id_t));
    return 1;
}
