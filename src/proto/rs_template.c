/* SPDX-License-Identifier: Apache-2.0
 *
 * Filling in tenants.
 */
#include <string.h>

#include "rs_template.h"

static const char mark[] = "{tenant}";
#define MARK_LEN (sizeof(mark) - 1)

int rs_template_per_tenant(const char *name) { return strstr(name, mark) != NULL; }

static size_t put(char *out, size_t at, const char *text, size_t len)
{
    if (out) {
        memcpy(out + at, text, len);
    }
    return at + len;
}

size_t rs_template_fill(char *out, const char *name, const char *tenant)
{
    size_t len = 0;
    const char *next;

    while ((next = strstr(name, mark))) {
        len = put(out, len, name, (size_t)(next - name));
        len = put(out, len, tenant, strlen(tenant));
        name = next + MARK_LEN;
    }
    len = put(out, len, name, strlen(name));
    (void)put(out, len, "", 1);
    return len;
}
