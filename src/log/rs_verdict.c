/* SPDX-License-Identifier: Apache-2.0
 *
 * One judgement for each stream, put together. Any thread.
 */
#include <string.h>

#include "rs_source.h"
#include "rs_verdict.h"

static rs_verdict_kind_t put_together(const rs_verdict_t *each, rs_cursor_t *own, rs_id_t *first)
{
    rs_verdict_kind_t worst = RS_VERDICT_RESUMED;
    int k;

    memset(first, 0, sizeof(*first));
    for (k = 0; k < own->n; k++) {
        if (each[k].kind == RS_VERDICT_ASK) {
            return RS_VERDICT_ASK;
        }
    }
    for (k = 0; k < own->n; k++) {
        own->pos[k] = each[k].place;
        worst = each[k].kind > worst ? each[k].kind : worst;
    }
    if (own->n == 1) {
        *first = each[0].first;
    }
    return worst;
}

unsigned rs_verdict_losses(const rs_topic_t *topic)
{
    rs_cursor_t at;

    return rs_source_cursor(topic->source, topic, &at);
}

static rs_verdict_kind_t judge(const rs_known_t *const *known, const rs_id_t *start,
                               rs_cursor_t *own, unsigned *losses, const rs_history_t *history,
                               rs_id_t *first)
{
    rs_verdict_t each[RS_STREAMS_MAX];
    rs_verdict_kind_t kind;
    unsigned n = 0;
    int k;

    for (k = 0; k < own->n; k++) {
        n += known[k]->losses;
    }
    for (k = 0; k < own->n; k++) {
        each[k] = rs_known_judge(known[k], start[k], own->pos[k], *losses != n,
                                 history ? &history[k] : NULL);
    }
    kind = put_together(each, own, first);
    if (kind != RS_VERDICT_ASK) {
        *losses = n;
    }
    return kind;
}

rs_verdict_kind_t rs_verdict(rs_topic_t *topic, rs_cursor_t *own, unsigned *losses, rs_id_t *first)
{
    const rs_known_t *known[RS_STREAMS_MAX];
    rs_id_t start[RS_STREAMS_MAX];
    rs_verdict_kind_t kind;
    int k;

    rs_topic_start(topic, start);
    pthread_mutex_lock(&topic->source->lock);
    for (k = 0; k < own->n; k++) {
        known[k] = &topic->key[k]->shown;
    }
    kind = judge(known, start, own, losses, NULL, first);
    pthread_mutex_unlock(&topic->source->lock);
    return kind;
}

rs_verdict_kind_t rs_verdict_hub(rs_topic_t *topic, const rs_id_t *start, rs_cursor_t *own,
                                 unsigned *losses, const rs_history_t *history, rs_id_t *first)
{
    const rs_known_t *known[RS_STREAMS_MAX];
    int k;

    for (k = 0; k < own->n; k++) {
        known[k] = &topic->key[k]->now;
    }
    return judge(known, start, own, losses, history, first);
}

const char *rs_verdict_reason(rs_verdict_kind_t kind)
{
    return kind == RS_VERDICT_LOST ? "redis_reset" : "trimmed";
}
