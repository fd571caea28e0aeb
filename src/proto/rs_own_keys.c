/* SPDX-License-Identifier: Apache-2.0
 *
 * The list.
 */
#include <string.h>

#include "../base/rs_name.h"
#include "rs_own_keys.h"

const char *const rs_own_keys[] = {
    RS_OWN_EVENT,    RS_OWN_GROUPS,   RS_OWN_DLQ,         RS_OWN_CONTROL,    "ragline:control:",
    "ragline:dead:", RS_OWN_PRESENCE, "ragline:revoked:", "ragline:resume:", RS_OWN_GATEWAY, NULL,
};

/* Whether the key, with any text for each {tenant}, is `own`, or begins so if that ends in a colon.
 * (One key with two {tenant} in it is taken for more than it can be.) */
static int meets(const char *key, const char *own)
{
    static const char mark[] = "{tenant}";

    if (!*own) {
        return own[-1] == ':' || !*key;
    }
    if (strncmp(key, mark, sizeof(mark) - 1) != 0) {
        return *key == *own && meets(key + 1, own + 1);
    }
    for (; *own && rs_name_valid(own, 1); own++) {
        if (meets(key + sizeof(mark) - 1, own + 1)) {
            return 1;
        }
    }
    return 0;
}

const char *rs_own_key_met(const char *key)
{
    const char *const *own;

    for (own = rs_own_keys; *own && !meets(key, *own); own++) {
    }
    return *own;
}
