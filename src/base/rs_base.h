/* SPDX-License-Identifier: Apache-2.0
 *
 * What every file of the core may use: forward types, limits, attributes. No code of its own.
 */
#ifndef RS_BASE_H
#define RS_BASE_H

#include <apr.h>
#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_time.h>

/* A setting that its section did not set. */
#define RS_UNSET (-1)

/* Tenants and users: 1 to 64 of [A-Za-z0-9._@-]. */
#define RS_NAME_MAX 64

/* Streams of one endpoint: the composite cursor of so many stays below 200 bytes. */
#define RS_STREAMS_MAX 8

#define RS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define RS_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

typedef struct rs_buf_t rs_buf_t;
typedef struct rs_accepted_t rs_accepted_t;
typedef struct rs_client_t rs_client_t;
typedef struct rs_command_t rs_command_t;
typedef struct rs_common_t rs_common_t;
typedef struct rs_cursor_t rs_cursor_t;
typedef struct rs_event_t rs_event_t;
typedef struct rs_fetch_t rs_fetch_t;
typedef struct rs_group_t rs_group_t;
typedef struct rs_hearing_t rs_hearing_t;
typedef struct rs_hub_t rs_hub_t;
typedef struct rs_member_t rs_member_t;
typedef struct rs_tenant_t rs_tenant_t;
typedef struct rs_topic_t rs_topic_t;
typedef struct rs_topics_t rs_topics_t;
typedef struct rs_wire_t rs_wire_t;
typedef struct rs_profile_t rs_profile_t;
typedef struct rs_renewals_t rs_renewals_t;
typedef struct rs_revoked_t rs_revoked_t;
typedef struct rs_share_t rs_share_t;
typedef struct rs_source_t rs_source_t;
typedef struct rs_streamer_t rs_streamer_t;
typedef struct rs_subscription_t rs_subscription_t;

#endif
