/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames of events. The first one is made by the hub, with the event; one for another wire by the
 * thread that comes first.
 */
#include <string.h>

#include "rs_frames.h"

/* An event's first frame is one of SSE, which begins with its type, has its data before the id's
 * line, and one byte behind either. */
#define BEFORE_TYPE 7
#define BEHIND_DATA 1

static const char *reason_of(rs_notice_t notice)
{
    return notice == RS_NOTICE_TOO_BIG ? "too_big" : "trimmed";
}

/* Appends the frame; returns the event's place in it. */
static rs_id_place_t frame(rs_buf_t *b, const rs_wire_t *wire, rs_notice_t notice, rs_text_t type,
                           rs_text_t data, const char *id, size_t id_len)
{
    static const char reset[] = "reset";
    size_t head = 0, tail = 0;

    if (notice == RS_NOTICE_NONE) {
        wire->event(b, type.data, type.len, id, id_len, data.data, data.len, &head, &tail);
    }
    else if (wire->notice) {
        wire->notice(b, reason_of(notice), id, id_len, &head, &tail);
    }
    else {
        rs_buf_t said = RS_BUF_INIT;

        rs_said_reset(&said, NULL, reason_of(notice), NULL);
        b->broken |= !rs_buf_ok(&said);
        if (rs_buf_ok(b)) {
            wire->event(b, reset, sizeof(reset) - 1, id, id_len, said.data, said.len, &head, &tail);
        }
        rs_buf_free(&said);
    }
    return (rs_id_place_t){(apr_uint32_t)head, (apr_uint32_t)tail};
}

/* The data where the frame has it as it is, else as it came. */
static rs_text_t data_in_frame(rs_text_t bytes, rs_id_place_t place, rs_text_t data)
{
    if (place.head >= BEHIND_DATA + data.len) {
        const char *at = bytes.data + place.head - BEHIND_DATA - data.len;

        if (memcmp(at, data.data, data.len) == 0) {
            data.data = at;
        }
    }
    return data;
}

static rs_text_t type_in_frame(rs_text_t bytes, rs_text_t type)
{
    if (bytes.len >= BEFORE_TYPE + type.len
        && memcmp(bytes.data + BEFORE_TYPE, type.data, type.len) == 0) {
        type.data = bytes.data + BEFORE_TYPE;
    }
    return type;
}

static rs_event_t *make(rs_buf_t *b, rs_event_parts_t *parts)
{
    const rs_wire_t *wire = rs_wires[0];
    char text[RS_CURSOR_LEN];
    size_t len = rs_cursor_format(text, parts->cursor);

    rs_buf_clear(b);
    parts->wire = wire->frames;
    parts->place = frame(b, wire, parts->notice, parts->type, parts->data, text, len);
    if (!rs_buf_ok(b)) {
        return NULL;
    }
    parts->frame = (rs_text_t){b->data, b->len};
    if (parts->notice == RS_NOTICE_NONE) {
        parts->data = data_in_frame(parts->frame, parts->place, parts->data);
        parts->type = type_in_frame(parts->frame, parts->type);
    }
    return rs_event_create(parts);
}

rs_event_t *rs_frames_event(rs_buf_t *scratch, const rs_entry_t *e, int stream, rs_id_t id,
                            const rs_cursor_t *cursor)
{
    rs_event_parts_t parts = {.id = id, .stream = stream, .cursor = cursor};

    parts.type = e->type;
    parts.user = e->user;
    parts.data = e->too_big ? (rs_text_t){"", 0} : e->data;
    parts.notice = e->too_big ? RS_NOTICE_TOO_BIG : RS_NOTICE_NONE;
    return make(scratch, &parts);
}

rs_event_t *rs_frames_gap(rs_buf_t *scratch, int stream, rs_id_t id, const rs_cursor_t *cursor)
{
    rs_event_parts_t parts = {.id = id, .stream = stream, .cursor = cursor};

    parts.type = parts.user = parts.data = (rs_text_t){"", 0};
    parts.notice = RS_NOTICE_GAP;
    return make(scratch, &parts);
}

/* Appends the event's frame, which nobody has made yet. */
static rs_id_place_t another(rs_buf_t *b, const rs_wire_t *wire, const rs_event_t *e,
                             const rs_cursor_tags_t *tags)
{
    char text[RS_CURSOR_LEN];
    rs_cursor_t cursor;

    cursor.n = e->npos ? e->npos : 1;
    cursor.tags = tags;
    rs_event_cursor(e, &cursor);
    return frame(b, wire, (rs_notice_t)e->notice, rs_event_type(e), rs_event_data(e), text,
                 rs_cursor_format(text, &cursor));
}

/* Adds the smaller frame, or one of no bytes: there is none. The other one is not kept for it. */
static void pack(const rs_wire_t *wire, rs_event_t *e, const rs_cursor_tags_t *tags)
{
    static const rs_id_place_t nowhere = {0, 0};
    rs_buf_t made = RS_BUF_INIT, b = RS_BUF_INIT;
    rs_id_place_t place;
    rs_text_t bytes = rs_event_frame(e, wire->plain->frames, &place);

    if (!bytes.data) {
        another(&made, wire->plain, e, tags);
        bytes = (rs_text_t){made.data, made.len};
    }
    if (rs_buf_ok(&made)) {
        if (wire->pack(&b, bytes.data, bytes.len)) {
            rs_event_add_frame(e, wire->frames, (rs_text_t){b.data, b.len}, nowhere);
        }
        else if (rs_buf_ok(&b)) {
            rs_event_add_frame(e, wire->frames, (rs_text_t){"", 0}, nowhere);
        }
    }
    rs_buf_free(&made);
    rs_buf_free(&b);
}

/* Where memory is short nobody gets the other frame instead: it could be in the middle of that when
 * there is a smaller one. */
static rs_text_t packed(const rs_wire_t *wire, rs_event_t *e, const rs_cursor_tags_t *tags)
{
    rs_id_place_t place;
    rs_text_t bytes = rs_event_frame(e, wire->frames, &place);

    if (!bytes.data && rs_event_data(e).len >= wire->pack_min) {
        pack(wire, e, tags);
        bytes = rs_event_frame(e, wire->frames, &place);
        if (!bytes.data) {
            return bytes;
        }
    }
    return bytes.len ? bytes : rs_frames_get(wire->plain, e, tags);
}

rs_text_t rs_frames_get(const rs_wire_t *wire, rs_event_t *e, const rs_cursor_tags_t *tags)
{
    rs_id_place_t place;
    rs_text_t bytes = {NULL, 0};
    rs_buf_t b = RS_BUF_INIT;

    if (wire->plain) {
        return packed(wire, e, tags);
    }
    bytes = rs_event_frame(e, wire->frames, &place);
    if (bytes.data) {
        return bytes;
    }
    place = another(&b, wire, e, tags);
    if (rs_buf_ok(&b)) {
        rs_event_add_frame(e, wire->frames, (rs_text_t){b.data, b.len}, place);
    }
    rs_buf_free(&b);
    return rs_event_frame(e, wire->frames, &place);
}

rs_event_t *rs_frames_with_id(const rs_wire_t *wire, rs_event_t *e, const rs_cursor_t *own)
{
    const rs_wire_t *as = wire->plain ? wire->plain : wire;
    rs_text_t bytes = rs_frames_get(as, e, own->tags);
    rs_event_parts_t parts = {.id = e->id, .stream = e->stream, .wire = wire->frames};
    rs_buf_t b = RS_BUF_INIT;
    rs_event_t *mine = NULL;
    char id[RS_CURSOR_LEN];

    if (!bytes.data) {
        return NULL;
    }
    rs_event_frame(e, as->frames, &parts.place);
    rs_buf_add(&b, bytes.data, parts.place.head);
    wire->id(&b, id, rs_cursor_format(id, own));
    rs_buf_add(&b, bytes.data + parts.place.tail, bytes.len - parts.place.tail);
    if (wire->reframe && rs_buf_ok(&b)) {
        wire->reframe(&b);
    }
    if (rs_buf_ok(&b)) {
        parts.frame = (rs_text_t){b.data, b.len};
        parts.type = parts.data = parts.user = (rs_text_t){b.data, 0};
        mine = rs_event_create(&parts);
    }
    rs_buf_free(&b);
    return mine;
}

rs_event_t *rs_frames_raw(const rs_wire_t *wire, const char *bytes, size_t len)
{
    rs_event_parts_t parts = {.wire = wire->frames, .frame = {bytes, len}};

    parts.type = parts.data = parts.user = (rs_text_t){bytes, 0};
    return rs_event_create(&parts);
}
