/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows from what Redis says of a key. All of it rests on three facts: ids only grow, unless
 * data was lost; trimming takes the oldest entries, so while one is there that was read already,
 * nothing unread was trimmed; and entries-added counts what ever was (Redis 7 and later).
 */
#include <string.h>

#include "rs_known.h"

static const rs_id_t none = {0, 0};

/* It has an id lower than any that this key is known to have ever held. */
static int is_below_all(const rs_known_t *k, const rs_history_t *h)
{
    return !h->empty && rs_id_cmp(h->first, k->begin) < 0
           && (!k->lost || rs_id_cmp(h->first, k->old_from) < 0);
}

/* A copy of before (a restored one, a replica that lagged): its oldest entry is one of ours. */
static int is_older_copy(const rs_known_t *k, const rs_history_t *h)
{
    if (is_below_all(k, h)) {
        return 0;
    }
    return rs_id_cmp(h->first, k->first) <= 0 || (!h->whole && rs_id_cmp(h->first, k->at) <= 0);
}

/* Whether nothing that was read is there any more: so what is gone can be counted, if it is known
 * how many were read. */
static int is_all_new(const rs_known_t *k, const rs_history_t *h)
{
    return h->gone >= 0 && (h->empty || rs_id_cmp(h->first, k->at) > 0);
}

/* How many entries were removed before they were read, in front of what is in hand; less than none:
 * more were read than are gone. Where nothing is behind what is in hand, it does not matter how
 * much of that is gone since it was read. */
static long long removed_unread(const rs_known_t *k, const rs_history_t *h, const rs_hand_t *hand)
{
    if (k->added < 0 || !is_all_new(k, h)) {
        return 0;
    }
    return hand->n && rs_id_cmp(h->newest, hand->last) == 0 ? h->added - k->added - hand->n
                                                            : h->gone - k->added - hand->gone;
}

/* One is older than the oldest was (where all was gone, and newer ones have come: than those), or
 * than the first that was read behind what was read before. */
static int is_older(const rs_known_t *k, const rs_history_t *h, const rs_hand_t *hand)
{
    return !h->empty
           && (rs_id_cmp(h->first, k->first) < 0
               || (rs_id_cmp(k->first, none) == 0 && rs_id_cmp(h->first, k->newest) <= 0
                   && rs_id_cmp(h->newest, k->newest) > 0)
               || (hand->n && rs_id_cmp(h->first, k->at) > 0
                   && rs_id_cmp(h->first, hand->first) < 0));
}

/* It held more, or newer ones, when it was last looked at, though not all of that was read; and it
 * is no copy of before: of a tail that was lost unread nobody has had anything. Where entries are
 * not counted (before Redis 7), more may be lost than that. */
static int held_more(const rs_known_t *k, const rs_history_t *h)
{
    return (h->added < 0 || !is_older_copy(k, h))
           && (rs_id_cmp(h->newest, k->newest) < 0 || (h->added >= 0 && h->added < k->ever));
}

/* What was its oldest entry when it was last looked at is not there, though no more are gone; or
 * none of all that it held then is, though fewer are gone, less a newer one that was deleted. */
static int is_gone_uncounted(const rs_known_t *k, const rs_history_t *h)
{
    if (h->gone >= 0 && !h->empty && rs_id_cmp(h->first, k->newest) > 0
        && h->gone - (rs_id_cmp(h->deleted, k->newest) > 0) < k->ever) {
        return 1;
    }
    return h->gone >= 0 && k->gone >= h->gone && k->gone < k->ever
           && (h->empty || rs_id_cmp(h->first, k->first) > 0);
}

/* All of it is read, older ones are there, and of those that were not read more are there than can
 * be gone: they were put back in front of what was read. */
static int is_put_back(const rs_known_t *k, const rs_history_t *h, const rs_hand_t *hand)
{
    return k->added >= 0 && h->gone >= 0 && hand->n && rs_id_cmp(h->newest, hand->last) == 0
           && h->added - k->added - hand->n > h->gone - k->settled && !is_all_new(k, h);
}

/* Ids went back (also that of the oldest one, or of the last one deleted), or it counts fewer
 * entries than were read, or fewer that are gone. */
static int is_another(const rs_known_t *k, const rs_history_t *h, const rs_hand_t *hand)
{
    int order = rs_id_cmp(h->newest, hand->n ? hand->last : k->at);

    if (order == 0 && !hand->n && (h->empty || is_older_copy(k, h))
        && (h->added < 0 || (h->added >= k->added && rs_id_cmp(h->deleted, k->deleted) >= 0))) {
        return 0; /* nobody can tell them apart, and nothing is missing */
    }
    return order < 0 || is_older(k, h, hand) || held_more(k, h) || is_gone_uncounted(k, h)
           || is_put_back(k, h, hand) || (h->added >= 0 && rs_id_cmp(h->deleted, k->deleted) < 0)
           || (h->added >= 0 && k->added >= 0 && h->added < k->added + hand->n)
           || removed_unread(k, h, hand) < 0;
}

/* All that is in hand is of a tail that was lost since it was read. */
static int is_lost_in_hand(const rs_history_t *h, const rs_hand_t *hand)
{
    return hand->n && rs_id_cmp(hand->first, h->newest) > 0;
}

/* From which id on is it read now? Readers of before are told by their ids, which must not be that
 * one: so it is one that no entry of before had. What a copy holds is not given out again; nor is
 * anything lost to who stands where it ends, if what was lost was only in hand, or if nothing was,
 * and what was deleted is there again: who comes from now on is given that id, too. */
static rs_id_t new_start(const rs_known_t *k, const rs_history_t *h, const rs_hand_t *hand)
{
    int copy = !h->empty && is_older_copy(k, h), lost = is_lost_in_hand(h, hand);
    int has_all = lost || (!hand->n && h->added >= k->added && !rs_known_is_lost(k, k->at));
    rs_id_t first = copy && hand->n && !lost ? hand->first : h->first;
    rs_id_t start = h->empty || (copy && (!hand->n || lost)) ? h->newest : rs_id_before(first);

    return rs_id_cmp(start, k->at) == 0 && !h->empty && !(copy && has_all) ? first : start;
}

/* No entry that it ever held had a lower id than this. That is known of one from which none is
 * gone; of another it may be any. */
static rs_id_t first_ever(const rs_history_t *h)
{
    static const rs_id_t any = {0, 1};

    return !h->whole ? any : h->empty ? h->newest : h->first;
}

/* The same of one that was seen when it held nothing, or nothing but what it was restored from. Who
 * has read all of that has the id where it ended, also if that is of no entry (XSETID). */
static void note_begin(rs_known_t *k, const rs_history_t *h, const rs_hand_t *hand)
{
    rs_id_t first = hand->n ? hand->first : h->empty ? h->newest : rs_id_later(h->first, k->at);

    if (rs_id_cmp(k->begin, none) > 0 || rs_id_cmp(first, k->born) <= 0) {
        return;
    }
    k->begin = first;
    if (rs_id_cmp(h->deleted, k->born) > 0) {
        rs_id_lower(&k->begin, h->deleted);
    }
}

/* Something is gone, and nothing of what may be was deleted. */
static int was_trimmed(const rs_known_t *k, const rs_history_t *h)
{
    return k->gone >= 0 && h->gone > k->gone && rs_id_cmp(h->deleted, k->deleted) == 0
           && (rs_id_cmp(k->first, none) == 0 || rs_id_cmp(h->deleted, k->first) < 0);
}

static int is_worked_off(const rs_history_t *h)
{
    return h->empty && rs_id_cmp(h->deleted, none) > 0 && rs_id_cmp(h->deleted, h->newest) == 0;
}

static int only_trimmed(const rs_history_t *h)
{
    return h->gone > 0 && rs_id_cmp(h->deleted, none) == 0;
}

/* The lowest id that somebody may have of what there was: also of what was trimmed since. */
static rs_id_t oldest_ever(const rs_known_t *k)
{
    return rs_id_cmp(k->begin, none) > 0 && rs_id_cmp(k->begin, k->first) < 0 ? k->begin : k->first;
}

static void lose(rs_known_t *k, const rs_history_t *h, const rs_hand_t *hand)
{
    rs_id_t start = new_start(k, h, hand), oldest = oldest_ever(k);

    if (!k->lost || rs_id_cmp(oldest, k->old_from) < 0) {
        k->old_from = oldest;
    }
    k->old = rs_id_later(k->at, k->lost ? k->old : none);
    if (rs_id_cmp(h->newest, k->newest) < 0) {
        /* Who was told to go on where it ended has that id, though it was not read yet. */
        k->old = rs_id_later(k->old, k->newest);
    }
    /* What is in hand is what comes next after `at`. */
    k->copied = hand->n && !is_lost_in_hand(h, hand) && rs_id_cmp(k->at, start) < 0 ? k->at : start;
    k->lost = 1;
    k->losses++;
    k->is_copy = h->empty ? rs_id_cmp(h->newest, none) > 0 : is_older_copy(k, h);
    memset(k->lately, 0, sizeof(k->lately));
    k->born = k->at = k->idle = start;
    k->gap = k->after_gap = k->covers = k->covered = none;
    k->deleted = h->deleted;
    k->trims = only_trimmed(h);
    k->begin = k->is_copy ? none : first_ever(h);
    k->added = k->marked = -1;
    k->settled = h->gone;
    if (!h->empty && rs_id_cmp(start, rs_id_before(h->first)) == 0) {
        k->added = h->gone;
    }
    else if (!h->empty && rs_id_cmp(start, h->first) == 0) {
        k->added = h->gone < 0 ? -1 : h->gone + 1;
    }
}

/* It was lost while nobody asked for it here, and others have read on since: what is above all that
 * was known is of what is there now. */
static void lose_unseen(rs_known_t *k, const rs_history_t *h)
{
    static const rs_hand_t nothing;

    lose(k, h, &nothing);
    if (rs_id_cmp(k->old, h->newest) < 0) {
        k->born = k->copied = rs_id_after(k->old);
    }
}

/* Whether they were deleted one by one (max-deleted-entry-id, which trimming does not move). That
 * is certain of a single one; it is believed of several, if the newest of all was, the stream was
 * being read all the time, and it is none that is trimmed: a queue whose worker is faster. */
static int were_deleted(const rs_known_t *k, const rs_history_t *h, const rs_hand_t *hand,
                        long long n, int watched)
{
    if (rs_id_cmp(h->deleted, k->at) <= 0 || rs_id_cmp(h->deleted, k->deleted) == 0
        || (hand->n && rs_id_cmp(h->deleted, hand->first) >= 0
            && rs_id_cmp(h->deleted, hand->last) <= 0)) {
        return 0;
    }
    return n == 1 || (watched && !k->trims && is_worked_off(h));
}

/* Whether what is missing may be behind what is in hand, all of which is gone, too. */
static int may_be_behind(const rs_history_t *h, const rs_hand_t *hand)
{
    return hand->n && rs_id_cmp(h->empty ? h->newest : rs_id_before(h->first), hand->last) > 0;
}

/* Of what is in hand and was not the oldest entry, some may be among them: it is not counted now,
 * since it is when it is given out. */
static long long in_hand(const rs_history_t *h, const rs_hand_t *hand)
{
    return hand->n > hand->gone && rs_id_cmp(h->newest, hand->last) != 0
                   && rs_id_cmp(h->deleted, h->first) > 0
               ? hand->n - hand->gone - 1
               : 0;
}

/* Who stands where we stood goes on standing there, unless something may have been removed. */
static void move_on(rs_known_t *k, const rs_history_t *h, rs_id_t to, rs_look_t look)
{
    k->at = rs_id_later(k->at, to);
    if (look == RS_LOOK_GAP || k->added < 0 || h->gone < 0) {
        k->idle = k->at;
    }
}

/* What was removed unread is there again, put back under its old ids: who comes is to have it. */
static void note_put_back(rs_known_t *k, const rs_history_t *h)
{
    if (!h->empty && rs_id_cmp(h->first, k->gap) <= 0) {
        k->gap = rs_id_before(h->first);
        k->after_gap = h->first;
    }
}

static rs_look_t look_for_gap(rs_known_t *k, const rs_history_t *h, const rs_hand_t *hand,
                              int watched)
{
    long long n = removed_unread(k, h, hand), doubtful = in_hand(h, hand);
    int uncounted = k->added < 0 && is_all_new(k, h);
    rs_id_t next = hand->n ? hand->first : h->first, to = h->newest;
    rs_look_t look = RS_LOOK_SAME;

    /* It is looked for once more when that has been given out: who has it is told then. */
    if (may_be_behind(h, hand)) {
        return RS_LOOK_SAME;
    }
    if (hand->n || !h->empty) {
        to = rs_id_before(next);
    }
    if (!hand->n) {
        to = rs_id_later(to, k->covered);
    }
    if (uncounted && rs_id_cmp(to, k->at) > 0) {
        k->added = h->gone - hand->gone;
        look = RS_LOOK_GAP;
    }
    else if (n > 0) {
        long long gone = n > doubtful ? n - doubtful : 0;

        look = were_deleted(k, h, hand, n, watched) ? RS_LOOK_SAME : RS_LOOK_GAP;
        k->added += gone;
        k->marked += k->marked >= 0 && look == RS_LOOK_SAME ? gone : 0;
    }
    if (look == RS_LOOK_GAP) {
        k->gap = rs_id_later(k->gap, rs_id_later(k->at, to));
        k->after_gap = hand->n || !h->empty ? next : none;
    }
    if (look == RS_LOOK_GAP || n > 0 || !hand->n) {
        move_on(k, h, to, look);
    }
    /* Asked again meanwhile, it says the same: that was told to be trimmed. */
    k->trims &= look == RS_LOOK_GAP || !is_worked_off(h) || rs_id_cmp(h->deleted, k->deleted) == 0;
    k->deleted = h->deleted;
    return look;
}

/* How many there were up to `at`, when nothing came after what is in hand. Also those are counted
 * then that were deleted while older ones stayed, which no look took for missing. */
static void count_anew(rs_known_t *k, const rs_history_t *h, const rs_hand_t *hand)
{
    if (hand->n == 0 && rs_id_cmp(h->newest, k->at) == 0) {
        k->added = h->added;
        k->settled = h->gone;
    }
    else if (hand->gone < hand->n && rs_id_cmp(h->newest, hand->last) == 0) {
        k->added = h->added < 0 ? -1 : h->added - hand->n;
        k->settled = h->gone;
    }
}

/* How many entries there were up to here is remembered where everything is gone, or something was
 * missed: who comes back with an id after this may miss nothing. As long as there are no more, it
 * began there already. */
static void note_mark(rs_known_t *k, const rs_history_t *h, const rs_hand_t *hand, rs_look_t look)
{
    if ((look == RS_LOOK_GAP || (h->empty && !hand->n && rs_id_cmp(k->at, h->newest) == 0))
        && (k->marked < 0 || k->marked != k->added)) {
        k->mark = k->at;
        k->marked = k->added;
    }
}

rs_look_t rs_known_look(rs_known_t *k, const rs_history_t *h, const rs_hand_t *hand, int watched)
{
    static const rs_hand_t nothing;
    rs_look_t look = RS_LOOK_SAME;

    if (!k->sure) {
        /* What is still known from before nobody asked for it may be of another stream. */
        if (is_another(k, h, &nothing)) {
            lose_unseen(k, h);
        }
        k->sure = 1;
        k->at = k->idle = h->newest;
        k->deleted = h->deleted;
        k->begin = first_ever(h);
        k->trims = only_trimmed(h);
    }
    else if (is_another(k, h, hand)) {
        lose(k, h, hand);
        look = RS_LOOK_LOST;
    }
    else {
        note_put_back(k, h);
        k->trims |= was_trimmed(k, h);
        look = look_for_gap(k, h, hand, watched);
        note_begin(k, h, hand);
    }
    k->gone = h->gone;
    k->newest = h->newest;
    k->ever = h->added;
    k->first = h->first;
    k->whole = h->whole;
    if (look == RS_LOOK_LOST) {
        hand = &nothing; /* it does not count */
    }
    count_anew(k, h, hand);
    note_mark(k, h, hand, look);
    return look;
}

int rs_known_fits(const rs_known_t *k, const rs_history_t *h)
{
    static const rs_hand_t nothing;

    return !k->sure || !is_another(k, h, &nothing);
}

void rs_known_entry(rs_known_t *k, rs_id_t id)
{
    if (rs_id_cmp(k->first, none) == 0) {
        k->first = id;
    }
    if (rs_id_cmp(k->after_gap, none) == 0 && rs_id_cmp(k->gap, none) > 0
        && rs_id_cmp(k->at, k->gap) <= 0) {
        k->after_gap = id;
    }
    memmove(k->lately + 1, k->lately, (RS_KNOWN_LATELY - 1) * sizeof(k->lately[0]));
    k->lately[0].after = k->idle;
    k->lately[0].id = id;
    k->at = k->idle = id;
    if (k->added >= 0) {
        k->added++;
    }
}

void rs_known_ask(rs_known_t *k) { k->covers = k->newest; }

void rs_known_answered(rs_known_t *k, int full)
{
    k->covered = full ? none : k->covers;
    k->covers = none;
}
