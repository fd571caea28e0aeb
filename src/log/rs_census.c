/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash of counters: one for each tenant, and one for each of its users, which hang together.
 */
#include <stdlib.h>
#include <string.h>

#include "rs_census.h"

#define FIRST_SIZE 64u

struct rs_census_node_t {
    rs_census_node_t *next;          /* in the bucket */
    rs_census_node_t *tenant;        /* of a user; NULL: this is a tenant */
    rs_census_node_t *newer, *older; /* users of the tenant; of a tenant: `older` is the first */
    unsigned count;
    apr_uint32_t hash;
    char name[];
};

void rs_census_open(rs_census_t *census)
{
    memset(census, 0, sizeof(*census));
    pthread_mutex_init(&census->lock, NULL);
}

void rs_census_close(rs_census_t *census)
{
    unsigned i;

    for (i = 0; i < census->size; i++) {
        while (census->buckets[i]) {
            rs_census_node_t *node = census->buckets[i];

            census->buckets[i] = node->next;
            free(node);
        }
    }
    free(census->buckets);
    pthread_mutex_destroy(&census->lock);
}

static apr_uint32_t hash_of(const rs_census_node_t *tenant, const char *name)
{
    apr_uint32_t hash = tenant ? tenant->hash * 31 + 7 : 2166136261u;

    for (; *name; name++) {
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    }
    return hash;
}

static rs_census_node_t **bucket(const rs_census_t *census, apr_uint32_t hash)
{
    return &census->buckets[hash & (census->size - 1)];
}

static rs_census_node_t *find(const rs_census_t *census, const rs_census_node_t *tenant,
                              const char *name)
{
    apr_uint32_t hash = hash_of(tenant, name);
    rs_census_node_t *node = census->size ? *bucket(census, hash) : NULL;

    while (node && (node->hash != hash || node->tenant != tenant || strcmp(node->name, name))) {
        node = node->next;
    }
    return node;
}

static int grow(rs_census_t *census)
{
    rs_census_t larger = *census;
    unsigned i;

    if (census->nodes < census->size) {
        return 1;
    }
    larger.size = census->size ? census->size * 2 : FIRST_SIZE;
    larger.buckets = calloc(larger.size, sizeof(rs_census_node_t *));
    if (!larger.buckets) {
        return census->size != 0;
    }
    for (i = 0; i < census->size; i++) {
        while (census->buckets[i]) {
            rs_census_node_t *node = census->buckets[i], **to = bucket(&larger, node->hash);

            census->buckets[i] = node->next;
            node->next = *to;
            *to = node;
        }
    }
    free(census->buckets);
    census->buckets = larger.buckets;
    census->size = larger.size;
    return 1;
}

static rs_census_node_t *find_or_make(rs_census_t *census, rs_census_node_t *tenant,
                                      const char *name)
{
    rs_census_node_t *node = find(census, tenant, name), **to;

    if (node || !grow(census)) {
        return node;
    }
    node = calloc(1, sizeof(*node) + strlen(name) + 1);
    if (!node) {
        return NULL;
    }
    strcpy(node->name, name);
    node->hash = hash_of(tenant, name);
    node->tenant = tenant;
    to = bucket(census, node->hash);
    node->next = *to;
    *to = node;
    census->nodes++;
    if (tenant) {
        node->older = tenant->older;
        node->newer = tenant;
        if (node->older) {
            node->older->newer = node;
        }
        tenant->older = node;
    }
    return node;
}

static void forget(rs_census_t *census, rs_census_node_t *node)
{
    rs_census_node_t **link = bucket(census, node->hash);

    while (*link != node) {
        link = &(*link)->next;
    }
    *link = node->next;
    if (node->tenant) {
        node->newer->older = node->older;
        if (node->older) {
            node->older->newer = node->newer;
        }
    }
    census->nodes--;
    free(node);
}

int rs_census_add(rs_census_t *census, const char *tenant_name, const char *user_name)
{
    rs_census_node_t *tenant, *user = NULL;

    pthread_mutex_lock(&census->lock);
    tenant = find_or_make(census, NULL, tenant_name);
    if (tenant && *user_name) {
        user = find_or_make(census, tenant, user_name);
    }
    if (user) {
        user->count++;
    }
    if (tenant && (user || !*user_name)) {
        tenant->count++;
    }
    else if (tenant && !tenant->count) {
        forget(census, tenant);
        tenant = NULL;
    }
    pthread_mutex_unlock(&census->lock);
    return tenant && (user || !*user_name);
}

void rs_census_remove(rs_census_t *census, const char *tenant_name, const char *user_name)
{
    rs_census_node_t *tenant, *user = NULL;

    pthread_mutex_lock(&census->lock);
    tenant = find(census, NULL, tenant_name);
    if (tenant && *user_name) {
        user = find(census, tenant, user_name);
    }
    if (user && --user->count == 0) {
        forget(census, user);
    }
    if (tenant && --tenant->count == 0) {
        forget(census, tenant);
    }
    pthread_mutex_unlock(&census->lock);
}

unsigned rs_census_tell(rs_census_t *census, const char *tenant_name, int max, rs_buf_t *users)
{
    const rs_census_node_t *tenant, *user;
    unsigned count;

    pthread_mutex_lock(&census->lock);
    tenant = find(census, NULL, tenant_name);
    count = tenant ? tenant->count : 0;
    rs_buf_puts(users, "{");
    for (user = tenant ? tenant->older : NULL; user && max; user = user->older, max--) {
        rs_buf_puts(users, user->newer == tenant ? "" : ",");
        rs_buf_json(users, user->name, strlen(user->name));
        rs_buf_printf(users, ":%u", user->count);
    }
    rs_buf_puts(users, "}");
    pthread_mutex_unlock(&census->lock);
    return count;
}
