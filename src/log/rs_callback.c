/* SPDX-License-Identifier: Apache-2.0
 *
 * Making callbacks, and the table of back ends. Any thread.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <openssl/evp.h>

#include "../base/rs_clock.h"
#include "../base/rs_name.h"
#include "rs_callback.h"

rs_callback_t *rs_callback_create(rs_backend_t *backend, const char *body, size_t len,
                                  void (*done)(rs_callback_t *))
{
    rs_callback_t *callback = calloc(1, sizeof(*callback) + len + 1);

    if (callback) {
        callback->backend = backend;
        callback->done = done;
        callback->since = rs_clock_now();
        callback->len = len;
        memcpy(callback->body, body, len);
    }
    return callback;
}

void rs_callback_free(rs_callback_t *callback)
{
    if (callback) {
        rs_buf_free(&callback->answer);
        free(callback);
    }
}

int rs_callback_is_done(const rs_callback_t *callback)
{
    int status = callback->status;

    if (callback->outcome != RS_CALLED_ANSWERED || status >= 500 || status / 100 == 3) {
        return 0;
    }
    return status != 401 && status != 403 && status != 407 && status != 408 && status != 425
           && status != 429;
}

void rs_backends_open(rs_backends_t *table)
{
    pthread_mutex_init(&table->lock, NULL);
    table->first = NULL;
}

void rs_backends_close(rs_backends_t *table)
{
    rs_backend_t *backend, *next;

    for (backend = table->first; backend; backend = next) {
        next = backend->next;
        free(backend);
    }
    pthread_mutex_destroy(&table->lock);
}

static char *put(char **to, const char *text, size_t len)
{
    char *start = *to;

    memcpy(start, text, len);
    start[len] = '\0';
    *to += len + 1;
    return start;
}

/* "https://user:pw@host/path?secret=x": the scheme, and from the host to the end of the path. */
static char *put_label(char **to, const char *url)
{
    const char *rest = strstr(url, "://"), *at;
    char *label = *to, *end;
    size_t scheme, len;

    rest = rest ? rest + 3 : url;
    scheme = (size_t)(rest - url);
    len = strcspn(rest, "?#");
    for (at = rest + strcspn(rest, "/?#"); at > rest && at[-1] != '@'; at--) {
    }
    len -= (size_t)(at - rest);
    end = put(to, url, scheme) + scheme;
    *to = end;
    put(to, at, len);
    return label;
}

/* Of two applications behind one path the query is all that tells them apart; it may be secret. */
#define DIGEST_LEN 9

/* len - 1 hexadecimal digits. 0: the library does not do it. */
static int digest(char *to, size_t len, const char *text)
{
    unsigned char all[EVP_MAX_MD_SIZE];
    size_t i;

    *to = '\0';
    if (EVP_Digest(text, strlen(text), all, NULL, EVP_sha256(), NULL) != 1) {
        return 0;
    }
    for (i = 0; 2 * i + 2 < len; i++) {
        apr_snprintf(to + 2 * i, 3, "%02x", all[i]);
    }
    return 1;
}

static char *put_record(char **to, const char *label, const char *url_digest)
{
    char *record = put(to, label, strlen(label));

    (*to)[-1] = ' ';
    put(to, url_digest, strlen(url_digest));
    return record;
}

static rs_backend_t *copy(const rs_backend_t *from)
{
    size_t url = strlen(from->url), secret = from->secret ? strlen(from->secret) : 0;
    size_t ca = from->ca ? strlen(from->ca) : 0;
    rs_backend_t *backend = calloc(1, sizeof(*backend) + 3 * url + secret + ca + DIGEST_LEN + 5);
    char *text = (char *)(backend + 1), url_digest[DIGEST_LEN];

    if (!backend || !digest(url_digest, DIGEST_LEN, from->url)
        || !digest(backend->secret_record, RS_BACKEND_SECRET_LEN,
                   from->secret ? from->secret : "")) {
        free(backend);
        backend = NULL;
    }
    if (backend) {
        backend->timeout = from->timeout;
        backend->url = put(&text, from->url, url);
        backend->label = put_label(&text, from->url);
        backend->record = put_record(&text, backend->label, url_digest);
        backend->secret = from->secret ? put(&text, from->secret, secret) : NULL;
        backend->ca = from->ca ? put(&text, from->ca, ca) : NULL;
    }
    return backend;
}

rs_backend_t *rs_backends_intern(rs_backends_t *table, const rs_backend_t *wanted)
{
    rs_backend_t *b;

    pthread_mutex_lock(&table->lock);
    for (b = table->first;
         b
         && (b->timeout != wanted->timeout || strcmp(b->url, wanted->url) != 0
             || !rs_same_text(b->secret, wanted->secret) || !rs_same_text(b->ca, wanted->ca));
         b = b->next) {
    }
    if (!b && (b = copy(wanted))) {
        b->next = table->first;
        table->first = b;
    }
    pthread_mutex_unlock(&table->lock);
    return b;
}

rs_backend_t *rs_backends_of_record(rs_backends_t *table, const char *record, const char *secret)
{
    rs_backend_t *b, *found = NULL;

    pthread_mutex_lock(&table->lock);
    for (b = table->first; b; b = b->next) {
        if (!strcmp(b->record, record) && (!found || !strcmp(b->secret_record, secret))) {
            found = b;
        }
    }
    pthread_mutex_unlock(&table->lock);
    return found;
}

void rs_backends_records(rs_buf_t *b, rs_backends_t *table)
{
    rs_backend_t *backend;

    pthread_mutex_lock(&table->lock);
    rs_buf_puts(b, "\n");
    for (backend = table->first; backend; backend = backend->next) {
        rs_buf_puts(b, backend->record);
        rs_buf_puts(b, "\n");
    }
    pthread_mutex_unlock(&table->lock);
}
