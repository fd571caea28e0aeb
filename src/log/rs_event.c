/* SPDX-License-Identifier: Apache-2.0
 *
 * Events. Made by the hub, dropped by whoever is last.
 */
#include <stdlib.h>
#include <string.h>

#include "rs_event.h"

rs_event_t *rs_event_create(apr_uint16_t stream, rs_id_t id, const char *frame, size_t len,
                            const char *user, size_t user_len)
{
    rs_event_t *e = malloc(sizeof(*e) + len + user_len);

    if (!e) {
        return NULL;
    }
    memset(e, 0, sizeof(*e));
    e->refs = 1;
    e->stream = stream;
    e->id = id;
    e->len = (apr_uint32_t)len;
    e->user_len = (apr_uint16_t)user_len;
    if (frame) {
        memcpy(e->frame, frame, len);
    }
    if (user_len) {
        memcpy(e->frame + len, user, user_len);
    }
    return e;
}

void rs_event_drop(rs_event_t *e)
{
    if (e && __atomic_fetch_sub(&e->refs, 1, __ATOMIC_ACQ_REL) == 1) {
        free(e);
    }
}

int rs_event_cursor(const rs_event_t *e, rs_cursor_t *cursor)
{
    /* Between "id: " and the end of the line. */
    return rs_cursor_parse(cursor, e->frame + e->head + 4, e->tail - e->head - 5);
}
