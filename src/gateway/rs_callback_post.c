/* SPDX-License-Identifier: Apache-2.0
 *
 * The request. Nothing of the environment counts (no proxy, no .netrc), no redirect is followed,
 * and a certificate must be good: where a callback goes is the administrator's word alone.
 */
#include "rs_config.h"

#ifdef RS_HAVE_CURL

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "rs_callback_post.h"

/* Nothing in an answer is longer that is meant; what is more is not waited for. */
#define ANSWER_MAX ((size_t)64 * 1024)

static size_t take_body(char *data, size_t size, size_t n, void *baton)
{
    rs_post_t *post = baton;

    post->received += size * n;
    if (post->callback->keeps && post->received <= ANSWER_MAX) {
        rs_buf_add(&post->callback->answer, data, size * n);
    }
    return post->received <= ANSWER_MAX ? size * n : 0;
}

/* "HTTP/1.1 401 Not today": curl keeps the number and not the words. What comes first may have been
 * a 100. */
static size_t take_header(char *line, size_t size, size_t n, void *baton)
{
    rs_post_t *post = baton;
    rs_callback_t *callback = post->callback;
    const char *end = line + size * n, *at;
    size_t len = 0;

    post->headed |= size * n <= 2;
    if (size * n > 5 && memcmp(line, "HTTP/", 5) == 0) {
        post->headed = 0;
        at = memchr(line, ' ', size * n);
        for (at = at ? at + 1 : end; at < end && *at >= '0' && *at <= '9'; at++) {
        }
        for (; at < end && *at == ' '; at++) {
        }
        for (; at < end && *at >= ' ' && *at < 127 && len < sizeof(callback->phrase) - 1; at++) {
            callback->phrase[len++] = *at;
        }
        callback->phrase[len] = '\0';
    }
    return size * n;
}

static int add_header(rs_post_t *post, const char *line)
{
    struct curl_slist *longer = curl_slist_append(post->headers, line);

    post->headers = longer ? longer : post->headers;
    return longer != NULL;
}

#define SIGNED_TIME 24

/* v1 is the HMAC of "TIME.BODY", so that an old callback is known for one. */
static int add_signature(rs_post_t *post, const char *secret)
{
    const rs_callback_t *callback = post->callback;
    unsigned char mac[EVP_MAX_MD_SIZE];
    char time[SIGNED_TIME], line[64 + SIGNED_TIME + 2 * EVP_MAX_MD_SIZE], *at;
    size_t len, size = callback->len + SIGNED_TIME;
    unsigned mac_len = 0, i;
    char *text = malloc(size);
    int good;

    if (!text) {
        return 0;
    }
    apr_snprintf(time, sizeof(time), "%" APR_INT64_T_FMT,
                 (apr_int64_t)apr_time_sec(apr_time_now()));
    len = strlen(time);
    memcpy(text, time, len);
    text[len++] = '.';
    memcpy(text + len, callback->body, callback->len);
    good = HMAC(EVP_sha256(), secret, (int)strlen(secret), (unsigned char *)text,
                len + callback->len, mac, &mac_len)
           != NULL;
    free(text);
    at = line + apr_snprintf(line, sizeof(line), "X-Ragline-Signature: t=%s,v1=", time);
    for (i = 0; i < mac_len; i++, at += 2) {
        apr_snprintf(at, 3, "%02x", mac[i]);
    }
    return good && add_header(post, line);
}

static int add_secret(rs_post_t *post, const char *secret)
{
    size_t size = strlen(secret) + sizeof("X-Ragline-Secret: ");
    char *line = malloc(size);
    int good;

    if (!line) {
        return 0;
    }
    apr_snprintf(line, size, "X-Ragline-Secret: %s", secret);
    good = add_header(post, line);
    free(line);
    return good && add_signature(post, secret);
}

/* By this a back end knows one that it has had. */
static int add_id(rs_post_t *post)
{
    char line[RS_CALLBACK_ID + sizeof("Idempotency-Key: \"\"")];

    apr_snprintf(line, sizeof(line), "Idempotency-Key: \"%s\"", post->callback->id);
    return add_header(post, line);
}

/* What is left of its time: it may have waited. */
static long left(const rs_callback_t *callback)
{
    apr_interval_time_t left = callback->since + callback->backend->timeout - rs_clock_now();

    return left > apr_time_from_msec(1) ? (long)apr_time_as_msec(left) : 1;
}

static int set_options(rs_post_t *post)
{
    const rs_callback_t *callback = post->callback;
    const rs_backend_t *backend = callback->backend;
    CURL *easy = post->easy;
    CURLcode rv;

    rv = curl_easy_setopt(easy, CURLOPT_URL, backend->url);
#if LIBCURL_VERSION_NUM >= 0x075500
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* Else the thread would wait for a name server that hangs, and all back ends with it. */
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_PROXY, "");
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (backend->ca) {
        rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_CAINFO, backend->ca);
    }
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, left(callback));
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_POST, 1L);
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)callback->len);
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_POSTFIELDS, (const char *)callback->body);
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_HTTPHEADER, post->headers);
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_USERAGENT, "mod_ragline_stream");
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_WRITEDATA, post);
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_HEADERDATA, post);
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_PRIVATE, post);
    rv = rv ? rv : curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, post->problem);
    return rv == CURLE_OK;
}

rs_post_t *rs_post_create(rs_callback_t *callback)
{
    rs_post_t *post = calloc(1, sizeof(*post));
    const char *secret = callback->backend->secret;

    if (!post) {
        return NULL;
    }
    post->callback = callback;
    post->easy = curl_easy_init();
    /* No "Expect: 100-continue": that would be a round trip for nothing. */
    if (!post->easy || !add_header(post, "Content-Type: application/json")
        || !add_header(post, "Expect:") || (secret && !add_secret(post, secret))
        || (*callback->id && !add_id(post))
        || !set_options(post)) {
        rs_post_destroy(post);
        return NULL;
    }
    return post;
}

/* Whatever became of the body: the head is the answer. */
void rs_post_finish(rs_post_t *post, CURLcode result)
{
    rs_callback_t *callback = post->callback;
    long status = 0;

    curl_easy_getinfo(post->easy, CURLINFO_RESPONSE_CODE, &status);
    if (post->headed && status >= 200) {
        callback->outcome = RS_CALLED_ANSWERED;
        callback->status = (int)status;
    }
    else {
        callback->outcome =
            result == CURLE_OPERATION_TIMEDOUT ? RS_CALLED_LATE : RS_CALLED_UNREACHABLE;
        if (!*post->problem) {
            apr_cpystrn(post->problem,
                        result == CURLE_OK ? "no answer" : curl_easy_strerror(result),
                        sizeof(post->problem));
        }
    }
}

void rs_post_destroy(rs_post_t *post)
{
    if (post->easy) {
        curl_easy_cleanup(post->easy);
    }
    curl_slist_free_all(post->headers);
    free(post);
}

#endif
