/* SPDX-License-Identifier: Apache-2.0
 *
 * Handshakes.
 */
#include "../conf/rs_httpd.h"

#include <poll.h>

#include <apr_base64.h>
#include <apr_sha1.h>

#include "../base/rs_buf.h"
#include "../base/rs_clock.h"
#include "../proto/rs_deflate.h"
#include "../proto/rs_ws.h"
#include "../proto/rs_ws_offer.h"
#include "rs_connection.h"
#include "rs_error.h"
#include "rs_request.h"
#include "rs_websocket.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define VERSION "13"
#define PROTOCOL "ragline.v1"
#define BEARER "bearer."

/* 16 bytes as base64. */
#define KEY_LEN 24

/* A client waits for the answer before it sends anything: this is for those that do not. */
#define EARLY_MAX (64 * 1024)

/* How long the answer to a close is waited for, how often is looked whether the child stops, and
 * what part of the workers may wait at once: others are closed without. */
#define GOODBYE apr_time_from_sec(2)
#define LOOK_MSEC 250
#define WAITING_PART 8

static ap_filter_rec_t *filter;

static int has_token(request_rec *r, const char *header, const char *token)
{
    const char *value = apr_table_get(r->headers_in, header);

    return value && ap_find_token(r->pool, value, token);
}

static int key_is_good(const char *key)
{
    int i;

    for (i = 0; key && i < KEY_LEN - 2; i++) {
        if (!apr_isalnum(key[i]) && key[i] != '+' && key[i] != '/') {
            return 0;
        }
    }
    return key && !strcmp(key + KEY_LEN - 2, "==");
}

/* HTTP/2 has no Upgrade: that is mod_http2's, of what it has made a request of HTTP/1.1 (RFC
 * 8441). */
static int upgrades(request_rec *r)
{
    return r->method_number == M_GET && !r->header_only && r->proto_num >= HTTP_VERSION(1, 1)
           && has_token(r, "Upgrade", "websocket") && has_token(r, "Connection", "upgrade");
}

static int version_is_ours(request_rec *r)
{
    const char *version = apr_table_get(r->headers_in, "Sec-WebSocket-Version");

    return version && !strcmp(version, VERSION);
}

static const char *key_of(request_rec *r)
{
    return apr_table_get(r->headers_in, "Sec-WebSocket-Key");
}

int rs_websocket_is_asked(request_rec *r)
{
    return rs_request_kind(r) == RS_KIND_WEBSOCKET && upgrades(r) && version_is_ours(r)
           && key_is_good(key_of(r));
}

/* A 426 has to say to what (RFC 9110, 15.5.22). */
static int upgrade_required(request_rec *r, const char *message)
{
    apr_table_setn(r->err_headers_out, "Upgrade", "websocket");
    apr_table_setn(r->err_headers_out, "Connection", "Upgrade");
    return rs_http_error(r, HTTP_UPGRADE_REQUIRED, "upgrade_required", message);
}

int rs_websocket_check(request_rec *r)
{
    if (!upgrades(r)) {
        return upgrade_required(r, "this endpoint speaks WebSocket, over HTTP/1.1");
    }
    if (!version_is_ours(r)) {
        apr_table_setn(r->err_headers_out, "Sec-WebSocket-Version", VERSION);
        return upgrade_required(r, "the version of WebSocket here is " VERSION);
    }
    if (!key_is_good(key_of(r))) {
        return rs_http_error(r, HTTP_BAD_REQUEST, "bad_handshake",
                             "Sec-WebSocket-Key is no key of 16 bytes");
    }
    return OK;
}

/* --- the answer --- */

const rs_wire_t *rs_websocket_agree(request_rec *r, const rs_wire_t *plain)
{
    const char *offers = apr_table_get(r->headers_in, "Sec-WebSocket-Extensions"), *answer;
    apr_off_t min = rs_request_conf(r)->ws_deflate;
    const rs_wire_t *wire = NULL;

    if (offers && min && rs_deflate_is_there() && (answer = rs_ws_offer_answer(offers))
        && (wire = rs_wire_deflated(plain, (size_t)min))) {
        rs_request(r)->extensions = answer;
    }
    return wire ? wire : plain;
}

static const char *accept_of(request_rec *r)
{
    unsigned char digest[APR_SHA1_DIGESTSIZE];
    const char *key = key_of(r);
    apr_sha1_ctx_t sha1;
    char *text;

    apr_sha1_init(&sha1);
    apr_sha1_update(&sha1, key, (unsigned)strlen(key));
    apr_sha1_update(&sha1, GUID, sizeof(GUID) - 1);
    apr_sha1_final(digest, &sha1);
    text = apr_palloc(r->pool, (apr_size_t)apr_base64_encode_len(sizeof(digest)));
    apr_base64_encode_binary(text, digest, sizeof(digest));
    return text;
}

/* Those of the handshake are written by themselves; there is no content. */
static int put_header(void *head, const char *name, const char *value)
{
    static const char *const others[] = {"Connection", "Upgrade", "Keep-Alive", "Date", "Server"};
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(others) && ap_cstr_casecmp(name, others[i]); i++) {
    }
    if (i == RS_ARRAY_LEN(others) && ap_cstr_casecmpn(name, "Content-", 8)
        && !strpbrk(value, "\r\n")) {
        rs_buf_printf(head, "%s: %s\r\n", name, value);
    }
    return 1;
}

/* What other modules say of the response is part of the answer. */
static void put_head(rs_buf_t *head, request_rec *r)
{
    rs_buf_puts(head, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\n");
    rs_buf_printf(head, "Sec-WebSocket-Accept: %s\r\n", accept_of(r));
    if (has_token(r, "Sec-WebSocket-Protocol", PROTOCOL)) {
        rs_buf_puts(head, "Sec-WebSocket-Protocol: " PROTOCOL "\r\n");
    }
    if (rs_request(r)->extensions) {
        rs_buf_printf(head, "Sec-WebSocket-Extensions: %s\r\n", rs_request(r)->extensions);
    }
    apr_table_do(put_header, head, r->headers_out, NULL);
    apr_table_do(put_header, head, r->err_headers_out, NULL);
    rs_buf_puts(head, "\r\n");
}

/* The last of the filters that see a response: those behind would make HTTP of what are frames. */
static apr_status_t answer(ap_filter_t *f, apr_bucket_brigade *in)
{
    request_rec *r = f->r;
    conn_rec *c = r->connection;
    rs_buf_t head = RS_BUF_INIT;

    if (!f->ctx) {
        f->ctx = f;
        put_head(&head, r);
        if (!rs_buf_ok(&head)) {
            rs_buf_free(&head);
            c->aborted = 1;
            return APR_ENOMEM;
        }
        APR_BRIGADE_INSERT_HEAD(in,
                                apr_bucket_heap_create(head.data, head.len, NULL, c->bucket_alloc));
        rs_buf_free(&head);
        r->output_filters = r->proto_output_filters = c->output_filters;
    }
    return ap_pass_brigade(c->output_filters, in);
}

void rs_websocket_accept(request_rec *r)
{
    rs_request_t *req = rs_request(r);

    if (req->accepted) {
        return;
    }
    req->accepted = 1;
    r->status = HTTP_SWITCHING_PROTOCOLS;
    r->status_line = NULL;
    r->connection->keepalive = AP_CONN_CLOSE;
    apr_table_setn(r->subprocess_env, "no-gzip", "1");
    apr_table_setn(r->subprocess_env, "no-brotli", "1");
    ap_add_output_filter_handle(filter, NULL, r, r->connection);
}

/* --- the end of what never was a stream --- */

static int is_stopping(void)
{
    int state;

    return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING;
}

/* Until the client has answered the close, or is gone. */
static void wait_for_goodbye(request_rec *r, int fd)
{
    struct pollfd pfd = {fd, POLLIN, 0};
    apr_time_t until = rs_clock_now() + GOODBYE, now;
    char buf[4096];
    rs_ws_t ws;

    rs_ws_begin(&ws, 0);
    while ((now = rs_clock_now()) < until && !is_stopping()) {
        apr_ssize_t n = rs_connection_read(r->connection, buf, sizeof(buf));

        if (n < 0 || (n > 0 && rs_ws_drop(&ws, buf, (size_t)n))) {
            return;
        }
        if (!n) {
            int left = (int)apr_time_as_msec(until - now) + 1;

            poll(&pfd, 1, left < LOOK_MSEC ? left : LOOK_MSEC);
        }
    }
}

void rs_websocket_part(request_rec *r)
{
    static int waiting;
    apr_socket_t *socket = ap_get_conn_socket(r->connection);
    apr_os_sock_t fd;
    int threads = 0, most;

    if (ap_rflush(r) < 0 || r->connection->master || r->connection->aborted || !socket
        || apr_os_sock_get(&fd, socket) != APR_SUCCESS) {
        return;
    }
    /* It would take this for the body of the request, which has its own time. */
    ap_remove_input_filter_byhandle(r->connection->input_filters, "reqtimeout");
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    most = threads < 2 * WAITING_PART ? 1 : threads / WAITING_PART;
    if (__atomic_fetch_add(&waiting, 1, __ATOMIC_RELAXED) < most) {
        wait_for_goodbye(r, fd);
    }
    __atomic_fetch_sub(&waiting, 1, __ATOMIC_RELAXED);
}

int rs_websocket_refuse(request_rec *r, unsigned code, const char *reason)
{
    rs_buf_t b = RS_BUF_INIT;

    rs_websocket_accept(r);
    rs_ws_close(&b, code, reason);
    if (rs_buf_ok(&b)) {
        ap_rwrite(b.data, (int)b.len, r);
        rs_websocket_part(r);
    }
    rs_buf_free(&b);
    return DONE;
}

/* --- what the client has sent --- */

int rs_websocket_keep(request_rec *r, apr_bucket_brigade *bb)
{
    rs_request_t *req = rs_request(r);
    apr_size_t n = 0;
    char *some, *all;

    if (rs_request_kind(r) != RS_KIND_WEBSOCKET
        || apr_brigade_pflatten(bb, &some, &n, r->pool) != APR_SUCCESS || !n) {
        return 1;
    }
    all = apr_palloc(r->pool, req->early_len + n);
    if (req->early_len) {
        memcpy(all, req->early, req->early_len);
    }
    memcpy(all + req->early_len, some, n);
    req->early = all;
    req->early_len += n;
    return req->early_len < EARLY_MAX;
}

int rs_websocket_early(request_rec *r)
{
    conn_rec *c = r->connection;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, c->bucket_alloc);
    apr_size_t before;
    int good = 1;

    do {
        before = rs_request(r)->early_len;
        if (ap_get_brigade(c->input_filters, bb, AP_MODE_READBYTES, APR_NONBLOCK_READ,
                           AP_IOBUFSIZE)
            == APR_SUCCESS) {
            good = rs_websocket_keep(r, bb);
        }
        apr_brigade_cleanup(bb);
    } while (good && rs_request(r)->early_len > before);
    return good;
}

const char *rs_websocket_token(request_rec *r)
{
    const char *offered = apr_table_get(r->headers_in, "Sec-WebSocket-Protocol");
    const char *token = NULL, *rest = NULL;
    char *name, *last;

    if (!offered) {
        return NULL;
    }
    for (name = apr_strtok(apr_pstrdup(r->pool, offered), ", \t", &last); name;
         name = apr_strtok(NULL, ", \t", &last)) {
        if (!strncmp(name, BEARER, sizeof(BEARER) - 1)) {
            token = token ? token : name + sizeof(BEARER) - 1;
        }
        else {
            rest = rest ? apr_pstrcat(r->pool, rest, ", ", name, NULL) : name;
        }
    }
    if (token && rest) {
        apr_table_setn(r->headers_in, "Sec-WebSocket-Protocol", rest);
    }
    else if (token) {
        apr_table_unset(r->headers_in, "Sec-WebSocket-Protocol");
    }
    return token && *token ? token : NULL;
}

void rs_websocket_hooks(apr_pool_t *p)
{
    filter = ap_register_output_filter("RAGLINE_WEBSOCKET", answer, NULL, AP_FTYPE_PROTOCOL - 1);
}
