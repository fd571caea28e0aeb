/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of a key that is deleted and made anew, or becomes a copy of before: ids of before
 * are told from its own. And of a queue that is worked off, or trimmed. Look by look.
 */
#include "log/rs_known.h"
#include "tap.h"

static rs_known_t k;
static int gaps, losses;

static void begin(void)
{
    static const rs_known_t fresh;

    k = fresh;
    gaps = losses = 0;
}

/* XINFO STREAM, and an entry that was read before that; 0: none. */
static void look_at(long long there, apr_uint64_t first, apr_uint64_t last, apr_uint64_t del,
                    long long count, apr_uint64_t in_hand)
{
    rs_history_t h = {{last, 0}, {first, 0},    !there,  there == count,
                      count,     count - there, {del, 0}};
    rs_hand_t in = {in_hand > 0, in_hand && first > in_hand, {in_hand, 0}, {in_hand, 0}};
    rs_look_t look;

    if (count == 0) {
        rs_history_none(&h);
    }
    look = rs_known_look(&k, &h, &in, 1);
    gaps += look == RS_LOOK_GAP;
    losses += look == RS_LOOK_LOST;
    if (in_hand) {
        rs_known_entry(&k, in.first);
    }
}

static rs_verdict_kind_t came_with(apr_uint64_t ms)
{
    rs_id_t start = {0, 0}, id = {ms, 0};

    return rs_known_judge(&k, start, id, 1, NULL).kind;
}

static void anew(void)
{
    begin();
    look_at(1, 20, 20, 0, 1, 0);
    look_at(0, 0, 0, 0, 0, 0);
    is_int(losses, 1, "a stream that is gone");
    look_at(0, 0, 30, 30, 1, 0);
    look_at(1, 40, 40, 30, 2, 40);
    is_int(gaps, 0, "and its successor, of which an entry is deleted unread");
    is_int(came_with(10), RS_VERDICT_LOST, "an id of a stream of before both is lost");
    is_int(came_with(20), RS_VERDICT_LOST, "so is one of the first");
    is_int(came_with(30), RS_VERDICT_RESUMED, "one of what was deleted is not");

    begin();
    look_at(0, 0, 0, 0, 0, 0);
    look_at(0, 0, 30, 30, 1, 0);
    look_at(1, 40, 40, 30, 2, 40);
    is_int(came_with(10), RS_VERDICT_TRIMMED, "an id of before all that a stream ever held");
    is_int(came_with(30), RS_VERDICT_RESUMED, "and of the first");

    begin();
    look_at(1, 20, 20, 10, 2, 0);
    look_at(1, 40, 40, 0, 3, 40);
    is_int(losses, 1, "it counts as before, but nothing was ever deleted: another one");

    begin();
    look_at(3, 10, 30, 0, 3, 0);
    look_at(1, 10, 10, 0, 1, 0);
    look_at(4, 10, 60, 0, 4, 40);
    look_at(1, 70, 70, 0, 5, 70);
    is_int(gaps, 1, "a copy of before that is trimmed while it is being read");
    is_int(came_with(40), RS_VERDICT_TRIMMED, "who has what was read of it is told");

    begin();
    look_at(0, 0, 0, 0, 0, 0);
    look_at(1, 20, 20, 0, 1, 20);
    look_at(2, 10, 30, 0, 2, 30);
    is_int(losses, 1, "a copy of before that counts as much: its oldest entry is older");

    begin();
    look_at(0, 0, 0, 0, 0, 0);
    look_at(2, 10, 30, 0, 2, 20);
    is_int(losses, 1, "one that is older than what was read first");

    begin();
    look_at(5, 10, 50, 0, 5, 0);
    look_at(3, 10, 50, 0, 3, 0);
    is_int(losses, 1, "one whose newest entry has the id of a lost one, but that counts fewer");

    begin();
    look_at(0, 0, 0, 0, 0, 0);
    look_at(3, 10, 30, 0, 3, 10); /* 20 and 30 were seen, and not read yet */
    look_at(1, 40, 40, 0, 1, 40);
    is_int(losses, 1, "one that counts fewer than were seen, though not fewer than were read");
}

/* Entries that nobody here has read are there again, below what was read. */
static void put_back(void)
{
    begin();
    look_at(1, 10, 10, 0, 1, 0);
    look_at(4, 10, 60, 0, 4, 50); /* 20 and 30; 50 is not there any more */
    is_int(losses, 0, "a copy of before with more than was read: there may be more to read");
    look_at(4, 10, 60, 0, 4, 60);
    is_int(losses, 1, "all is read, and none of those that it counts more can be gone");
    is_int(came_with(20), RS_VERDICT_LOST, "who stands among them is told");

    begin();
    look_at(2, 10, 20, 0, 2, 0);
    look_at(0, 0, 20, 0, 2, 0);
    look_at(4, 10, 60, 0, 4, 50);
    is_int(losses, 1, "likewise where none was left: at once");

    begin();
    look_at(1, 10, 10, 0, 1, 0);
    look_at(2, 10, 60, 40, 4, 60);
    look_at(3, 10, 70, 65, 6, 70);
    look_at(4, 10, 80, 75, 8, 80);
    is_int(losses, 0, "as many as it counts more were deleted");
    look_at(6, 10, 95, 75, 10, 95);
    is_int(losses, 1, "those were counted already");

    begin();
    look_at(1, 20, 20, 10, 2, 0);
    look_at(2, 10, 20, 0, 2, 0);
    is_int(losses, 1, "what was deleted is there again, and nothing else has changed");
    is_int(came_with(20), RS_VERDICT_RESUMED, "who stands where it ends has all of it");
    is_int(came_with(15), RS_VERDICT_LOST, "who stands below that is told");
    look_at(3, 10, 30, 0, 3, 30);
    is_int(came_with(20), RS_VERDICT_RESUMED, "nor is the first told when it goes on");
}

/* What Redis says to somebody who comes with an id that is not in memory. */
static rs_verdict_t asked_with(apr_uint64_t ms, long long there, apr_uint64_t first,
                                    apr_uint64_t last, long long count)
{
    rs_history_t h = {{last, 0}, {first, 0}, !there, there == count, count, count - there, {0, 0}};
    rs_id_t start = {last, 0}, id = {ms, 0};

    return rs_known_judge(&k, start, id, 1, &h);
}

/* Who is told of a loss gets an id that is good until more is removed. */
static void place_of_lost(void)
{
    rs_id_t start = {0, 0}, late = {60, 0}, old = {20, 0};
    rs_history_t h = {{60, 0}, {40, 0}, 0, 0, 2, 1, {60, 0}};
    rs_verdict_t v;

    begin();
    look_at(1, 20, 20, 0, 1, 0);
    look_at(0, 0, 0, 0, 0, 0);
    is_int((long long)rs_known_judge(&k, start, old, 1, NULL).place.ms, 0,
           "a key that is gone has no place but the first");
    look_at(1, 40, 40, 0, 1, 40);
    look_at(1, 40, 60, 60, 2, 0);
    v = rs_known_judge(&k, start, old, 1, NULL);
    ok(v.kind == RS_VERDICT_LOST && rs_id_cmp(v.place, rs_id_before((rs_id_t){40, 0})) == 0,
       "when it is there again, who is told goes on in front of its first entry");
    is_int(rs_known_judge(&k, late, v.place, 1, &h).kind, RS_VERDICT_RESUMED,
           "and is not told again, though one was deleted");
    look_at(1, 70, 70, 60, 3, 70);
    v = rs_known_judge(&k, start, old, 1, NULL);
    ok(rs_id_cmp(v.place, rs_id_before((rs_id_t){70, 0})) == 0, "of the first that is left");
    look_at(0, 0, 70, 70, 3, 0);
    is_int((long long)rs_known_judge(&k, start, old, 1, NULL).place.ms, 70,
           "or behind all, if none is");

    begin();
    look_at(2, 20, 50, 0, 2, 0);
    look_at(0, 0, 0, 0, 0, 0);
    look_at(1, 40, 40, 0, 1, 40);
    v = rs_known_judge(&k, start, (rs_id_t){50, 0}, 1, NULL);
    ok(v.kind == RS_VERDICT_LOST && v.place.ms == 0, "but not with an id that may be a lost one");
}

/* What was read of the tail is lost before it is given out: XINFO STREAM tells of a copy that has
 * nothing of it. 1 .. 20, 30 and 40 are there; those up to `given` were given out. */
static void lost_in_hand(int given)
{
    rs_history_t copy = {{20, 0}, {10, 0}, 0, 1, 2, 0, {0, 0}};
    rs_hand_t hand = {given ? 1 : 2, 0, {given ? 40 : 30, 0}, {40, 0}};

    begin();
    look_at(2, 10, 20, 0, 2, 0);
    if (given) {
        look_at(3, 10, 30, 0, 3, 30);
    }
    is_int(rs_known_look(&k, &copy, &hand, 1), RS_LOOK_LOST, "a tail that is lost in hand");
}

static void told_of_lost_in_hand(void)
{
    rs_id_t start = {50, 0};
    rs_verdict_t v;

    lost_in_hand(1);
    v = rs_known_judge(&k, start, (rs_id_t){30, 0}, 1, NULL);
    ok(v.kind == RS_VERDICT_LOST && v.place.ms == 20 && v.place.seq == 0,
       "who had some of it goes on where the copy ends, as others say who had nothing in hand");
    ok(rs_known_judge(&k, k.at, v.place, 1, NULL).kind == RS_VERDICT_RESUMED,
       "and is not told again here who was told that by another");
    is_int((long long)k.at.ms, 20, "it is read on from there");
    is_int((long long)k.added, 2, "and what is there counts");

    lost_in_hand(0);
    is_int((long long)k.at.ms, 20, "nor is it read from the beginning where none was given out");
    is_int(rs_known_judge(&k, k.at, (rs_id_t){20, 0}, 1, NULL).kind, RS_VERDICT_RESUMED,
           "who had nothing of it has all there is");
    is_int(rs_known_judge(&k, k.at, (rs_id_t){40, 0}, 1, NULL).kind, RS_VERDICT_ASK,
           "who had it, from another, is asked for");
}

static void emptied(void)
{
    int i;

    begin();
    look_at(1, 10, 10, 0, 1, 0);
    look_at(0, 0, 10, 0, 1, 0);
    for (i = 2; i < 10; i++) {
        look_at(i - 1, 20, (apr_uint64_t)i * 10, 0, i, (apr_uint64_t)i * 10);
    }
    is_int(asked_with(10, 8, 20, 90, 9).kind, RS_VERDICT_RESUMED,
           "who had what was there before it was emptied misses nothing of what came then");
    is_int(asked_with(5, 8, 20, 90, 9).kind, RS_VERDICT_TRIMMED, "who had less does");
    is_int(asked_with(10, 7, 30, 90, 9).kind, RS_VERDICT_TRIMMED,
           "and so does the first, if more is gone");

    begin();
    look_at(0, 0, 0, 0, 0, 0);
    look_at(0, 0, 10, 0, 1, 0);
    is_int(came_with(5), RS_VERDICT_TRIMMED, "trimmed unread");
    look_at(1, 10, 10, 0, 1, 0);
    is_int(losses, 0, "it is there again");
    is_int((long long)asked_with(5, 1, 10, 10, 1).place.ms, 9, "who comes gets it");
}

static void worked_off(void)
{
    begin();
    look_at(0, 0, 10, 10, 1, 0);
    look_at(0, 0, 30, 30, 4, 0);
    is_int(gaps, 0, "a queue whose worker is faster");
    look_at(1, 50, 50, 30, 5, 50);
    look_at(1, 60, 60, 30, 6, 60);
    look_at(0, 0, 80, 80, 9, 0);
    is_int(gaps, 1, "one that is trimmed is none");
    look_at(0, 0, 90, 90, 10, 0);
    look_at(0, 0, 99, 99, 13, 0);
    is_int(gaps, 1, "but it may become one");
}

/* Made anew with ids below all that it ever held. */
static void with_lower_ids(void)
{
    begin();
    look_at(3, 20, 40, 0, 3, 0);
    look_at(3, 5, 7, 0, 3, 0);
    is_int(losses, 1, "made anew with lower ids");
    is_int((long long)k.at.ms, 4, "is no copy of before: all of it is read");
    is_int((long long)rs_known_judge(&k, k.at, (rs_id_t){20, 0}, 1, NULL).place.ms, 4,
           "and who has what is lost gets all of it");

    begin();
    look_at(2, 30, 40, 0, 4, 0);
    look_at(2, 10, 20, 0, 2, 0);
    is_int((long long)k.at.ms, 20, "what was trimmed may have held those: a copy of before");

    begin();
    look_at(3, 10, 30, 0, 3, 0);
    look_at(2, 50, 60, 0, 2, 0);
    look_at(2, 10, 20, 0, 2, 0);
    is_int((long long)k.at.ms, 20, "so may what was lost");
}

int main(void)
{
    anew();
    put_back();
    place_of_lost();
    told_of_lost_in_hand();
    emptied();
    worked_off();
    with_lower_ids();
    return done_testing();
}
