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

rs_verdict_kind_t rs_verdict(rs_topic_t *topic, rs_cursor_t *own, rs_id_t *first)
{
    rs_verdict_t each[RS_STREAMS_MAX];
    rs_id_t start[RS_STREAMS_MAX];
    int k;

    rs_topic_start(topic, start);
    pthread_mutex_lock(&topic->source->lock);
    for (k = 0; k < own->n; k++) {
        each[k] = rs_known_judge(&topic->key[k]->shown, start[k], own->pos[k], NULL);
    }
    pthread_mutex_unlock(&topic->source->lock);
    return put_together(each, own, first);
}

rs_verdict_kind_t rs_verdict_hub(rs_topic_t *topic, const rs_id_t *start, rs_cursor_t *own,
                                 const rs_history_t *history, rs_id_t *first)
{
    rs_verdict_t each[RS_STREAMS_MAX];
    int k;

    for (k = 0; k < own->n; k++) {
        each[k] = rs_known_judge(&topic->key[k]->now, start[k], own->pos[k],
                                 history ? &history[k] : NULL);
    }
    return put_together(each, own, first);
}

const char *rs_verdict_reason(rs_verdict_kind_t kind)
{
    return kind == RS_VERDICT_LOST ? "redis_reset" : "trimmed";
}
