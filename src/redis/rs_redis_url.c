/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis URLs. Runs while httpd reads its configuration, in one thread. Strict on purpose: what is
 * not understood is refused rather than guessed, because a guess connects to some other server.
 */
#include "rs_config.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <apr_strings.h>

#include "../base/rs_name.h"
#include "rs_redis_url.h"

#define URL_MAX 2048
#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static const char bad_scheme[] = "the Redis URL must begin with redis://, rediss:// or unix://: "
                                 "write for example redis://127.0.0.1:6379/0";
static const char bad_chars[] = "the Redis URL must be printable ASCII without spaces, 2048 "
                                "characters at most: write other characters as %XX";
static const char bad_percent[] = "a % in the Redis URL must be followed by the two hexadecimal "
                                  "digits of a character that is not a control character: "
                                  "write a plain % as %25";
static const char bad_userinfo[] = "what stands before the @ in the Redis URL must be "
                                   "USER:PASSWORD or :PASSWORD, with %40 for @, %2F for /, %3F for "
                                   "?, %23 for # and %3A for : in them; or use RaglineRedisAuth";
static const char bad_host[] = "the Redis URL must name a host: write redis://HOST:PORT/DB, with "
                               "an IPv6 address in brackets, as in redis://[::1]:6379/0";
static const char bad_port[] = "the port in the Redis URL must be a number from 1 to 65535: "
                               "write redis://HOST:6379/DB";
static const char bad_db[] = "the database in the Redis URL must be a number from 0 to 9999 and "
                             "the last part: write redis://HOST:PORT/DB or unix:///PATH?db=DB";
static const char bad_path[] = "the Redis URL must give the socket's absolute path, shorter than a "
                               "socket's path may be: write unix:///run/redis/redis.sock?db=0";
static const char master_is[] = "master=";
static const char bad_master[] = "master= must be the last word and the name that the sentinels "
                                 "have for it, 1 to 64 of A-Z a-z 0-9 . _ @ -: write for example "
                                 "redis://SENTINEL1:26379 redis://SENTINEL2:26379 master=mymaster";
static const char no_url[] = "a URL is missing: write redis://HOST:PORT/DB, or those of sentinels "
                             "as in redis://SENTINEL1:26379 redis://SENTINEL2:26379 master=NAME";
static const char no_master[] = "several URLs are those of sentinels: write master=NAME after "
                                "them, or one URL, that of Redis itself";
static const char unix_sentinel[] = "with master= the URLs are those of sentinels, which are asked "
                                    "over TCP: write redis://SENTINEL:26379 for each";
static const char many_sentinels[] = "more than 16 sentinels: write some of them, they all know "
                                     "the same";
static const char twice_sentinel[] = "a sentinel stands there twice: write each one once";
static const char mixed_schemes[] = "the sentinels' URLs differ in redis:// and rediss://: write "
                                    "the same for all, it is that of the master, too";
static const char mixed_databases[] = "the sentinels' URLs differ in the database: write the "
                                      "master's after each of them, as in redis://SENTINEL:26379/2";
#ifndef RS_HAVE_HIREDIS_SSL
static const char no_tls[] = "rediss:// needs a hiredis library with TLS, and this module was "
                             "built with one that has none: write redis:// or unix:// (for example "
                             "through stunnel), or build it where hiredis_ssl is installed";
#endif

/* A run of characters inside the URL. */
typedef struct {
    const char *s;
    size_t n;
} span_t;

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static const char *percent_decode(apr_pool_t *p, span_t in)
{
    char *out = apr_palloc(p, in.n + 1), *o = out;
    size_t i;

    for (i = 0; i < in.n; i++) {
        int c = (unsigned char)in.s[i];

        if (c == '%') {
            if (in.n - i < 3 || hex(in.s[i + 1]) < 0 || hex(in.s[i + 2]) < 0) {
                return NULL;
            }
            c = hex(in.s[i + 1]) * 16 + hex(in.s[i + 2]);
            i += 2;
        }
        if (c < ' ' || c == 0x7f) {
            return NULL;
        }
        *o++ = (char)c;
    }
    *o = '\0';
    return out;
}

/* Digits only, `min` to `max`; -1 otherwise. */
static int number(span_t in, int min, int max)
{
    int value = 0;
    size_t i;

    if (in.n == 0 || in.n > 5) {
        return -1;
    }
    for (i = 0; i < in.n; i++) {
        if (in.s[i] < '0' || in.s[i] > '9') {
            return -1;
        }
        value = value * 10 + (in.s[i] - '0');
    }
    return value < min || value > max ? -1 : value;
}

static const char *parse_userinfo(rs_redis_url_t *u, apr_pool_t *p, span_t in)
{
    const char *colon = memchr(in.s, ':', in.n);
    span_t user = {in.s, 0}, password = {NULL, 0};

    if (!colon || memchr(in.s, '@', in.n)) {
        return bad_userinfo;
    }
    user.n = (size_t)(colon - in.s);
    password.s = colon + 1;
    password.n = in.n - user.n - 1;
    if (password.n == 0 || memchr(password.s, ':', password.n)) {
        return bad_userinfo;
    }
    u->user = user.n ? percent_decode(p, user) : NULL;
    u->password = percent_decode(p, password);
    return (user.n && !u->user) || !u->password ? bad_percent : NULL;
}

/* Both write the spelling by which equal servers are recognised; 0 if it is no such thing. */

static int ipv6_into(char host[RS_REDIS_HOST_MAX + 1], span_t in)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr addr;

    if (in.n >= sizeof(text)) {
        return 0;
    }
    memcpy(text, in.s, in.n);
    text[in.n] = '\0';
    return inet_pton(AF_INET6, text, &addr) == 1
           && inet_ntop(AF_INET6, &addr, host, RS_REDIS_HOST_MAX + 1);
}

static int name_into(char host[RS_REDIS_HOST_MAX + 1], span_t in)
{
    size_t i;

    if (in.n == 0 || in.n > RS_REDIS_HOST_MAX || in.s[0] == '-') {
        return 0;
    }
    for (i = 0; i < in.n; i++) {
        char c = in.s[i];

        if (c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a'); /* two spellings of one host are one server */
        }
        else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-'
                   || c == '_')) {
            return 0;
        }
        host[i] = c;
    }
    host[i] = '\0';
    return 1;
}

static const char *parse_hostport(rs_redis_url_t *u, apr_pool_t *p, span_t in)
{
    span_t host = in, port = {NULL, 0};
    char name[RS_REDIS_HOST_MAX + 1];
    const char *end;
    int good;

    if (in.n && in.s[0] == '[') {
        end = memchr(in.s, ']', in.n);
        if (!end) {
            return bad_host;
        }
        host.s = in.s + 1;
        host.n = (size_t)(end - host.s);
        good = ipv6_into(name, host);
        end++;
    }
    else {
        end = memchr(in.s, ':', in.n);
        host.n = end ? (size_t)(end - in.s) : in.n;
        good = name_into(name, host);
        end = in.s + host.n;
    }
    if (!good) {
        return bad_host;
    }
    u->host = apr_pstrdup(p, name);
    if (end < in.s + in.n) {
        port.s = end + 1;
        port.n = (size_t)(in.s + in.n - port.s);
        u->port = *end == ':' ? number(port, 1, 65535) : -1;
    }
    return u->port < 0 ? bad_port : NULL;
}

/* What follows scheme:// up to the first '/', '?' or '#'; `rest` is what comes then. */
static span_t authority(const char *s, const char **rest)
{
    span_t a = {s, strcspn(s, "/?#")};

    *rest = s + a.n;
    return a;
}

static const char *parse_tcp(rs_redis_url_t *u, apr_pool_t *p, const char *s)
{
    const char *rest, *at, *err;
    span_t a = authority(s, &rest), info, db;

    if (strchr(rest, '@')) {
        return bad_userinfo; /* the password has a bare '/' in it */
    }
    for (at = a.s + a.n; at > a.s && at[-1] != '@'; at--) {
    }
    if (at > a.s) {
        info.s = a.s;
        info.n = (size_t)(at - a.s) - 1;
        if ((err = parse_userinfo(u, p, info))) {
            return err;
        }
        a.n -= info.n + 1;
        a.s = at;
    }
    if ((err = parse_hostport(u, p, a))) {
        return err;
    }
    if (*rest == '\0' || strcmp(rest, "/") == 0) {
        return NULL;
    }
    db.s = rest + 1;
    db.n = strlen(db.s);
    u->db = *rest == '/' ? number(db, 0, RS_REDIS_DB_MAX) : -1;
    return u->db < 0 ? bad_db : NULL;
}

static const char *parse_unix(rs_redis_url_t *u, apr_pool_t *p, const char *s)
{
    const char *rest, *err;
    span_t a = authority(s, &rest), path, db;

    if (a.n) {
        if (a.s[a.n - 1] != '@') {
            return strchr(s, '@') ? bad_userinfo : bad_path;
        }
        a.n--;
        if ((err = parse_userinfo(u, p, a))) {
            return err;
        }
    }
    path.s = rest;
    path.n = strcspn(rest, "?#");
    if (path.n < 2 || path.s[0] != '/') {
        return bad_path;
    }
    u->path = percent_decode(p, path);
    if (!u->path) {
        return bad_percent;
    }
    if (strlen(u->path) > SOCKET_PATH_MAX) {
        return bad_path;
    }
    rest = path.s + path.n;
    if (*rest == '\0') {
        return NULL;
    }
    db.s = rest + 4;
    db.n = strncmp(rest, "?db=", 4) == 0 ? strlen(db.s) : 0;
    u->db = number(db, 0, RS_REDIS_DB_MAX);
    return u->db < 0 ? bad_db : NULL;
}

static const char *make_label(const rs_redis_url_t *u, apr_pool_t *p)
{
    int v6 = u->host && strchr(u->host, ':');

    if (u->path) {
        return apr_psprintf(p, "unix://%s?db=%d", u->path, u->db);
    }
    return apr_psprintf(p, "redis%s://%s%s%s:%d/%d", u->tls ? "s" : "", v6 ? "[" : "", u->host,
                        v6 ? "]" : "", u->port, u->db);
}

/* `port`: where the URL of a host says none. */
static const char *parse(rs_redis_url_t **url, apr_pool_t *p, const char *text, int port)
{
    rs_redis_url_t *u = apr_pcalloc(p, sizeof(*u));
    const char *err, *s;

    *url = NULL;
    for (s = text; *s > ' ' && *s <= '~' && s - text < URL_MAX; s++) {
    }
    if (*s) {
        return bad_chars;
    }
    if (strncasecmp(text, "redis://", 8) == 0) {
        err = parse_tcp(u, p, text + 8);
    }
    else if (strncasecmp(text, "rediss://", 9) == 0) {
#ifdef RS_HAVE_HIREDIS_SSL
        u->tls = 1;
        err = parse_tcp(u, p, text + 9);
#else
        err = no_tls;
#endif
    }
    else if (strncasecmp(text, "unix://", 7) == 0) {
        err = parse_unix(u, p, text + 7);
    }
    else {
        err = bad_scheme;
    }
    if (err) {
        return err;
    }
    if (u->host && !u->port) {
        u->port = port;
    }
    u->label = make_label(u, p);
    *url = u;
    return NULL;
}

const char *rs_redis_url_parse(rs_redis_url_t **url, apr_pool_t *p, const char *text)
{
    return parse(url, p, text, RS_REDIS_PORT);
}

/* --- sentinels --- */

static int by_address(const void *a, const void *b)
{
    const rs_redis_url_t *x = a, *y = b;
    int order = strcmp(x->host, y->host);

    return order ? order : x->port - y->port;
}

static const char *add_sentinel(rs_redis_url_t *u, apr_pool_t *p, const char *text)
{
    rs_redis_url_t *sentinel;
    const char *err = parse(&sentinel, p, text, RS_REDIS_SENTINEL_PORT);

    if (err) {
        return err;
    }
    if (sentinel->path) {
        return unix_sentinel;
    }
    if (u->nsentinels == RS_REDIS_SENTINELS_MAX) {
        return many_sentinels;
    }
    if (u->nsentinels && (sentinel->tls != u->tls || sentinel->db != u->db)) {
        return sentinel->tls != u->tls ? mixed_schemes : mixed_databases;
    }
    u->tls = sentinel->tls;
    u->db = sentinel->db;
    sentinel->db = 0;
    sentinel->label = make_label(sentinel, p);
    u->sentinels[u->nsentinels++] = *sentinel;
    return NULL;
}

/* Sorted, so that it is the same wherever the same sentinels are written in another order. */
static const char *finish_sentinels(rs_redis_url_t *u, apr_pool_t *p)
{
    const char *list = "";
    int i;

    qsort(u->sentinels, (size_t)u->nsentinels, sizeof(*u->sentinels), by_address);
    for (i = 0; i < u->nsentinels; i++) {
        const rs_redis_url_t *sentinel = &u->sentinels[i];
        int v6 = strchr(sentinel->host, ':') != NULL;

        if (i && by_address(sentinel - 1, sentinel) == 0) {
            return twice_sentinel;
        }
        list = apr_psprintf(p, "%s%s%s%s%s:%d", list, i ? "," : "", v6 ? "[" : "", sentinel->host,
                            v6 ? "]" : "", sentinel->port);
    }
    u->label = apr_psprintf(p, "redis%s://%s/%d@%s", u->tls ? "s" : "", u->master, u->db, list);
    return NULL;
}

const char *rs_redis_urls_parse(rs_redis_url_t **url, apr_pool_t *p, int n,
                                const char *const *words)
{
    rs_redis_url_t *u = apr_pcalloc(p, sizeof(*u));
    const char *err, *first = NULL;
    int i, urls = 0;

    *url = NULL;
    for (i = 0; i < n; i++) {
        if (strncmp(words[i], master_is, sizeof(master_is) - 1) != 0) {
            first = urls++ ? first : words[i];
            continue;
        }
        if (u->master || i != n - 1) {
            return bad_master;
        }
        u->master = words[i] + sizeof(master_is) - 1;
        if (!rs_name_valid(u->master, strlen(u->master))) {
            return bad_master;
        }
    }
    if (!first) {
        return no_url;
    }
    if (!u->master) {
        return urls == 1 ? rs_redis_url_parse(url, p, first) : no_master;
    }
    u->sentinels = apr_pcalloc(p, RS_REDIS_SENTINELS_MAX * sizeof(*u->sentinels));
    u->known = apr_pcalloc(p, sizeof(*u->known));
    pthread_mutex_init(&u->known->lock, NULL);
    for (i = 0; i < urls; i++) {
        if ((err = add_sentinel(u, p, words[i]))) {
            return err;
        }
    }
    if ((err = finish_sentinels(u, p))) {
        return err;
    }
    *url = u;
    return NULL;
}

/* --- questions --- */

int rs_redis_url_same(const rs_redis_url_t *a, const rs_redis_url_t *b)
{
    int i, same = !strcmp(a->label, b->label) && rs_same_text(a->user, b->user)
                  && rs_same_text(a->password, b->password);

    for (i = 0; same && i < a->nsentinels; i++) {
        same = rs_redis_url_same(&a->sentinels[i], &b->sentinels[i]);
    }
    return same;
}

int rs_redis_address_parse(char *host, const char *name, size_t name_len, const char *port,
                           size_t port_len)
{
    span_t n = {name, name_len}, number_of = {port, port_len};
    int value = number(number_of, 1, 65535);

    return value > 0 && (ipv6_into(host, n) || name_into(host, n)) ? value : 0;
}
