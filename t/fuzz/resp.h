/* SPDX-License-Identifier: Apache-2.0
 *
 * For targets that feed hiredis.
 */
#ifndef RS_FUZZ_RESP_H
#define RS_FUZZ_RESP_H

#include <stddef.h>

/* hiredis allocates what an array says that it holds before any of it has come. That is its own
 * business; here it would only be slow: whether a count has more than four digits. */
static inline int fuzz_resp_too_many(const char *data, size_t size)
{
    size_t i, digits = 0;
    int counting = 0;

    for (i = 0; i < size; i++) {
        if (data[i] == '*' || data[i] == '%' || data[i] == '~' || data[i] == '>') {
            counting = 1;
            digits = 0;
        }
        else if (counting && data[i] >= '0' && data[i] <= '9') {
            if (++digits > 4) {
                return 1;
            }
        }
        else if (data[i] != '+') {
            counting = 0;
        }
    }
    return 0;
}

#endif
