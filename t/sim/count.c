/* SPDX-License-Identifier: Apache-2.0
 *
 * What nobody can tell: a stream that was made anew between two looks, with higher ids, looks as if
 * it were the old one that went on, if just as many of its entries are gone unread as the engine
 * had counted of the old one; or one more, and one was deleted. Whoever follows a key by XREAD and XINFO has
 * nothing else to go by. The same goes for one that lost its tail and has more than before again:
 * until all of it is read, as many may be gone unread as were lost. And for one that was put back and
 * has newer ones: until all of it is read nothing tells that some are in front of what was read; nor
 * then, if as many of those that were read are not in the copy, or gone.
 */
#include "sim.h"

/* Whether it was there when the look was taken. */
static int was_there(const sim_entry_t *e, const sim_look_t *look)
{
    return e->how == SIM_PRESENT || e->removed > look->removals;
}

/* Of what is above this id, so many were there. */
static int unread(int k, const sim_look_t *look, rs_id_t at)
{
    const sim_key_t *key = &sim_keys[k];
    int i, n = 0;

    for (i = look->nall - 1; i >= 0 && rs_id_cmp(sim_entries[key->all[i]].id, at) > 0; i--) {
        n += was_there(&sim_entries[key->all[i]], look);
    }
    return n;
}

/* Nothing seems to be missing where so many more are gone than there were; it may have counted less:
 * that of what was read. */
static int goes_unseen(const sim_counted_t *c, long long n, int deleted)
{
    return n == 0 || n == -c->unsure || (deleted && (n == 1 || n == 1 - c->unsure));
}

/* Of those that are gone unread, so many it need not have counted: while an older one is there, and
 * until all is read, Redis's counts do not tell what was deleted from what is still to come. */
static long long not_counted(const sim_counted_t *c, const sim_look_t *look, const sim_hand_t *hand,
                             long long gone_of_hand, long long n)
{
    int any_left = !hand->n || gone_of_hand < hand->n;
    long long doubtful = hand->n && rs_id_cmp(look->deleted, look->first) > 0
                             ? hand->n - gone_of_hand - 1
                             : 0;

    if (!c->known || (c->epoch != look->epoch && !c->surplus)
        || (any_left && rs_id_cmp(look->last, hand->n ? hand->last : c->at) <= 0)) {
        return 0;
    }
    n = c->unsure + (c->epoch == look->epoch ? n : 0);
    if (any_left && (!look->length || rs_id_cmp(look->first, c->at) > 0)) {
        return n < doubtful ? n : doubtful;
    }
    return n;
}

static int looks_the_same(const sim_counted_t *c, const sim_look_t *look, const sim_hand_t *hand,
                          long long gone_of_hand)
{
    long long n = look->added - look->length - c->added - gone_of_hand;

    if (hand->n && rs_id_cmp(look->last, hand->last) == 0) {
        n = look->added - c->added - hand->n;
    }
    return rs_id_cmp(look->last, hand->n ? hand->last : c->at) >= 0
           && rs_id_cmp(look->deleted, c->deleted) >= 0
           && goes_unseen(c, n, rs_id_cmp(look->deleted, c->at) > 0
                                    && rs_id_cmp(look->deleted, c->deleted) > 0);
}

/* What went unread while the newest of all was deleted, and nothing says that the stream is one that
 * is trimmed: taken for a queue whose worker is faster. */
static void note_worked_off(sim_counted_t *c, int slot, int k, const sim_look_t *look,
                            const sim_hand_t *hand)
{
    const sim_key_t *key = &sim_keys[k];
    int i, n = 0;

    if (look->length || !look->added || rs_id_cmp(look->deleted, look->last) != 0
        || rs_id_cmp(look->deleted, c->deleted) == 0) {
        return;
    }
    for (i = look->nall - 1; i >= 0 && rs_id_cmp(sim_entries[key->all[i]].id, c->at) > 0; i--) {
        if (i < hand->hi && (i >= hand->lo || rs_id_cmp(look->last, hand->last) == 0)) {
            continue; /* it has those, and counts what is in front of the newest */
        }
        n++;
        if (!c->trims) {
            sim_entries[key->all[i]].hidden |= (uint8_t)(1 << slot | SIM_HIDDEN_ONCE);
        }
    }
    c->trims &= n > 1;
}

/* Of what came after the position, so many were removed unread; hidden: mark them so. */
static int gone_unread(const sim_counted_t *c, int slot, int k, const sim_look_t *look,
                       const sim_hand_t *hand, int hidden)
{
    const sim_key_t *key = &sim_keys[k];
    int i, n = 0;

    for (i = look->nall - 1; i >= 0 && rs_id_cmp(sim_entries[key->all[i]].id, c->at) > 0; i--) {
        sim_entry_t *e = &sim_entries[key->all[i]];

        if (!was_there(e, look) && e->epoch == look->epoch
            && (rs_id_cmp(e->id, hand->last) > 0 || i < hand->lo || e->removed <= hand->removals)) {
            n++;
            e->hidden |= (uint8_t)(hidden ? 1 << slot | SIM_HIDDEN_ONCE : 0);
        }
    }
    return n;
}

/* The engine believes to have counted more than there were. */
static void note_surplus(sim_counted_t *c, int slot, int k, const sim_look_t *look,
                         const sim_hand_t *hand, long long gone_of_hand)
{
    int n = gone_unread(c, slot, k, look, hand, 0);
    int deleted = rs_id_cmp(look->deleted, c->at) > 0 && rs_id_cmp(look->deleted, c->deleted) > 0;

    if (c->known && c->epoch != look->epoch) {
        c->surplus += c->added - (look->added - unread(k, look, c->at) - gone_of_hand - n);
        if (rs_id_cmp(look->last, hand->n ? hand->last : c->at) < 0
            || rs_id_cmp(look->deleted, c->deleted) < 0 || look->added < c->added - c->unsure + hand->n
            || c->surplus < 0) {
            c->surplus = 0; /* that is seen */
        }
    }
    if (c->surplus && goes_unseen(c, n - c->surplus, deleted)) {
        gone_unread(c, slot, k, look, hand, 1);
    }
    c->surplus = n < c->surplus ? c->surplus - n : 0;
}

static void note_trims(sim_counted_t *c, const sim_look_t *look)
{
    static const rs_id_t none;
    long long gone = look->added - look->length;

    if (!c->known || c->epoch != look->epoch) {
        c->trims = gone > 0 && rs_id_cmp(look->deleted, none) == 0;
    }
    else if (gone > c->gone && rs_id_cmp(look->deleted, c->deleted) == 0
             && rs_id_cmp(look->deleted, c->first) <= 0) {
        c->trims = 1;
    }
    c->gone = gone;
    c->first = look->length ? look->first : look->last;
}

static int is_seen(const sim_counted_t *c, const sim_look_t *look, const sim_hand_t *hand)
{
    long long gone = look->added - look->length;

    if (sim_conf.redis6) { /* by ids alone; where it ends as before, it is taken for the same */
        return !c->known || rs_id_cmp(look->last, hand->n ? hand->last : c->at) < 0
               || (look->length && rs_id_cmp(look->first, c->first) < 0
                   && (hand->n || rs_id_cmp(look->last, c->at) != 0));
    }
    if (!c->known || (rs_id_cmp(look->last, c->at) == 0 && c->epoch != look->epoch)
        || rs_id_cmp(look->last, hand->n ? hand->last : c->at) < 0
        || rs_id_cmp(look->deleted, c->deleted) < 0 || look->added < c->added - c->unsure + hand->n
        || (look->length && rs_id_cmp(look->first, c->first) < 0)) {
        return 1;
    }
    return hand->n && rs_id_cmp(look->last, hand->last) == 0
           && look->added - c->all_added - c->since - hand->n > gone - c->all_gone;
}

static void note_seen(sim_counted_t *c, const sim_look_t *look, const sim_hand_t *hand)
{
    if (is_seen(c, look, hand)) {
        c->seen = look->epoch;
    }
    c->since += hand->n;
    if (rs_id_cmp(look->last, hand->n ? hand->last : c->at) <= 0 || !c->known) {
        c->all_added = look->added;
        c->all_gone = look->added - look->length;
        c->since = 0;
    }
}

void sim_count_look(sim_engine_t *e, int slot, int k, const sim_look_t *look)
{
    sim_counted_t *c = &e->counted[k];
    sim_hand_t *hand = &e->hand[k];
    long long gone = 0;
    int i;

    for (i = hand->lo; i < hand->hi; i++) {
        const sim_entry_t *entry = &sim_entries[sim_keys[k].all[i]];

        gone += (entry->how == SIM_PRESENT || entry->removed > hand->removals)
                && !was_there(entry, look);
    }
    if (c->known && c->epoch != look->epoch && looks_the_same(c, look, hand, gone)) {
        sim_blind_t *b = &e->blind[e->nblind++ % SIM_BLIND];

        b->key = k;
        b->from = c->epoch;
        b->to = look->epoch;
        b->removals = look->removals;
    }
    note_surplus(c, slot, k, look, hand, gone);
    note_seen(c, look, hand);
    note_trims(c, look);
    note_worked_off(c, slot, k, look, hand);
    c->unsure = not_counted(c, look, hand, gone,
                            look->added - unread(k, look, c->at) - gone - c->added);
    if (!c->known) {
        c->at = look->last; /* it begins with what comes then */
    }
    if (c->known && c->epoch != look->epoch) {
        c->top = look->last;
    }
    c->known = 1;
    c->epoch = look->epoch;
    c->deleted = look->deleted;
    if (hand->n) {
        c->at = hand->last;
    }
    if (rs_id_cmp(look->last, c->at) < 0 || !look->length) {
        c->at = look->last; /* up to there it was read, or is gone */
    }
    c->added = look->added - unread(k, look, c->at);
    if (rs_id_cmp(c->at, look->last) == 0) {
        c->surplus = 0; /* all of it is read, and counted anew */
    }
    memset(hand, 0, sizeof(*hand));
}

int sim_count_put_back(const sim_engine_t *e, const sim_entry_t *entry)
{
    const sim_counted_t *c = &e->counted[entry->key];

    return entry->put_back && c->known && c->seen < entry->put_back;
}

int sim_count_hides(const sim_engine_t *e, const sim_entry_t *entry)
{
    int i;

    for (i = 0; i < SIM_BLIND && i < e->nblind; i++) {
        const sim_blind_t *b = &e->blind[i];

        if (b->key == entry->key && entry->epoch >= b->from && entry->epoch <= b->to
            && entry->removed <= b->removals) {
            return 1;
        }
    }
    return 0;
}
