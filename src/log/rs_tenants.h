/* SPDX-License-Identifier: Apache-2.0
 *
 * Tenants that have topics, found by (Redis URL, name). The hub's thread.
 */
#ifndef RS_TENANTS_H
#define RS_TENANTS_H

#include "rs_topic.h"

struct rs_tenant_t {
    rs_source_t *source;
    rs_topic_t *topics; /* one for each set of streams that somebody subscribed to */
    rs_key_t *keys;     /* its own ones that these read */
    char name[RS_NAME_MAX + 1];
};

/* The tenant's topic for this set of streams, made if it is new; NULL when memory is short. */
rs_topic_t *rs_tenants_topic(rs_source_t *source, const char *tenant, apr_uint64_t streams);
rs_tenant_t *rs_tenants_find(rs_source_t *source, const char *name, size_t len);

/* Frees the topic, and what only it needed. */
void rs_tenants_remove(rs_topic_t *topic);

#endif
