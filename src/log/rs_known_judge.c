/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a reader that comes with an id has everything after it, by what is known of the key. Pure
 * functions.
 */
#include "rs_known.h"

static const rs_id_t none = {0, 0};

static rs_verdict_t say(rs_verdict_kind_t kind, rs_id_t place, rs_id_t first)
{
    rs_verdict_t verdict = {kind, place, first};

    return verdict;
}

/* Ids that are below all of those are not: a stream may begin anew with lower ones. */
int rs_known_is_lost(const rs_known_t *k, rs_id_t id)
{
    if (!k->lost || rs_id_cmp(id, k->born) == 0
        || rs_id_cmp(id, rs_id_later(k->born, k->old)) > 0) {
        return 0;
    }
    return rs_id_cmp(id, k->born) < 0 || rs_id_cmp(id, k->at) > 0
           || rs_id_cmp(id, k->old_from) >= 0;
}

/* Of what there was before it: no entry of this one had an id as low as that. */
static int is_before(const rs_known_t *k, rs_id_t id)
{
    return rs_id_cmp(id, k->born) > 0 && rs_id_cmp(id, rs_id_before(k->begin)) < 0;
}

/* Older than the first entry of a stream of which nothing was ever removed, and than where that
 * stood when it held nothing (XSETID): it is of another one. */
static int is_foreign(const rs_known_t *k, int whole, rs_id_t first, rs_id_t id)
{
    return whole && rs_id_cmp(id, none) > 0 && rs_id_cmp(id, rs_id_before(first)) < 0
           && (rs_id_cmp(k->begin, none) == 0 || rs_id_cmp(id, k->begin) < 0);
}

/* Whether this entry is the first that there was after the id. */
static int is_next(const rs_known_t *k, rs_id_t id, rs_id_t first)
{
    int i;

    for (i = 0; i < RS_KNOWN_LATELY; i++) {
        if (rs_id_cmp(k->lately[i].id, first) == 0 && rs_id_cmp(first, none) > 0) {
            return rs_id_cmp(id, k->lately[i].after) >= 0;
        }
    }
    return 0;
}

/* No more is gone than there was up to this id: so nothing of what came after it. */
static int all_is_there_after(const rs_known_t *k, const rs_history_t *h, rs_id_t id)
{
    return h->gone >= 0
           && ((rs_id_cmp(id, k->at) >= 0 && h->gone <= k->added)
               || (rs_id_cmp(id, k->mark) >= 0 && h->gone <= k->marked));
}

/* Right before the next entry, where others, who know nothing of the gap, see that none is missing.
 */
static rs_id_t behind_gap(const rs_known_t *k)
{
    return rs_id_cmp(k->after_gap, k->gap) > 0 ? rs_id_before(k->after_gap) : k->gap;
}

/* Where the reader of something that was lost goes on: where what is there now begins. Nothing that
 * was removed since it was lost is behind that, so it is not told again. */
static rs_id_t behind_loss(const rs_known_t *k)
{
    rs_id_t place = rs_id_cmp(k->first, none) > 0 ? rs_id_before(k->first) : k->at;

    return rs_id_cmp(place, k->born) > 0 && !rs_known_is_lost(k, place) ? place : k->born;
}

rs_verdict_t rs_known_judge(const rs_known_t *k, rs_id_t start, rs_id_t id, int came,
                            const rs_history_t *h)
{
    int ahead = rs_id_cmp(id, k->at) > 0, before = came && is_before(k, id);
    int idle = !before && !ahead && rs_id_cmp(id, k->idle) >= 0;

    if (came && rs_known_is_lost(k, id)) {
        rs_id_t place = k->is_copy && rs_id_cmp(id, k->copied) < 0 ? id : behind_loss(k);

        return say(RS_VERDICT_LOST, rs_id_later(place, k->gap), none);
    }
    /* The id was there before the question: what is not there any more is lost. */
    if (h && rs_id_cmp(id, h->newest) > 0) {
        return say(RS_VERDICT_LOST, h->newest, none);
    }
    if (rs_id_cmp(id, k->gap) < 0) {
        return say(RS_VERDICT_TRIMMED, behind_gap(k), k->after_gap);
    }
    if (before && k->lost) {
        return say(RS_VERDICT_LOST, rs_id_later(behind_loss(k), k->gap), none);
    }
    if (came && is_foreign(k, k->whole, k->first, id) && !is_next(k, id, k->first)) {
        return say(RS_VERDICT_TRIMMED, rs_id_before(k->first), k->first);
    }
    if (came && h && is_foreign(k, h->whole, h->first, id) && !is_next(k, id, h->first)) {
        return say(RS_VERDICT_TRIMMED, rs_id_before(h->first), h->first);
    }
    if (before && rs_id_cmp(rs_id_before(k->begin), start) >= 0) {
        return say(RS_VERDICT_TRIMMED, rs_id_before(k->begin), none);
    }
    if (!ahead && rs_id_cmp(id, start) >= 0) {
        return say(RS_VERDICT_RESUMED, id, none);
    }
    if (!h) {
        return say(RS_VERDICT_ASK, id, none);
    }
    if (rs_id_cmp(idle ? k->at : id, rs_history_floor(h)) >= 0
        || (!ahead && !before && all_is_there_after(k, h, idle ? k->at : id))
        || (!before && is_next(k, id, h->first))) {
        return say(RS_VERDICT_RESUMED, id, none);
    }
    return say(RS_VERDICT_TRIMMED, h->empty ? h->newest : rs_id_before(h->first), h->first);
}
