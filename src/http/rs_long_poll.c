/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine says lines of JSON until there is enough; they become one array, whose newest id is
 * the answer's ETag. What is kept until then is bounded by the engine.
 */
#include "../conf/rs_httpd.h"

#include <sys/socket.h>
#include <unistd.h>

#include "../base/rs_buf.h"
#include "../base/rs_json.h"
#include "../conf/rs_args.h"
#include "rs_child.h"
#include "rs_error.h"
#include "rs_long_poll.h"
#include "rs_pump.h"
#include "rs_pumps.h"
#include "rs_refusal.h"
#include "rs_request.h"

#define WAIT apr_time_from_sec(25)
#define WAIT_MAX apr_time_from_sec(60)

/* What mod_deflate adds to the ETag of what it compresses. (mod_brotli's "-br" could be part of an
 * id: it leaves these answers alone.) */
#define GZIP "-gzip"

/* How a line begins that has an id, and the last one where the stream failed. */
#define ID "{\"id\":\""
#define ERROR "{\"event\":\"error\""

int rs_long_poll_wait(request_rec *r, apr_interval_time_t *wait)
{
    char *arg, *last;

    *wait = WAIT;
    for (arg = r->args ? apr_strtok(apr_pstrdup(r->pool, r->args), "&", &last) : NULL; arg;
         arg = apr_strtok(NULL, "&", &last)) {
        if (!strcmp(arg, "wait=0")) {
            *wait = 0;
        }
        else if (!strncmp(arg, "wait=", 5)
                 && rs_args_duration(wait, r->pool, arg + 5, apr_time_from_msec(1), WAIT_MAX)) {
            return 0;
        }
    }
    return 1;
}

const char *rs_long_poll_cursor(request_rec *r)
{
    const char *tag = apr_table_get(r->headers_in, "If-None-Match");
    size_t len;

    if (tag && !strncmp(tag, "W/", 2)) {
        tag += 2; /* what was compressed has a weak one */
    }
    len = tag ? strlen(tag) : 0;
    if (len <= 2 || tag[0] != '"' || tag[len - 1] != '"') {
        return NULL;
    }
    len -=
        len > sizeof(GZIP) && !strcmp(tag + len - sizeof(GZIP), GZIP "\"") ? sizeof(GZIP) - 1 : 0;
    return apr_pstrmemdup(r->pool, tag + 1, len - 2);
}

static int collect(request_rec *r, void *lines, const char *data, apr_size_t len)
{
    rs_buf_add(lines, data, len);
    return rs_buf_ok(lines);
}

/* The newest id; NULL: there is none. *failed: the last line is an error. */
static const char *newest_id(request_rec *r, const rs_buf_t *lines, int *failed)
{
    const char *line = lines->data, *end = line + lines->len, *id = NULL, *next;

    *failed = 0;
    for (; line < end; line = next + 1) {
        next = memchr(line, '\n', (size_t)(end - line));
        if (!next) {
            break;
        }
        if ((size_t)(next - line) > sizeof(ID) && !memcmp(line, ID, sizeof(ID) - 1)) {
            id = line + sizeof(ID) - 1;
        }
        *failed = (size_t)(next - line) > sizeof(ERROR) && !memcmp(line, ERROR, sizeof(ERROR) - 1);
    }
    return id ? apr_pstrmemdup(r->pool, id, strcspn(id, "\"")) : NULL;
}

static void put_array(rs_buf_t *b, const rs_buf_t *lines)
{
    const char *at = lines->data, *end = at + lines->len - 1; /* without the last end of line */

    rs_buf_add(b, "[", 1);
    while (at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));

        rs_buf_add(b, at, (size_t)((next ? next : end) - at));
        at = next ? next + 1 : end;
        rs_buf_add(b, next ? ",\n" : "", next ? 2 : 0);
    }
    rs_buf_add(b, "]\n", 2);
}

/* A member of this object; s NULL: there is none. */
static rs_json_t member(rs_json_t object, const char *wanted)
{
    rs_json_t inside, name, value;

    if (rs_json_kind(object) != '{') {
        return (rs_json_t){NULL, NULL};
    }
    inside = rs_json_inside(object);
    while (rs_json_member(&inside, &name, &value)) {
        if (rs_json_is(name, wanted, strlen(wanted))) {
            return value;
        }
    }
    return (rs_json_t){NULL, NULL};
}

/* It failed before it had anything to say: as the error says, which is all of these lines. */
static int refuse(request_rec *r, const rs_buf_t *lines)
{
    rs_json_t text = {lines->data, lines->data + lines->len}, line, data;
    const char *code = NULL, *error = NULL;

    if (rs_json_is_good(&line, text, RS_JSON_DEPTH_MAX)) {
        data = member(line, "data");
        code = rs_json_string(r->pool, member(data, "code"));
        error = rs_json_string(r->pool, member(data, "error"));
    }
    return rs_refuse_honestly(r, code ? code : "unavailable", error ? error : "unavailable");
}

static int answer(request_rec *r, const rs_buf_t *lines)
{
    const char *brought = rs_long_poll_cursor(r), *id;
    rs_buf_t body = RS_BUF_INIT;
    int failed, status;

    /* It ended before it began: memory is short, or the child stops. */
    if (!rs_buf_ok(lines) || !lines->len || lines->data[lines->len - 1] != '\n') {
        return rs_refuse_honestly(r, "unavailable", "the stream ended too early");
    }
    id = newest_id(r, lines, &failed);
    if (!id && failed) {
        return refuse(r, lines);
    }
    if (id) {
        apr_table_setn(r->headers_out, "ETag", apr_pstrcat(r->pool, "\"", id, "\"", NULL));
    }
    if (id && brought && !failed && !strcmp(id, brought)) {
        apr_table_setn(r->headers_out, "Cache-Control", "no-store");
        return HTTP_NOT_MODIFIED;
    }
    put_array(&body, lines);
    rs_buf_add(&body, "", 1);
    if (!rs_buf_ok(&body)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    status = rs_http_json(r, HTTP_OK, body.data);
    rs_buf_free(&body);
    return status;
}

int rs_long_poll(request_rec *r, rs_client_params_t *params)
{
    rs_buf_t lines = RS_BUF_INIT;
    rs_pump_place_t place;
    rs_refusal_t refused = rs_pumps_enter(&place, r, "long poll");
    int status = OK, fd;

    if (refused != RS_REFUSED_MAX) {
        rs_engine_unreserve(rs_child_engine(), params->seat);
        return rs_refuse(r, refused);
    }
    fd = rs_pump(r, params, place.fd, collect, &lines);
    if (!r->connection->aborted) {
        status = answer(r, &lines);
    }
    if (fd >= 0) {
        /* Only what the client's socket took has been accepted, whatever this end has. */
        if (status == OK && params->profile->group && !r->connection->aborted
            && ap_rflush(r) >= 0) {
            (void)send(fd, "", 1, MSG_NOSIGNAL);
        }
        close(fd);
    }
    rs_pumps_leave(&place, r);
    rs_buf_free(&lines);
    return status;
}
