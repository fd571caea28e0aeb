/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of a key, against a model of a Redis stream to which everything happens between two
 * commands of ours: entries that were not read are never missing without a word, and what is no gap
 * is not told as one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "log/rs_known.h"
#include "tap.h"

#define MOST 4096

typedef enum { THERE, DELETED, TRIMMED, LOST } fate_t;

/* Everything that was ever added, whatever became of it. */
static struct {
    rs_id_t id;
    fate_t fate;
    int life;  /* of which stream of this name */
    int taken; /* it was in hand */
    int given; /* it was given out */
    int told;  /* its loss was */
} e[MOST];

static int n, life;
static rs_id_t newest, deleted, clock_id;
static long long added;
static rs_known_t k;
static unsigned seed;
static int gaps, losses, watched;

/* A copy of the stream of before. */
static struct {
    int n, there[MOST];
    rs_id_t newest, deleted;
    long long added;
} copy;

static int chance(int of)
{
    seed = seed * 1103515245u + 12345u;
    return (int)((seed >> 16) % (unsigned)of);
}

static void begin(unsigned s)
{
    static const rs_known_t fresh;

    n = life = 0;
    newest.ms = newest.seq = deleted.ms = deleted.seq = 0;
    clock_id.ms = 1000;
    clock_id.seq = 0;
    added = 0;
    k = fresh;
    seed = s;
    gaps = losses = copy.n = 0;
}

static void add(int count)
{
    while (count-- > 0 && n < MOST) {
        if (chance(2)) {
            clock_id.seq++;
        }
        else {
            clock_id.ms += 1 + (apr_uint64_t)chance(3);
            clock_id.seq = 0;
        }
        e[n].id = newest = clock_id;
        e[n].fate = THERE;
        e[n].life = life;
        e[n].taken = e[n].given = e[n].told = 0;
        n++;
        added++;
    }
}

static int length(void)
{
    int i, sum = 0;

    for (i = 0; i < n; i++) {
        sum += e[i].fate == THERE;
    }
    return sum;
}

static void trim(int to)
{
    int i, excess = length() - to;

    for (i = 0; i < n && excess > 0; i++) {
        if (e[i].fate == THERE) {
            e[i].fate = TRIMMED;
            excess--;
        }
    }
}

/* any: also what was not read yet. */
static void del(int any)
{
    int i = n ? chance(n) : 0, from = i;

    for (; i < n; i++) {
        if (e[i].fate == THERE && (any || e[i].taken)) {
            e[i].fate = DELETED;
            rs_id_raise(&deleted, e[i].id);
            return;
        }
    }
    for (i = 0; i < from; i++) {
        if (e[i].fate == THERE && (any || e[i].taken)) {
            e[i].fate = DELETED;
            rs_id_raise(&deleted, e[i].id);
            return;
        }
    }
}

static void lose_from(int i)
{
    for (; i < n; i++) {
        if (e[i].fate == THERE) {
            e[i].fate = LOST;
        }
    }
}

static void del_key(void)
{
    lose_from(0);
    life++;
    newest.ms = newest.seq = deleted.ms = deleted.seq = 0;
    added = 0;
}

static void save(void)
{
    int i;

    copy.n = n;
    for (i = 0; i < n; i++) {
        copy.there[i] = e[i].fate == THERE;
    }
    copy.newest = newest;
    copy.deleted = deleted;
    copy.added = added;
}

static void restore(void)
{
    int i;

    lose_from(0);
    for (i = 0; i < copy.n; i++) {
        if (copy.there[i]) {
            e[i].fate = THERE;
        }
    }
    life++;
    newest = copy.newest;
    deleted = copy.deleted;
    added = copy.added;
}

static rs_history_t info(void)
{
    rs_history_t h = {0};
    int i, len = length();

    h.newest = newest;
    h.deleted = deleted;
    h.empty = len == 0;
    for (i = 0; i < n; i++) {
        if (e[i].fate == THERE) {
            h.first = e[i].id;
            break;
        }
    }
    h.added = added;
    h.gone = added - len;
    h.whole = h.gone == 0;
    return h;
}

/* --- the reader --- */

static int hand[MOST], nhand;

static void read_some(int count)
{
    int i;

    nhand = 0;
    rs_known_ask(&k);
    for (i = 0; i < n && nhand < count; i++) {
        if (e[i].fate == THERE && rs_id_cmp(e[i].id, k.at) > 0) {
            e[i].taken = 1;
            hand[nhand++] = i;
        }
    }
}

static void tell(rs_look_t look)
{
    int i;

    gaps += look == RS_LOOK_GAP;
    losses += look == RS_LOOK_LOST;
    for (i = 0; i < n; i++) {
        if (look == RS_LOOK_LOST || (look == RS_LOOK_GAP && rs_id_cmp(e[i].id, k.gap) <= 0)) {
            e[i].told = 1;
        }
    }
}

/* Of what was read by now: whether nothing is missing without a word, and whether who comes back
 * is told. */
static int is_right(void)
{
    rs_id_t start = {0, 0}, last = {0, 0};
    int i;

    for (i = n - 1; i >= 0; i--) {
        if (e[i].fate == TRIMMED && !e[i].given && e[i].life == life
            && rs_id_cmp(e[i].id, k.at) <= 0) {
            rs_id_raise(&last, e[i].id);
            if (!e[i].told) {
                return 0;
            }
        }
    }
    for (i = 0; i < n; i++) {
        if (e[i].given && e[i].life == life && rs_id_cmp(e[i].id, last) < 0
            && rs_known_judge(&k, start, e[i].id, 1, NULL).kind == RS_VERDICT_RESUMED) {
            return 0;
        }
    }
    return 1;
}

/* As rs_key_take() does. */
static int take(int full)
{
    rs_history_t h = info();
    rs_hand_t in_hand = {0}, nothing = {0};
    rs_look_t look;
    int i, good = 1;

    in_hand.n = nhand;
    for (i = 0; i < nhand; i++) {
        in_hand.gone += h.empty || rs_id_cmp(e[hand[i]].id, h.first) < 0;
    }
    if (nhand) {
        in_hand.first = e[hand[0]].id;
        in_hand.last = e[hand[nhand - 1]].id;
    }
    look = rs_known_look(&k, &h, &in_hand, watched);
    tell(look);
    if (look == RS_LOOK_LOST) {
        return 1;
    }
    for (i = 0; i < nhand; i++) {
        rs_known_entry(&k, e[hand[i]].id);
        good &= ++e[hand[i]].given == 1;
    }
    if (nhand && in_hand.gone == nhand) {
        tell(rs_known_look(&k, &h, &nothing, watched));
    }
    if (nhand) {
        rs_known_answered(&k, full);
    }
    return good && is_right();
}

static int round_of(int most)
{
    int good;

    read_some(most);
    good = take(nhand == most);
    nhand = 0;
    return good;
}

static int settle(void)
{
    int i, good = 1;

    for (i = 0; i < 200; i++) {
        good &= round_of(8);
    }
    return good;
}

/* Entries that nobody has got, and nobody was told of. */
static int untold(void)
{
    int i, sum = 0;

    for (i = 0; i < n; i++) {
        sum += (e[i].fate == TRIMMED || e[i].fate == LOST || e[i].fate == THERE) && !e[i].given
               && !e[i].told;
    }
    return sum;
}

/* Who has everything up to this entry: whether the verdict is right. */
static int is_judged(int i)
{
    rs_id_t start = {0, 0};
    rs_verdict_t v = rs_known_judge(&k, start, e[i].id, 1, NULL);
    int j, missing = 0;

    for (j = 0; j < n; j++) {
        missing |= !e[j].given && rs_id_cmp(e[j].id, e[i].id) > 0
                   && (e[j].fate == TRIMMED || (e[j].fate == LOST && e[i].fate != THERE));
    }
    return v.kind != RS_VERDICT_RESUMED || !missing;
}

static int all_judged(void)
{
    int i, good = 1;

    for (i = 0; i < n; i++) {
        good &= !e[i].given || is_judged(i);
    }
    return good;
}

typedef enum { WORKER, ANY_XDEL, TRIM, REPLACE } what_t;

static void happen(what_t what, int most)
{
    int i;

    add(chance(most));
    for (i = chance(4); i > 0 && what == WORKER; i--) {
        del(0);
    }
    for (i = chance(4); i > 0 && what == ANY_XDEL; i--) {
        del(1);
    }
    if (what != WORKER && what != REPLACE && chance(3) == 0) {
        trim(chance(6));
    }
    if (what == WORKER && chance(6) == 0) {
        int there = 0, taken = 0;

        for (i = 0; i < n; i++) {
            there += e[i].fate == THERE;
            taken += e[i].fate == THERE && e[i].taken;
        }
        trim(there - chance(taken + 1));
    }
    add(chance(most));
}

/* The stream is deleted, or becomes a copy of before, once between two looks, of which the first
 * saw something. */
static void replace(void)
{
    if (!k.added || info().empty || rs_id_cmp(k.at, newest) != 0) {
        return;
    }
    if (copy.n && copy.added < k.added && chance(2)) {
        add(chance(4));
        restore();
    }
    else {
        add(chance(4));
        del_key();
    }
    copy.n = 0;
    add(chance(12));
}

/* quick: all of it is read at once, and nothing is written while that is under way. */
static int run(unsigned s, what_t what, int quick)
{
    int i, rounds, good = 1;

    begin(s);
    watched = what != ANY_XDEL; /* what follows from that is not certain */
    add(chance(5));
    for (i = 0; i < n; i++) {
        e[i].taken = e[i].given = 1; /* it begins with what comes now */
    }
    take(0);
    for (rounds = 0; rounds < 40; rounds++) {
        int most = quick ? 100 : 1 + chance(8);

        happen(what, 5);
        if (what == REPLACE && chance(4) == 0) {
            settle();
            replace();
        }
        else if (what == REPLACE && chance(3) == 0) {
            save();
        }
        read_some(most);
        if (what != REPLACE) {
            happen(what, quick ? 1 : 5);
        }
        good &= take(nhand == most);
    }
    return good & settle();
}

static void try(what_t what, int quick, const char *name)
{
    unsigned s, bad = 0, bad_untold = 0, bad_verdict = 0, notices = 0;

    for (s = 1; s <= 3000; s++) {
        if (!run(s, what, quick) && !bad) {
            bad = s;
        }
        if (untold() && !bad_untold) {
            bad_untold = s;
        }
        if (!all_judged() && !bad_verdict) {
            bad_verdict = s;
        }
        notices += gaps || losses;
    }
    is_int((long long)bad, 0, name);
    is_int((long long)bad_untold, 0, "no entry is missing without a word");
    is_int((long long)bad_verdict, 0, "who comes back is never told so either");
    if (what == WORKER && quick) {
        is_int((long long)notices, 0, "and what was read before it was removed is no gap");
    }
}

int main(void)
{
    try(WORKER, 1, "a worker that deletes, a writer that trims, behind us");
    try(WORKER, 0, "the same while we are behind");
    try(ANY_XDEL, 1, "a worker and a writer that are faster than we are");
    try(ANY_XDEL, 0, "the same while we are behind");
    try(TRIM, 0, "a writer that is faster than we are");
    try(REPLACE, 1, "a stream that is deleted, or restored");
    return done_testing();
}
