/* SPDX-License-Identifier: Apache-2.0
 *
 * Sets of patterns.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/rs_name.h"
#include "rs_subscription.h"

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In order, each once. */
static int in_order(const char **patterns, int n)
{
    int i, kept = 0;

    qsort(patterns, (size_t)n, sizeof(*patterns), compare);
    for (i = 0; i < n; i++) {
        if (!kept || strcmp(patterns[kept - 1], patterns[i])) {
            patterns[kept++] = patterns[i];
        }
    }
    return kept;
}

rs_subscription_t *rs_subscription_create(const char **patterns, int n)
{
    rs_subscription_t *s;
    size_t size = 0, len;
    int i;

    n = in_order(patterns, n);
    for (i = 0; i < n; i++) {
        size += strlen(patterns[i]) + 1;
    }
    s = malloc(sizeof(*s) + size);
    if (!s) {
        return NULL;
    }
    s->n = n;
    s->size = (apr_uint32_t)size;
    s->hash = 2166136261u;
    for (i = 0, size = 0; i < n; i++, size += len) {
        len = strlen(patterns[i]) + 1;
        memcpy(s->text + size, patterns[i], len);
    }
    for (size = 0; size < s->size; size++) {
        s->hash = (s->hash ^ (unsigned char)s->text[size]) * 16777619u;
    }
    return s;
}

int rs_subscription_same(const rs_subscription_t *a, const rs_subscription_t *b)
{
    if (!a || !b) {
        return a == b;
    }
    return a->hash == b->hash && a->size == b->size && memcmp(a->text, b->text, a->size) == 0;
}

int rs_subscription_wants(const rs_subscription_t *s, const char *type, size_t len)
{
    const char *pattern;
    int i;

    if (!s || len == 0) {
        return 1; /* of no entry: a notice that some are missing */
    }
    for (i = 0, pattern = s->text; i < s->n; i++, pattern += strlen(pattern) + 1) {
        if (rs_pattern_match(pattern, type, len)) {
            return 1;
        }
    }
    return 0;
}

void rs_subscription_json(rs_buf_t *b, const rs_subscription_t *s)
{
    const char *pattern;
    int i;

    rs_buf_puts(b, "[");
    for (i = 0, pattern = s ? s->text : ""; s && i < s->n; i++, pattern += strlen(pattern) + 1) {
        rs_buf_puts(b, i ? "," : "");
        rs_buf_json(b, pattern, strlen(pattern));
    }
    rs_buf_puts(b, "]");
}
