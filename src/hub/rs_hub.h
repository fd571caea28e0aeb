/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub: one thread of a child through which everything that comes from Redis goes. It runs what
 * reads, the map from tenants to topics, and the memory of all topics; it gives new clients their
 * topic and their streamer. See rs_hub.c.
 */
#ifndef RS_HUB_H
#define RS_HUB_H

#include "../log/rs_topics.h"
#include "../redis/rs_resolve.h"

/* The hub's thread calls these. */
typedef struct {
    void (*every_second)(void); /* NULL: nothing */
    void (*every_turn)(void *baton);
    void *baton;
} rs_hub_conf_t;

/* Fills in common->hub. */
apr_status_t rs_hub_create(rs_hub_t **hub, apr_pool_t *pchild, rs_common_t *common,
                           const rs_hub_conf_t *conf);

/* Before rs_hub_start(). The source is complete but for what the hub owns. */
apr_status_t rs_hub_add_source(rs_hub_t *hub, rs_source_t *source);

/* A source that is not read, for those who need nothing of one but whose it is. */
void rs_hub_add_nowhere(rs_hub_t *hub, rs_source_t *source);

apr_status_t rs_hub_start(rs_hub_t *hub);

/* Its answers come to the hub; to be stopped after that. */
rs_resolver_t *rs_hub_resolver(const rs_hub_t *hub);

/* Has every_turn() called soon. Safe in a signal handler. */
void rs_hub_wake(rs_hub_t *hub);

/* After every streamer is joined. */
void rs_hub_stop(rs_hub_t *hub);

/* What the thread does, again and again: waits for something and sees to it. 0: it is over. */
int rs_hub_turn(rs_hub_t *hub);

/* And in the end: lets go of everything. */
void rs_hub_end(rs_hub_t *hub);

#endif
