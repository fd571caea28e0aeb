/* SPDX-License-Identifier: Apache-2.0
 *
 * What an endpoint reads, and the ids that are given out for it.
 */
#include "sim.h"

int sim_profile_keys(int profile, int tenant, int key[SIM_PROFILE_KEYS])
{
    int s, n = 0;

    for (s = 0; s < SIM_STREAMS && n < SIM_PROFILE_KEYS; s++) {
        if (sim_conf.pmask[profile] & sim_conf.streams & 1 << s) {
            key[n++] = s < SIM_OWN ? s : SIM_OWN + 2 * tenant + (s - SIM_OWN);
        }
    }
    return n;
}

static void cursor_of(int profile, rs_cursor_t *cursor, rs_cursor_tags_t *tags)
{
    int s;

    cursor->n = 0;
    cursor->tags = tags;
    for (s = 0; s < SIM_STREAMS && cursor->n < SIM_PROFILE_KEYS; s++) {
        if (sim_conf.pmask[profile] & sim_conf.streams & 1 << s) {
            rs_cursor_tags_add(tags, cursor->n++, sim_stream_key(s));
        }
    }
}

int sim_cursor_parse(int profile, const char *text, rs_id_t *pos)
{
    rs_cursor_tags_t tags;
    rs_cursor_t cursor;

    cursor_of(profile, &cursor, &tags);
    if (!rs_cursor_parse(&cursor, text, strlen(text))) {
        return 0;
    }
    memcpy(pos, cursor.pos, (size_t)cursor.n * sizeof(*pos));
    return 1;
}

void sim_cursor_format(char *text, int profile, const rs_id_t *pos)
{
    rs_cursor_tags_t tags;
    rs_cursor_t cursor;

    cursor_of(profile, &cursor, &tags);
    memcpy(cursor.pos, pos, (size_t)cursor.n * sizeof(*pos));
    rs_cursor_text(&cursor, text);
}

/* The first of the key's entries, in the order of adding, that a reader at `id` has not had: of the
 * present stream. */
int sim_index_above(int k, rs_id_t id)
{
    const sim_key_t *key = &sim_keys[k];
    int i, first = key->nall;

    for (i = key->nall - 1; i >= 0; i--) {
        const sim_entry_t *e = &sim_entries[key->all[i]];

        if (e->epoch != key->epoch && e->how != SIM_PRESENT) {
            continue;
        }
        if (rs_id_cmp(e->id, id) <= 0) {
            break;
        }
        first = i;
    }
    return first;
}
