/* SPDX-License-Identifier: Apache-2.0
 *
 * Names with {tenant} in them: Redis keys and consumer groups. A tenant is of [A-Za-z0-9._@-] only
 * (rs_name_valid), so it cannot hold the separators or braces of a name. Pure functions.
 */
#ifndef RS_TEMPLATE_H
#define RS_TEMPLATE_H

#include <stddef.h>

/* Whether the name differs from tenant to tenant. */
int rs_template_per_tenant(const char *name);

/* Writes the name with the tenant in each place of {tenant}, and a NUL; returns its length. out
 * NULL: only that. */
size_t rs_template_fill(char *out, const char *name, const char *tenant);

/* The same for a consumer group, where a tenant's `-` becomes `~`: so group "ws-{tenant}" of tenant
 * "orders-42" is not group "ws-orders-{tenant}" of tenant "42". */
size_t rs_template_fill_group(char *out, const char *name, const char *tenant);

#endif
