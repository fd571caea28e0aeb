/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages to the hub, and the end of clients. Any thread.
 */
#include "rs_client.h"
#include "rs_common.h"

void rs_common_arrived(rs_common_t *common)
{
    __atomic_sub_fetch(&common->arriving, 1, __ATOMIC_ACQ_REL);
}

void rs_common_unreserve(rs_common_t *common)
{
    rs_common_arrived(common);
    __atomic_sub_fetch(&common->connections, 1, __ATOMIC_ACQ_REL);
}

void rs_common_destroy(rs_common_t *common, rs_client_t *client)
{
    int arrived = client->state != RS_NEW;

    rs_registry_leave(common->registry, client->seat);
    rs_client_destroy(client);
    if (!arrived) {
        rs_common_arrived(common);
    }
    __atomic_sub_fetch(&common->connections, 1, __ATOMIC_ACQ_REL);
}

void rs_common_tell_hub(rs_common_t *common, rs_msg_t *msg, int kind)
{
    if (!rs_inbox_post(common->hub, msg, kind)
        && (kind == RS_MSG_SUBMIT || kind == RS_MSG_RELEASE)) {
        rs_common_destroy(common, (rs_client_t *)msg);
    }
}
