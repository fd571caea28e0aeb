/* SPDX-License-Identifier: Apache-2.0
 *
 * The map from (Redis URL, tenant) to topics. This is where tenants are kept apart: an event finds
 * its topics through its tenant's name, and a client is attached through its own; there is no
 * other way to a topic. The hub's thread.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "rs_source.h"
#include "rs_tenants.h"
#include "rs_topics.h"

rs_tenant_t *rs_tenants_find(rs_source_t *source, const char *name, size_t len)
{
    return apr_hash_get(source->tenants, name, (apr_ssize_t)len);
}

static rs_tenant_t *tenant_create(rs_source_t *source, const char *name)
{
    rs_tenant_t *tenant = calloc(1, sizeof(*tenant));

    if (tenant) {
        tenant->source = source;
        apr_cpystrn(tenant->name, name, sizeof(tenant->name));
        apr_hash_set(source->tenants, tenant->name, APR_HASH_KEY_STRING, tenant);
    }
    return tenant;
}

static void tenant_free(rs_tenant_t *tenant)
{
    apr_hash_set(tenant->source->tenants, tenant->name, APR_HASH_KEY_STRING, NULL);
    free(tenant);
}

static void close_keys(const rs_source_t *source, rs_key_t *const *key, int n)
{
    int k;

    for (k = 0; k < n; k++) {
        if (key[k]->tenant) {
            source->topics->calls->close_key(key[k]);
        }
    }
}

static rs_topic_t *topic_create(rs_tenant_t *tenant, apr_uint64_t streams)
{
    rs_source_t *source = tenant->source;
    rs_key_t *key[RS_STREAMS_MAX];
    rs_topic_t *topic;
    int i, n = 0;

    for (i = 0; i < source->nstreams && n < RS_STREAMS_MAX; i++) {
        if (!(streams & ((apr_uint64_t)1 << i))) {
            continue;
        }
        key[n] = source->streams[i].per_tenant ? source->topics->calls->open_key(tenant, i)
                                               : &source->keys[i];
        if (!key[n]) {
            close_keys(source, key, n);
            return NULL;
        }
        n++;
    }
    topic = rs_topic_create(source, streams, key);
    if (!topic) {
        close_keys(source, key, n);
        return NULL;
    }
    topic->owner = tenant;
    topic->next = tenant->topics;
    tenant->topics = topic;
    return topic;
}

rs_topic_t *rs_tenants_topic(rs_source_t *source, const char *name, apr_uint64_t streams)
{
    rs_tenant_t *tenant = rs_tenants_find(source, name, strlen(name));
    rs_topic_t *topic;

    if (!tenant && !(tenant = tenant_create(source, name))) {
        return NULL;
    }
    for (topic = tenant->topics; topic && topic->streams != streams; topic = topic->next) {
    }
    if (!topic && !(topic = topic_create(tenant, streams)) && !tenant->topics) {
        tenant_free(tenant);
    }
    return topic;
}

void rs_tenants_remove(rs_topic_t *topic)
{
    rs_tenant_t *tenant = topic->owner;
    const rs_source_t *source = tenant->source;
    rs_key_t *key[RS_STREAMS_MAX];
    int n = topic->nstreams;
    rs_topic_t **link;

    for (link = &tenant->topics; *link != topic; link = &(*link)->next) {
    }
    *link = topic->next;
    /* Its last look at its keys comes before they go. */
    memcpy(key, topic->key, (size_t)n * sizeof(key[0]));
    rs_topic_free(topic);
    close_keys(source, key, n);
    if (!tenant->topics) {
        tenant_free(tenant);
    }
}
