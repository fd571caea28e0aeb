/* SPDX-License-Identifier: Apache-2.0
 *
 * The SSE encoder: exact bytes, and that no payload can say more than `data:`.
 */
#include <apr_strings.h>

#include "proto/rs_sse.h"
#include "tap.h"

static const char *event(rs_buf_t *b, const char *data, size_t len, size_t *head, size_t *tail)
{
    rs_buf_clear(b);
    rs_sse_event(b, "order_created", 13, "5-0", 3, data, len, head, tail);
    rs_buf_add(b, "", 1);
    return b->data;
}

/* What follows the event line, without the id line. */
static const char *lines(rs_buf_t *b, const char *data, size_t len)
{
    static char text[256];
    size_t head, tail;
    const char *frame = event(b, data, len, &head, &tail);

    apr_snprintf(text, sizeof(text), "%.*s%s", (int)head - 21, frame + 21, frame + tail);
    return text;
}

#define DATA(text) lines(&b, text, sizeof(text) - 1)

static void challenge(void)
{
    rs_buf_t b = RS_BUF_INIT;

    rs_sse_challenge(&b, "n-1", 60);
    rs_buf_add(&b, "", 1);
    is_str(b.data, "event: challenge\ndata: {\"connection\":\"n-1\",\"expires_in\":60}\n\n",
           "a challenge, without an id");
    rs_buf_free(&b);
}

int main(void)
{
    static const rs_who_t who = {"stream", "42", "\"u\"", NULL},
                          orders = {"orders", "\"acme\"", "null", "n-1"};
    rs_buf_t b = RS_BUF_INIT;
    size_t head, tail;

    is_str(event(&b, "{}", 2, &head, &tail), "event: order_created\ndata: {}\nid: 5-0\n\n",
           "an event: the id comes when all of it is there");
    ok(head == 30 && tail == 38, "the id line can be exchanged");
    is_str(DATA(""), "data: \n\n", "an empty payload");
    is_str(DATA("a\nb"), "data: a\ndata: b\n\n", "LF");
    is_str(DATA("a\rb"), "data: a\ndata: b\n\n", "CR");
    is_str(DATA("a\r\nb"), "data: a\ndata: b\n\n", "CRLF is one end of line");
    is_str(DATA("a\n\nid: 9\n"), "data: a\ndata: \ndata: id: 9\ndata: \n\n", "a forged id is data");
    is_str(DATA("a\0b"),
           "data: a\xEF\xBF\xBD"
           "b\n\n",
           "NUL");
    is_str(DATA("\xC3\xA4\xFF\xC3"), "data: \xC3\xA4\xEF\xBF\xBD\xEF\xBF\xBD\n\n",
           "bytes that are not UTF-8");

    rs_buf_clear(&b);
    rs_sse_connected(&b, &orders, apr_time_from_sec(2), "1-0", apr_time_from_sec(1), "reset",
                     "unknown", "5-1");
    rs_buf_add(&b, "", 1);
    is_str(b.data,
           "retry: 2000\nevent: connected\n"
           "data: {\"stream\":\"orders\",\"tenant_id\":\"acme\",\"user_id\":null,"
           "\"timestamp\":\"1970-01-01T00:00:01.000000+00:00\",\"recovery\":\"reset\",\"reason\":"
           "\"unknown\",\"first_id\":\"5-1\",\"connection\":\"n-1\"}\nid: 1-0\n\n",
           "connected");
    rs_buf_clear(&b);
    rs_sse_connected(&b, &who, apr_time_from_sec(2), NULL, 0, "new", NULL, NULL);
    rs_buf_add(&b, "", 1);
    ok(!strstr(b.data, "id:") && strstr(b.data, "\"tenant_id\":42,\"user_id\":\"u\""),
       "no id when there is none, and JSON types are kept");
    rs_buf_clear(&b);
    rs_sse_heartbeat(&b, &who, "1-0", apr_time_from_sec(7) + 5000, RS_HEARTBEAT_EVENT);
    rs_sse_heartbeat(&b, &orders, "1-0", apr_time_from_sec(7), RS_HEARTBEAT_EVENT);
    rs_sse_heartbeat(&b, &orders, "1-0", apr_time_from_sec(7), RS_HEARTBEAT_COMMENT);
    rs_sse_heartbeat(&b, &orders, "1-0", apr_time_from_sec(7), RS_HEARTBEAT_ID);
    rs_sse_heartbeat(&b, &orders, NULL, apr_time_from_sec(7), RS_HEARTBEAT_ID);
    rs_sse_error(&b, "orders", "draining", "Stream ended", "a \"b\"", apr_time_from_msec(2500));
    rs_buf_add(&b, "", 1);
    is_str(b.data,
           "event: heartbeat\ndata: {\"stream\":\"stream\",\"timestamp\":7.005,"
           "\"message\":\"Connection alive\",\"tenant_id\":42}\nid: 1-0\n\n"
           "event: heartbeat\ndata: "
           "{\"stream\":\"orders\",\"timestamp\":7.000,\"tenant_id\":\"acme\"}\nid: 1-0\n\n"
           ": heartbeat\n"
           ": heartbeat\nid: 1-0\n\n"
           ": heartbeat\n"
           "retry: 2500\nevent: error\ndata: {\"stream\":\"orders\",\"message\":\"Stream ended\","
           "\"error\":\"a \\\"b\\\"\",\"code\":\"draining\"}\n\n",
           "heartbeats and an error");
    rs_buf_free(&b);
    challenge();
    return done_testing();
}
