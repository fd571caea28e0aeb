/* SPDX-License-Identifier: Apache-2.0
 *
 * Gates by themselves: their table, and who waits for what it has sent. This program plays the
 * streamer.
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>

#include "../../src/base/rs_clock.h"
#include "../../src/log/rs_common.h"
#include "../../src/log/rs_registry_int.h"
#include "../../src/proto/rs_gateway.h"
#include "tap.h"

static apr_pool_t *p;
static rs_common_t common;
static rs_inbox_t inbox;
static rs_poll_t *poll_;
static rs_sent_t sent;

static rs_gate_t *gate(void)
{
    static const char request[] = "{\"url\":\"/\",\"headers\":{}}";
    rs_gate_t *made = rs_gate_create(&common, NULL, "", request, sizeof(request) - 1);

    made->streamer = &inbox;
    return made;
}

static void table(void)
{
    rs_gate_t *all[3000];
    int i, found = 0, gone = 0;

    for (i = 0; i < 3000; i++) {
        all[i] = gate();
        rs_gates_add(&common.gates, all[i]);
    }
    for (i = 0; i < 3000; i++) {
        rs_gate_t *g = rs_gates_find(&common.gates, all[i]->token);

        found += g == all[i];
        rs_gate_drop(g);
    }
    is_int(found, 3000, "each is found by its token");
    ok(!rs_gates_find(&common.gates, "nobody's") && !rs_gates_find(&common.gates, ""),
       "and none by another");
    for (i = 0; i < 3000; i++) {
        rs_gates_remove(&common.gates, all[i]);
        rs_gates_remove(&common.gates, all[i]); /* does no harm */
        gone += !rs_gates_find(&common.gates, all[i]->token);
        rs_gate_drop(all[i]);
    }
    is_int(gone, 3000, "nor once it was taken out");
}

static void tokens(void)
{
    rs_registry_t *registry, other;
    char token[RS_GATE_TOKEN_LEN];
    rs_gate_token_t where;
    unsigned turn;
    int i, good = 0, versions = 0;

    ok(rs_registry_open(&registry, p, 2, 10) == APR_SUCCESS && rs_registry_claim(registry) == 1,
       "a registry");
    for (i = 0; i < 100; i++) {
        good += rs_gate_token_make(token, &turn, registry) && strlen(token) == 36
                && rs_gate_token_read(&where, token, registry) == RS_TOKEN_HERE;
        versions += token[14] == '4' && strchr("89ab", token[19]) != NULL;
    }
    is_int(good, 100, "this child knows its own tokens");
    is_int(versions, 100, "which are UUIDs of version 4");
    other = *registry;
    other.place += 300;
    is_int(rs_gate_token_read(&where, token, &other), RS_TOKEN_CHILD, "another child of the node");
    is_int((int)where.place, (int)registry->place, "knows whose it is");
    other.node[0] = other.node[0] == 'a' ? 'b' : 'a';
    is_int(rs_gate_token_read(&where, token, &other), RS_TOKEN_NODE, "another node");
    is_str(where.node, registry->node, "knows which node it is of");
    token[35] = 'g';
    is_int(rs_gate_token_read(&where, token, registry), RS_TOKEN_NONE, "what is none");
    is_int(rs_gate_token_read(&where, "", registry), RS_TOKEN_NONE, "is known for that");
    rs_registry_close(registry);
}

static void identities(void)
{
    char longest[RS_GATEWAY_IDENTITY_MAX + 2];

    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    ok(!rs_gateway_identity_good(longest) && rs_gateway_identity_good(longest + 1)
           && rs_gateway_identity_good("tab-7/\xc3\xb6"),
       "what may be an identity");
    ok(!rs_gateway_identity_good("") && !rs_gateway_identity_good("a:b")
           && !rs_gateway_identity_good("a b") && !rs_gateway_identity_good("a\n"),
       "and what may not");
}

static void *APR_THREAD_FUNC send_one(apr_thread_t *thread, void *data)
{
    (void)thread;
    sent = rs_gate_send(data, "data: x\n\n", 9, 1, apr_time_from_sec(1));
    return NULL;
}

static rs_send_t *next_send(void)
{
    rs_poll_event_t none;
    rs_msg_t *msg;

    while (!(msg = rs_inbox_drain(&inbox))) {
        rs_poll_wait(poll_, &none, 1, apr_time_from_sec(1));
    }
    return (rs_send_t *)msg;
}

static void sends(void)
{
    rs_gate_t *g = gate();
    apr_thread_t *thread;
    apr_status_t ignored;
    rs_send_t *send;

    apr_thread_create(&thread, NULL, send_one, g, p);
    send = next_send();
    is_int(send->msg.kind, RS_MSG_SEND, "the streamer is told");
    ok(send->gate == g && send->close && send->len == 9 && !memcmp(send->frames, "data: x\n\n", 9),
       "what is sent, and to whom");
    ok(rs_send_begin(send), "it is wanted");
    apr_sleep(apr_time_from_msec(1200)); /* more than anybody waits who could still take it back */
    rs_send_answer(send, RS_SENT_BUFFERED);
    apr_thread_join(&ignored, thread);
    is_int(sent, RS_SENT_BUFFERED, "what was begun is waited for: the streamer answers");

    apr_thread_create(&thread, NULL, send_one, g, p);
    send = next_send();
    apr_thread_join(&ignored, thread);
    is_int(sent, RS_SENT_LATE, "one that nobody takes is taken back");
    ok(!rs_send_begin(send), "and is not sent later");

    rs_inbox_close(&inbox);
    is_int(rs_gate_send(g, NULL, 0, 0, apr_time_from_sec(1)), RS_SENT_GONE,
           "nobody is there any more");
    rs_gate_drop(g);
}

static void words(void)
{
    rs_buf_t b = RS_BUF_INIT;

    rs_gateway_refusal(&b, 304, "X-A: b\r\n", "Backend returned 304", "BACKEND_ERROR");
    rs_buf_add(&b, "", 1);
    ok(!strncmp(b.data, "HTTP/1.1 304 Not Modified\r\nX-A: b\r\n", 35)
           && !strcmp(b.data + b.len - 5, "\r\n\r\n"),
       "a status that has no body has none");
    rs_buf_clear(&b);
    rs_gateway_rejected(&b, 401, "");
    rs_buf_add(&b, "", 1);
    is_str(b.data, "event: rejected\ndata: {\"status\":401,\"message\":\"Unauthorized\"}\n\n",
           "the standard words");
    is_str(rs_gateway_phrase(599), "Unknown", "where there are some");
    rs_buf_free(&b);
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&p, NULL);
    rs_poll_create(&poll_, p);
    rs_inbox_open(&inbox, poll_);
    rs_gates_open(&common.gates);
    table();
    tokens();
    identities();
    words();
    sends();
    rs_gates_close(&common.gates);
    apr_pool_destroy(p);
    return done_testing();
}
