/* SPDX-License-Identifier: Apache-2.0
 *
 * Gaps: what XINFO STREAM says, and what it means for a reader at some id.
 */
#include <stdio.h>
#include <stdlib.h>

#include "log/rs_known.h"
#include "tap.h"

static redisReply *parse(redisReader *reader, const char *text)
{
    void *reply = NULL;

    redisReaderFeed(reader, text, strlen(text));
    redisReaderGetReply(reader, &reply);
    return reply;
}

/* As Redis 7 answers, in RESP2; added < 0: as Redis 6 does, without entries-added. */
static rs_history_t info(int length, int added, const char *newest, const char *first)
{
    redisReader *reader = redisReaderCreate();
    char text[512], entry[128] = "*-1\r\n";
    redisReply *reply;
    rs_history_t h = {0};

    if (first) {
        snprintf(entry, sizeof(entry), "*2\r\n$%d\r\n%s\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
                 (int)strlen(first), first);
    }
    snprintf(text, sizeof(text),
             "*%d\r\n$6\r\nlength\r\n:%d\r\n$17\r\nlast-generated-id\r\n$%d\r\n%s\r\n"
             "$11\r\nfirst-entry\r\n%s",
             added < 0 ? 6 : 8, length, (int)strlen(newest), newest, entry);
    if (added >= 0) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "$13\r\nentries-added\r\n:%d\r\n", added);
    }
    reply = parse(reader, text);
    ok(reply && rs_history_parse(&h, reply), "an answer of XINFO STREAM");
    freeReplyObject(reply);
    redisReaderFree(reader);
    return h;
}

/* Of a child that knows nothing but that: a reader with this id is judged. */
static void judged(const rs_history_t *h, const char *id, rs_verdict_kind_t want, const char *name)
{
    static const rs_hand_t nothing;
    rs_known_t known = {0};
    rs_id_t parsed;

    rs_known_look(&known, h, &nothing, 0);
    rs_id_parse(&parsed, id, strlen(id));
    is_int(rs_known_judge(&known, h->newest, parsed, 1, h).kind, want, name);
}

int main(void)
{
    rs_history_t h = info(3, 3, "9-0", "5-0");
    redisReader *reader = redisReaderCreate();
    redisReply *reply;

    judged(&h, "9-0", RS_VERDICT_RESUMED, "the newest");
    judged(&h, "5-0", RS_VERDICT_RESUMED, "the oldest that is there");
    judged(&h, "7-3", RS_VERDICT_RESUMED, "in between, also when it was deleted");
    judged(&h, "0-0", RS_VERDICT_RESUMED,
           "from the beginning of a stream of which nothing was removed");
    judged(&h, "9-1", RS_VERDICT_LOST, "from the future");
    judged(&h, "3-0", RS_VERDICT_TRIMMED,
           "older than a whole stream: from another one of this name");
    h = info(3, 8, "9-0", "5-0");
    judged(&h, "4-9", RS_VERDICT_TRIMMED, "before the oldest of a trimmed stream");
    judged(&h, "0-0", RS_VERDICT_TRIMMED, "from its beginning");
    judged(&h, "5-0", RS_VERDICT_RESUMED, "at its oldest");
    h = info(3, -1, "9-0", "5-0");
    judged(&h, "4-9", RS_VERDICT_TRIMMED,
           "without entries-added it cannot be known, so it is a gap");
    h = info(0, 8, "9-0", NULL);
    judged(&h, "9-0", RS_VERDICT_RESUMED, "at the end of an emptied stream");
    judged(&h, "8-0", RS_VERDICT_TRIMMED, "before it");
    reply = parse(reader, "-ERR no such key\r\n");
    ok(rs_history_parse(&h, reply), "no such key");
    freeReplyObject(reply);
    judged(&h, "1-0", RS_VERDICT_LOST, "a reader of a stream that is gone");
    judged(&h, "0-0", RS_VERDICT_RESUMED, "and one that has had nothing");
    reply = parse(reader, "*2\r\n$17\r\nlast-generated-id\r\n$3\r\n9-0\r\n");
    ok(rs_history_parse(&h, reply) && !h.whole && h.added == -1,
       "without any counter nothing says that the stream is whole");
    freeReplyObject(reply);
    judged(&h, "0-0", RS_VERDICT_TRIMMED, "so one that has had nothing has a gap");
    reply = parse(reader, "*4\r\n$17\r\nlast-generated-id\r\n$3\r\n9-0\r\n"
                          "$13\r\nentries-added\r\n:-5\r\n");
    ok(rs_history_parse(&h, reply) && h.added == -1, "a negative counter is none");
    freeReplyObject(reply);
    reply = parse(reader, "-WRONGTYPE x\r\n");
    ok(!rs_history_parse(&h, reply), "something else");
    freeReplyObject(reply);
    redisReaderFree(reader);
    return done_testing();
}
