/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and patterns. Not apr_isalnum(): the locale must not widen what a tenant may be.
 */
#include <string.h>

#include "rs_name.h"

static int name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.'
           || c == '_' || c == '@' || c == '-';
}

int rs_name_valid(const char *s, size_t n)
{
    size_t i;

    if (n == 0 || n > RS_NAME_MAX) {
        return 0;
    }
    for (i = 0; i < n; i++) {
        if (!name_char(s[i])) {
            return 0;
        }
    }
    return 1;
}

int rs_event_type_valid(const char *s, size_t n)
{
    size_t i;

    if (n == 0 || n > 128) {
        return 0;
    }
    for (i = 0; i < n; i++) {
        if (s[i] <= ' ' || s[i] > '~') {
            return 0;
        }
    }
    return 1;
}

int rs_same_text(const char *a, const char *b) { return a && b ? !strcmp(a, b) : a == b; }

int rs_pattern_match(const char *pattern, const char *s, size_t n)
{
    const char *end = s + n, *star = NULL, *retry = s;

    while (s < end) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = s;
        }
        else if (*pattern && *pattern == *s) {
            pattern++;
            s++;
        }
        else if (star) {
            pattern = star;
            s = ++retry;
        }
        else {
            return 0;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}
