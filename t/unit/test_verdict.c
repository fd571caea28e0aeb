/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of a key, and the verdict that follows: each case is what Redis said, one after the
 * other, what was read in between, and readers who come.
 */
#include <stdlib.h>

#include "log/rs_known.h"
#include "tap.h"

static rs_id_t id(apr_uint64_t ms) { return (rs_id_t){ms, 0}; }

/* What XINFO STREAM says: the newest, the oldest (0: none), how many ever, how many there are. */
static rs_history_t says(apr_uint64_t newest, apr_uint64_t first, long long added, long long length)
{
    rs_history_t h = {0};

    h.newest = id(newest);
    h.first = id(first);
    h.empty = first == 0;
    h.added = added;
    h.gone = added < 0 ? -1 : added - length;
    h.whole = added >= 0 && added == length;
    return h;
}

static rs_known_t begun(rs_history_t h)
{
    static const rs_hand_t nothing;
    rs_known_t k = {0};

    rs_known_look(&k, &h, &nothing, 0);
    return k;
}

/* Entries of these ids are in hand when Redis says that; then they are given out. */
static rs_look_t took(rs_known_t *k, rs_history_t h, int n, const apr_uint64_t *ids, int watched)
{
    rs_hand_t hand = {n, 0, n ? id(ids[0]) : id(0), n ? id(ids[n - 1]) : id(0)}, nothing = {0};
    rs_look_t look, again = RS_LOOK_SAME;
    int i;

    rs_known_ask(k);
    for (i = 0; i < n; i++) {
        hand.gone += h.empty || rs_id_cmp(id(ids[i]), h.first) < 0;
    }
    rs_known_answered(k, 0);
    look = rs_known_look(k, &h, &hand, watched);
    if (look == RS_LOOK_LOST) {
        return look;
    }
    for (i = 0; i < n; i++) {
        rs_known_entry(k, id(ids[i]));
    }
    if (n && hand.gone == n) {
        again = rs_known_look(k, &h, &nothing, watched);
    }
    return look == RS_LOOK_SAME ? again : look;
}

#define IDS(...)                                                                                   \
    (int)(sizeof((apr_uint64_t[]){__VA_ARGS__}) / 8), (apr_uint64_t[]) { __VA_ARGS__ }

/* A reader whose topic begins at `start`. */
static rs_verdict_t judge(const rs_known_t *k, apr_uint64_t start, apr_uint64_t at)
{
    return rs_known_judge(k, id(start), id(at), 1, NULL);
}

static void trimmed(void)
{
    rs_known_t k = begun(says(100, 10, 20, 20));
    rs_verdict_t v;

    is_int(took(&k, says(103, 10, 23, 23), IDS(101, 102, 103), 1), RS_LOOK_SAME, "three were read");
    ok(k.at.ms == 103 && k.added == 23, "and are known");
    is_int(judge(&k, 100, 102).kind, RS_VERDICT_RESUMED, "who has one of them has missed nothing");
    is_int(judge(&k, 100, 90).kind, RS_VERDICT_ASK, "of what was before only Redis knows");
    is_int(judge(&k, 100, 104).kind, RS_VERDICT_ASK, "and of what was not read yet");
    is_int(took(&k, says(120, 111, 40, 10), IDS(111, 120), 1), RS_LOOK_GAP,
           "some were trimmed in front of what was read");
    v = judge(&k, 100, 103);
    ok(v.kind == RS_VERDICT_TRIMMED && rs_id_cmp(v.place, rs_id_before(id(111))) == 0
           && v.first.ms == 111,
       "who is in front of them is told, and goes on with what is there");
    is_int(rs_known_judge(&k, id(100), v.place, 1, NULL).kind, RS_VERDICT_RESUMED,
           "from there it is not told again");
    is_int(judge(&k, 100, 111).kind, RS_VERDICT_RESUMED, "nor is who came later");
    is_int(took(&k, says(120, 111, 40, 10), 0, NULL, 1), RS_LOOK_SAME, "told once");

    k = begun(says(100, 100, 1, 1));
    is_int(took(&k, says(200, 0, 51, 0), 0, NULL, 1), RS_LOOK_GAP,
           "written and trimmed to nothing");
    ok(k.at.ms == 200, "it is not waited for");
    is_int(judge(&k, 100, 100).kind, RS_VERDICT_TRIMMED, "who had the one before is told");
    is_int(judge(&k, 100, 200).kind, RS_VERDICT_RESUMED, "and then stands behind it");

    k = begun(says(100, 100, 1, 1));
    is_int(took(&k, says(103, 103, 4, 1), IDS(101), 1), RS_LOOK_GAP,
           "what is in hand is gone already, and more");
    ok(rs_id_cmp(k.gap, rs_id_before(id(103))) == 0, "then it is told behind that");
    is_int(judge(&k, 100, 101).kind, RS_VERDICT_TRIMMED, "so that who has it is told, too");

    k = begun(says(100, 50, -1, 9));
    is_int(took(&k, says(120, 111, -1, 9), IDS(111, 120), 1), RS_LOOK_SAME,
           "a Redis that does not count cannot tell");
}

/* Written and trimmed to nothing; then one comes, which a look sees before it is read. */
static void seen_first(void)
{
    rs_known_t k = begun(says(100, 100, 1, 1)), uncounted = begun(says(100, 100, -1, 1));
    rs_history_t h = says(300, 300, 52, 1), more = says(400, 400, 54, 1);

    is_int(took(&k, says(200, 0, 51, 0), 0, NULL, 1), RS_LOOK_GAP, "all that came is gone");
    is_int(took(&k, h, 0, NULL, 1), RS_LOOK_SAME, "what comes then is there");
    ok(rs_id_cmp(k.at, rs_id_before(id(300))) == 0, "and nothing is in front of it");
    is_int(rs_known_judge(&k, k.at, id(200), 1, &h).kind, RS_VERDICT_RESUMED,
           "who was told is not told again while it is yet to be read");
    is_int(rs_known_judge(&k, k.at, id(199), 1, &h).kind, RS_VERDICT_TRIMMED,
           "who was not is told");
    took(&k, h, IDS(300), 1);
    is_int(rs_known_judge(&k, id(300), id(200), 1, &h).kind, RS_VERDICT_RESUMED,
           "nor when it was read");
    is_int(took(&k, more, 0, NULL, 1), RS_LOOK_GAP, "another one is trimmed");
    is_int(rs_known_judge(&k, k.at, id(300), 1, &more).kind, RS_VERDICT_TRIMMED,
           "which who stands there is told");

    took(&uncounted, says(300, 300, -1, 1), 0, NULL, 1);
    h = says(300, 300, -1, 1);
    is_int(rs_known_judge(&uncounted, uncounted.at, id(200), 1, &h).kind, RS_VERDICT_TRIMMED,
           "where nothing counts, nobody knows what was in front of it");
}

static void deleted(void)
{
    rs_known_t k = begun(says(100, 10, 20, 20));
    rs_history_t h = says(105, 10, 25, 21);

    h.deleted = id(104);
    is_int(took(&k, h, IDS(105), 1), RS_LOOK_SAME,
           "older ones are there: single ones were deleted");
    k = begun(says(100, 100, 1, 1));
    h = says(101, 0, 2, 0);
    h.deleted = id(101);
    is_int(took(&k, h, 0, NULL, 0), RS_LOOK_SAME, "one was added and deleted");
    ok(k.at.ms == 101 && k.added == 2, "which is not waited for");
    h = says(150, 0, 52, 0);
    h.deleted = id(150);
    is_int(took(&k, h, 0, NULL, 1), RS_LOOK_SAME, "fifty were, while it was watched");
    h = says(200, 0, 102, 0);
    h.deleted = id(200);
    is_int(took(&k, h, 0, NULL, 0), RS_LOOK_GAP, "when it was not, nobody knows how");
    h = says(250, 241, 152, 10);
    h.deleted = id(230);
    is_int(took(&k, h, IDS(241, 250), 1), RS_LOOK_GAP, "one of many was deleted, the rest trimmed");
}

static void lost(void)
{
    rs_known_t k = begun(says(100, 10, 20, 20));
    rs_verdict_t v;

    is_int(took(&k, says(90, 10, 15, 15), 0, NULL, 1), RS_LOOK_LOST, "the tail is gone");
    v = judge(&k, 90, 100);
    ok(v.kind == RS_VERDICT_LOST && v.place.ms == 90,
       "who had it is told, and goes on at what is left");
    is_int(judge(&k, 90, 90).kind, RS_VERDICT_RESUMED, "from there it is not told again");
    is_int(judge(&k, 90, 80).kind, RS_VERDICT_LOST, "who had less missed what was lost");
    took(&k, says(110, 10, 16, 16), IDS(110), 1);
    is_int(judge(&k, 90, 110).kind, RS_VERDICT_RESUMED,
           "ids that were given out after that are good");
    is_int(judge(&k, 90, 95).kind, RS_VERDICT_LOST, "those of before are not, for good");

    k = begun(says(100, 10, 20, 20));
    is_int(took(&k, says(205, 201, 5, 5), IDS(201, 202, 203, 204, 205), 1), RS_LOOK_LOST,
           "another stream");
    ok(rs_id_cmp(k.at, rs_id_before(id(201))) == 0, "all of it is read");
    is_int(judge(&k, 90, 100).kind, RS_VERDICT_LOST, "who had all of the other one is told");
    is_int(took(&k, says(205, 201, 5, 5), IDS(201, 202, 203, 204, 205), 1), RS_LOOK_SAME, "once");

    k = begun(says(100, 10, 20, 20));
    is_int(took(&k, says(205, 10, 12, 12), IDS(204, 205), 1), RS_LOOK_LOST,
           "the tail is gone, and more has come since");
    v = judge(&k, 90, 100);
    ok(v.kind == RS_VERDICT_LOST && rs_id_cmp(v.place, rs_id_before(id(204))) == 0,
       "who had all of it goes on with what came since");
    is_int(judge(&k, 90, 203).kind, RS_VERDICT_LOST, "an id that nobody was given is none");
    is_int(rs_known_judge(&k, id(90), v.place, 1, NULL).kind, RS_VERDICT_RESUMED,
           "from there it is not told again");
    v = judge(&k, 90, 95);
    ok(v.kind == RS_VERDICT_LOST && v.place.ms == 95, "who had less may need what is left");
    k = begun(says(100, 10, 20, 20));
    is_int(took(&k, says(205, 10, 12, 12), 0, NULL, 1), RS_LOOK_LOST, "which a look sees first");
    v = judge(&k, 90, 100);
    ok(v.kind == RS_VERDICT_LOST && v.place.ms == 100, "then it is read from where each stands");

    k = begun(says(1795000000000u, 1795000000000u, 1, 1));
    took(&k, says(5, 1, 5, 5), 0, NULL, 1);
    took(&k, says(9, 1, 9, 9), IDS(1, 2, 3, 4, 5, 6, 7, 8, 9), 1);
    is_int(judge(&k, 0, 5).kind, RS_VERDICT_RESUMED, "it may begin anew with low ids");
    is_int(judge(&k, 0, 1795000000000u).kind, RS_VERDICT_LOST, "and the others are known");

    k = begun(says(100, 10, 20, 20));
    took(&k, says(0, 0, 0, 0), 0, NULL, 1);
    is_int(judge(&k, 0, 0).kind, RS_VERDICT_RESUMED, "of a key that is gone nothing is missing");
    is_int(took(&k, says(300, 300, 1, 1), IDS(300), 1), RS_LOOK_SAME, "and what comes is read");

    k = begun(says(100, 10, 20, 20));
    rs_known_ask(&k);
    is_int(rs_known_look(&k, &(rs_history_t){.newest = {50, 0}, .first = {10, 0}, .added = 12},
                         &(rs_hand_t){0}, 1),
           RS_LOOK_LOST, "lost while it is being read");
    rs_known_answered(&k, 0);
    ok(k.at.ms == 50, "what the read would have covered does not count");
}

static void progress(void)
{
    rs_known_t k = begun(says(100, 10, 20, 20));
    rs_history_t h = says(100, 10, 20, 19);

    /* XSETID forward, with older entries there: nothing can be read up to that id. */
    h = says(500, 10, 20, 20);
    took(&k, h, 0, NULL, 1);
    ok(k.at.ms == 100, "it may have come since it was read");
    took(&k, h, 0, NULL, 1);
    ok(k.at.ms == 500, "the second time it is behind us");
}

static void asked(void)
{
    rs_known_t k = begun(says(100, 50, 60, 20));
    rs_history_t h = says(100, 50, 60, 20), whole = says(100, 50, 20, 20);
    rs_verdict_t v = rs_known_judge(&k, id(100), id(49), 1, &h);

    ok(v.kind == RS_VERDICT_TRIMMED && v.first.ms == 50, "Redis has less than it needs");
    is_int(rs_known_judge(&k, id(100), v.place, 1, &h).kind, RS_VERDICT_RESUMED, "told once");
    is_int(rs_known_judge(&k, id(100), id(50), 1, &h).kind, RS_VERDICT_RESUMED, "just enough");
    is_int(rs_known_judge(&k, id(100), id(101), 1, &h).kind, RS_VERDICT_LOST,
           "an id that is not there");
    k = begun(whole);
    is_int(rs_known_judge(&k, id(100), id(0), 1, &whole).kind, RS_VERDICT_RESUMED,
           "all of a stream of which nothing was removed");
    is_int(rs_known_judge(&k, id(0), id(30), 1, NULL).kind, RS_VERDICT_TRIMMED,
           "an id of another one, in front of it");
    k = begun(says(40, 0, 0, 0));
    whole = says(100, 80, 5, 5);
    took(&k, whole, IDS(80, 85, 90, 95, 100), 1);
    is_int(rs_known_judge(&k, id(100), id(40), 1, NULL).kind, RS_VERDICT_ASK,
           "one of its own, that it had when it held nothing");
    is_int(rs_known_judge(&k, id(100), id(40), 1, &whole).kind, RS_VERDICT_RESUMED,
           "and Redis has what it needs");
    is_int(rs_known_judge(&k, id(100), id(39), 1, &whole).kind, RS_VERDICT_TRIMMED,
           "one in front of that is of another one");
}

int main(void)
{
    trimmed();
    seen_first();
    deleted();
    lost();
    progress();
    asked();
    return done_testing();
}
