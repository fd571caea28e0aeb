/* SPDX-License-Identifier: Apache-2.0
 *
 * Media types (RFC 9110, 8.3.1). Any thread.
 */
#include <string.h>

#include <apr_cstr.h>

#include "rs_media_type.h"

static int same(const char *s, size_t n, const char *want)
{
    return n == strlen(want) && apr_cstr_casecmpn(s, want, n) == 0;
}

static int starts(const char *s, size_t n, const char *want)
{
    return n >= strlen(want) && apr_cstr_casecmpn(s, want, strlen(want)) == 0;
}

static int ends(const char *s, size_t n, const char *want)
{
    size_t len = strlen(want);

    return n > len && apr_cstr_casecmpn(s + n - len, want, len) == 0;
}

/* Whether the parameters name no charset, or one that UTF-8 includes. */
static int charset_is_utf8(const char *s)
{
    while (*(s += strspn(s, "; \t"))) {
        size_t name = strcspn(s, "=; \t"), n;
        const char *value = s + name + (s[name] == '=');
        int quoted = *value == '"';

        value += quoted;
        n = strcspn(value, quoted ? "\"" : "; \t");
        if (same(s, name, "charset") && !same(value, n, "utf-8") && !same(value, n, "us-ascii")) {
            return 0;
        }
        s = value + n;
        s += *s == '"';
    }
    return 1;
}

rs_media_t rs_media_type(const char *type)
{
    size_t n;

    if (!type) {
        return RS_MEDIA_NONE;
    }
    type += strspn(type, " \t");
    n = strcspn(type, "; \t");
    if (n == 0) {
        return *type ? RS_MEDIA_OTHER : RS_MEDIA_NONE;
    }
    if (same(type, n, "application/json")) {
        return RS_MEDIA_JSON;
    }
    if (same(type, n, "application/cloudevents+json")) {
        return RS_MEDIA_CLOUDEVENT;
    }
    if (same(type, n, "application/cloudevents-batch+json")) {
        return RS_MEDIA_CLOUDEVENTS;
    }
    if (starts(type, n, "application/cloudevents")) {
        return RS_MEDIA_OTHER;
    }
    if (same(type, n, "text/json") || ends(type, n, "+json")) {
        return RS_MEDIA_JSON_OTHER;
    }
    return starts(type, n, "text/") && charset_is_utf8(type + n) ? RS_MEDIA_TEXT : RS_MEDIA_OTHER;
}
