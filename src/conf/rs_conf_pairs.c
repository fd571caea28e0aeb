/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints against each other: whether two keep different things under one name. Main thread,
 * check_config.
 */
#include "rs_httpd.h"

#include "rs_conf_check.h"

static int in_list(const apr_array_header_t *list, const char *text)
{
    int i;

    for (i = 0; list && i < list->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(list, i, const char *), text)) {
            return 1;
        }
    }
    return 0;
}

static int same_set(const apr_array_header_t *a, const apr_array_header_t *b)
{
    int i;

    for (i = 0; a && i < a->nelts; i++) {
        if (!in_list(b, APR_ARRAY_IDX(a, i, const char *))) {
            return 0;
        }
    }
    for (i = 0; b && i < b->nelts; i++) {
        if (!in_list(a, APR_ARRAY_IDX(b, i, const char *))) {
            return 0;
        }
    }
    return !a == !b;
}

/* A key that both read, or NULL. */
static const char *shared_key(const rs_endpoint_t *a, const rs_endpoint_t *b)
{
    int i;

    for (i = 0; i < a->keys->nelts; i++) {
        if (in_list(b->keys, APR_ARRAY_IDX(a->keys, i, const char *))) {
            return APR_ARRAY_IDX(a->keys, i, const char *);
        }
    }
    return NULL;
}

/* Where a tenant is on a key is kept by the endpoint's name, so what two of one name send of a key
 * must be the same; and within a host one name has one meaning altogether. */
static int same_meaning(const rs_endpoint_t *a, const rs_endpoint_t *b)
{
    return same_set(a->conf->events, b->conf->events) && a->conf->user_only == b->conf->user_only
           && (a->server != b->server || same_set(a->keys, b->keys));
}

static void check_pair(apr_pool_t *p, apr_array_header_t *said, const rs_endpoint_t *a,
                       const rs_endpoint_t *b)
{
    const rs_server_conf_t *a_server = rs_conf_server(a->server);
    const rs_server_conf_t *b_server = rs_conf_server(b->server);
    const char *key, *pair, *groups;

    if (!a->conf->profile || !b->conf->profile || !a_server->url || !b_server->url
        || strcmp(a_server->url->label, b_server->url->label)) {
        return;
    }
    groups = rs_check_group_pair(p, a->conf, b->conf);
    if (!groups && (strcmp(a->conf->profile, b->conf->profile) || same_meaning(a, b))) {
        return;
    }
    key = shared_key(a, b);
    /* Hosts inherit the main server's sections: each pair once, whatever the hosts. */
    pair = strcmp(a->where, b->where) < 0 ? apr_pstrcat(p, a->where, b->where, NULL)
                                          : apr_pstrcat(p, b->where, a->where, NULL);
    if (key && !in_list(said, pair)) {
        APR_ARRAY_PUSH(said, const char *) = pair;
        rs_check_complain(
            b->server, NULL,
            groups ? apr_psprintf(
                p, "%s and %s %s and read the key %s: give one of them another RaglineGroup",
                a->where, b->where, groups, key)
                   : apr_psprintf(
                       p,
                       "%s and %s are both named %s and read the key %s, but with different "
                       "streams or events: give one of them another name with RaglineProfile",
                       a->where, b->where, a->conf->profile, key));
    }
}

void rs_check_pairs(apr_pool_t *p, const apr_array_header_t *endpoints)
{
    apr_array_header_t *said = apr_array_make(p, 8, sizeof(const char *));
    int i, k;

    for (i = 0; i < endpoints->nelts; i++) {
        for (k = i + 1; k < endpoints->nelts; k++) {
            check_pair(p, said, &APR_ARRAY_IDX(endpoints, i, rs_endpoint_t),
                       &APR_ARRAY_IDX(endpoints, k, rs_endpoint_t));
        }
    }
}
