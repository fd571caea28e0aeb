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

static size_t fill(char *out, const char *name, const char *tenant, char dash)
{
    size_t len = 0, i;
    const char *next;

    while ((next = strstr(name, mark))) {
        len = put(out, len, name, (size_t)(next - name));
        for (i = 0; tenant[i]; i++) {
            len = put(out, len, tenant[i] == '-' ? &dash : &tenant[i], 1);
        }
        name = next + MARK_LEN;
    }
    len = put(out, len, name, strlen(name));
    (void)put(out, len, "", 1);
    return len;
}

size_t rs_template_fill(char *out, const char *name, const char *tenant)
{
    return fill(out, name, tenant, '-');
}

size_t rs_template_fill_group(char *out, const char *name, const char *tenant)
{
    return fill(out, name, tenant, '~');
}
