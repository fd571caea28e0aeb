/* SPDX-License-Identifier: Apache-2.0
 *
 * Names with {tenant} in them, keys and consumer groups: no tenant's own may ever be another
 * tenant's, another endpoint's, or one that all share, whatever tenants are called. Main thread,
 * check_config.
 */
#include "rs_httpd.h"

#include "../base/rs_name.h"
#include "../proto/rs_own_keys.h"
#include "../proto/rs_template.h"
#include "rs_conf_check.h"

int rs_check_same_redis(const rs_server_conf_t *a, const rs_server_conf_t *b)
{
    return a->url && b->url && !strcmp(a->url->label, b->url->label);
}

/* A key of RaglineStream, or a RaglineGroup of {profile} only. */
#define KEY_MAX 1300
#define TENANT (-1)

/* The key's characters, each {tenant} as one. Returns how many. */
static int split(int out[KEY_MAX], const char *key)
{
    static const char mark[] = "{tenant}";
    int n = 0;

    while (*key && n < KEY_MAX) {
        int tenant = !strncmp(key, mark, sizeof(mark) - 1);

        out[n++] = tenant ? TENANT : (unsigned char)*key;
        key += tenant ? sizeof(mark) - 1 : 1;
    }
    return n;
}

static int of_tenant(int c)
{
    char text = (char)c;

    return rs_name_valid(&text, 1);
}

/* See rs_template_fill_group(). */
static int of_tenant_in_group(int c) { return c == '~' || (c != '-' && of_tenant(c)); }

/* Whether some name is both, with each {tenant} standing for any text of such characters: from the
 * end backwards, both[k] says so of what is left of one from i on and of the other from k on. */
static int may_meet(const char *one, const char *other, int (*of_name)(int c))
{
    char below[KEY_MAX + 1], both[KEY_MAX + 1];
    int a[KEY_MAX], b[KEY_MAX];
    int n = split(a, one), m = split(b, other), i, k;

    memset(both, 0, sizeof(both));
    both[m] = 1;
    for (i = n - 1; i >= 0; i--) {
        memcpy(below, both, sizeof(below));
        both[m] = 0;
        for (k = m - 1; k >= 0; k--) {
            char next = below[k + 1], later = both[k + 1], earlier = below[k];

            both[k] = a[i] == TENANT && b[k] == TENANT ? next || later || earlier
                      : a[i] == TENANT                 ? of_name(b[k]) && (next || later)
                      : b[k] == TENANT                 ? of_name(a[i]) && (next || earlier)
                                                       : a[i] == b[k] && next;
        }
    }
    return both[0];
}

static void check_pair(apr_pool_t *p, const rs_server_conf_t *conf, const rs_stream_conf_t *a,
                       const rs_stream_conf_t *b)
{
    if (strcmp(a->key, b->key) != 0
        && (rs_template_per_tenant(a->key) || rs_template_per_tenant(b->key))
        && may_meet(a->key, b->key, of_tenant)) {
        rs_check_complain(
            conf->server, NULL,
            apr_psprintf(p,
                         "RaglineStream: for some tenant the keys of %s (%s) and %s (%s) are one "
                         "key: put another word, with a colon, before or after {tenant}",
                         a->name, a->key, b->name, b->key));
    }
}

static void check_own(apr_pool_t *p, const rs_server_conf_t *conf, const rs_stream_conf_t *stream)
{
    const char *own = rs_own_key_met(stream->key);

    if (own) {
        rs_check_complain(
            conf->server, NULL,
            apr_psprintf(p,
                         "RaglineStream: %sthe key of %s (%s) is one of this module's own (%s): "
                         "choose another one, such as ragline:stream:%s%s",
                         rs_template_per_tenant(stream->key) ? "for some tenant " : "",
                         stream->name, stream->key, own,
                         rs_template_per_tenant(stream->key) ? "{tenant}:" : "", stream->name));
    }
}

/* All streams of one Redis against each other, also of different hosts; those that hosts inherit
 * once. */
static apr_array_header_t *streams_of(apr_pool_t *p, server_rec *first,
                                      const rs_server_conf_t *redis)
{
    apr_array_header_t *all = apr_array_make(p, 8, sizeof(rs_stream_conf_t *));
    server_rec *s;
    int i, k;

    for (s = first; s; s = s->next) {
        const rs_server_conf_t *conf = rs_conf_server(s);

        for (i = 0; rs_check_same_redis(conf, redis) && i < conf->streams->nelts; i++) {
            rs_stream_conf_t *stream = APR_ARRAY_IDX(conf->streams, i, rs_stream_conf_t *);

            for (k = 0; k < all->nelts && APR_ARRAY_IDX(all, k, rs_stream_conf_t *) != stream;
                 k++) {
            }
            if (k == all->nelts) {
                APR_ARRAY_PUSH(all, rs_stream_conf_t *) = stream;
            }
        }
    }
    return all;
}

static int redis_was_seen(server_rec *first, const rs_server_conf_t *conf)
{
    server_rec *s;

    for (s = first; rs_conf_server(s) != conf && !rs_check_same_redis(rs_conf_server(s), conf);
         s = s->next) {
    }
    return rs_conf_server(s) != conf;
}

/* An endpoint that reads both would have every tenant's clients look for their history in what all
 * tenants share. */
static void check_mixture(const rs_section_t *section)
{
    const rs_server_conf_t *conf = rs_conf_server(section->server);
    const apr_array_header_t *names = section->conf->subscribe;
    int i, own = 0, shared = 0;

    for (i = 0; names && i < names->nelts; i++) {
        const rs_stream_conf_t *stream =
            rs_conf_stream(conf, APR_ARRAY_IDX(names, i, const char *));

        if (stream && rs_template_per_tenant(stream->key)) {
            own++;
        }
        else if (stream) {
            shared++;
        }
    }
    if (own && shared) {
        rs_check_complain(section->server, section->directive,
                          "RaglineSubscribe: some of these streams have {tenant} in their key and "
                          "some are shared by all tenants: use one endpoint for each kind");
    }
}

/* --- groups --- */

const char *rs_conf_group(apr_pool_t *p, const rs_dir_conf_t *conf)
{
    static const char mark[] = "{profile}";
    const char *rest = conf->group, *next, *out = "";

    if (!conf->start_group && !conf->shared) {
        return NULL;
    }
    while ((next = strstr(rest, mark))) {
        out = apr_pstrcat(p, out, apr_pstrmemdup(p, rest, (apr_size_t)(next - rest)), conf->profile,
                          NULL);
        rest = next + sizeof(mark) - 1;
    }
    return apr_pstrcat(p, out, rest, NULL);
}

/* Whether each tenant has each of these streams for itself. */
static int all_own(server_rec *s, const rs_dir_conf_t *conf)
{
    int i;

    for (i = 0; i < conf->subscribe->nelts; i++) {
        const rs_stream_conf_t *stream =
            rs_conf_stream(rs_conf_server(s), APR_ARRAY_IDX(conf->subscribe, i, const char *));

        if (stream && !stream->tenant_literal && !rs_template_per_tenant(stream->key)) {
            return 0;
        }
    }
    return 1;
}

/* The tenant of the first stream that is one tenant's by its configuration, or NULL. */
static const char *only_tenant(server_rec *s, const rs_dir_conf_t *conf)
{
    int i;

    for (i = 0; i < conf->subscribe->nelts; i++) {
        const rs_stream_conf_t *stream =
            rs_conf_stream(rs_conf_server(s), APR_ARRAY_IDX(conf->subscribe, i, const char *));

        if (stream && stream->tenant_literal) {
            return stream->tenant_literal;
        }
    }
    return NULL;
}

/* Nothing that a group waits for may end: so its keys do not. */
static void check_idle(apr_pool_t *p, server_rec *s, const char *where, const rs_dir_conf_t *conf)
{
    int i;

    for (i = 0; i < conf->subscribe->nelts; i++) {
        const rs_stream_conf_t *stream =
            rs_conf_stream(rs_conf_server(s), APR_ARRAY_IDX(conf->subscribe, i, const char *));

        if (stream && stream->idle) {
            rs_check_warn(s, NULL,
                          apr_psprintf(p,
                                       "%s: idle= of RaglineStream %s is for tenants that have no "
                                       "consumer group there, and %s makes one: the keys of this "
                                       "endpoint's tenants are kept",
                                       where, stream->name,
                                       conf->shared ? "RaglineDelivery shared"
                                                    : "RaglineStart group"));
        }
    }
}

void rs_check_group(apr_pool_t *p, server_rec *s, const char *where, const rs_dir_conf_t *conf)
{
    const char *group = conf->profile && conf->subscribe ? rs_conf_group(p, conf) : NULL;
    const char *literal;

    if (!group) {
        return;
    }
    check_idle(p, s, where, conf);
    if (conf->shared && !all_own(s, conf)) {
        rs_check_complain(s, NULL,
                          apr_pstrcat(p, where,
                                      ": RaglineDelivery shared needs streams that each tenant has "
                                      "for itself: put {tenant} into the key in RaglineStream, or "
                                      "give it tenant=literal:NAME",
                                      NULL));
    }
    if (conf->user_only) {
        rs_check_complain(
            s, NULL,
            apr_pstrcat(p, where, ": RaglineUserOnly on and ",
                        conf->shared ? "RaglineDelivery shared" : "RaglineStart group",
                        " do not go together: a consumer group is the tenant's, and "
                        "one user's clients would take what is another user's",
                        NULL));
    }
    if (rs_template_per_tenant(group)) {
        return;
    }
    literal = only_tenant(s, conf);
    if (!all_own(s, conf)) {
        rs_check_complain(s, NULL,
                          apr_pstrcat(p, where, ": RaglineGroup ", conf->group,
                                      ": all tenants would have one group: write {tenant} into it",
                                      NULL));
    }
    else if (literal && !rs_check_fixed_tenant(p, conf)) {
        rs_check_complain(s, NULL,
                          apr_pstrcat(p, where, ": RaglineGroup ", conf->group,
                                      ": tenants other than ", literal,
                                      " would have its group: write {tenant} into it, or "
                                      "RaglineTenant ",
                                      literal, ", so that there are no others", NULL));
    }
}

void rs_check_tenant(apr_pool_t *p, server_rec *s, const char *where, const rs_dir_conf_t *conf)
{
    const char *fixed = conf->subscribe ? rs_check_fixed_tenant(p, conf) : NULL;
    int i;

    for (i = 0; fixed && i < conf->subscribe->nelts; i++) {
        const rs_stream_conf_t *stream =
            rs_conf_stream(rs_conf_server(s), APR_ARRAY_IDX(conf->subscribe, i, const char *));

        if (!stream || !stream->tenant_literal || !strcmp(stream->tenant_literal, fixed)) {
            return;
        }
    }
    if (fixed) {
        rs_check_complain(
            s, NULL,
            apr_pstrcat(p, where, ": RaglineTenant ", fixed,
                        ": all its streams are those of other tenants (",
                        "tenant=literal: in RaglineStream), so no event would ever be "
                        "sent: write the same name in both",
                        NULL));
    }
}

void rs_check_keep_group(server_rec *s, const rs_dir_conf_t *conf)
{
    const rs_server_conf_t *server = rs_conf_server(s);
    apr_pool_t *p = server->grouped->pool;
    const char *group = conf->profile && conf->subscribe ? rs_conf_group(p, conf) : NULL;
    int i;

    for (i = 0; group && i < conf->subscribe->nelts; i++) {
        const rs_stream_conf_t *stream =
            rs_conf_stream(server, APR_ARRAY_IDX(conf->subscribe, i, const char *));

        if (stream) {
            rs_grouped_t *keep = apr_array_push(server->grouped);

            keep->endpoint = apr_pstrdup(p, conf->profile);
            keep->group = group;
            keep->shared = conf->shared;
            keep->stream = stream->name;
            keep->key = stream->key;
            keep->tenant = stream->tenant_literal;
        }
    }
}

const char *rs_check_group_pair(apr_pool_t *p, const rs_dir_conf_t *a, const rs_dir_conf_t *b)
{
    const char *one = rs_conf_group(p, a), *other = rs_conf_group(p, b);

    if (!one || !other || !may_meet(one, other, of_tenant_in_group)) {
        return NULL;
    }
    /* The same endpoint in two hosts, or two that send the same. */
    if (!strcmp(one, other) && !strcmp(a->profile, b->profile) && a->shared == b->shared) {
        return NULL;
    }
    return apr_psprintf(p, "have one consumer group (%s, %s)", one, other);
}

void rs_check_keys(apr_pool_t *p, server_rec *first)
{
    const apr_array_header_t *sections = rs_conf_sections();
    server_rec *s;
    int i, k;

    for (s = first; s; s = s->next) {
        const rs_server_conf_t *conf = rs_conf_server(s);
        apr_array_header_t *streams =
            redis_was_seen(first, conf) ? NULL : streams_of(p, first, conf);

        for (i = 0; streams && i < streams->nelts; i++) {
            check_own(p, conf, APR_ARRAY_IDX(streams, i, rs_stream_conf_t *));
            for (k = i + 1; k < streams->nelts; k++) {
                check_pair(p, conf, APR_ARRAY_IDX(streams, i, rs_stream_conf_t *),
                           APR_ARRAY_IDX(streams, k, rs_stream_conf_t *));
            }
        }
    }
    for (i = 0; i < sections->nelts; i++) {
        check_mixture(&APR_ARRAY_IDX(sections, i, rs_section_t));
    }
}
