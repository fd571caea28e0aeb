/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. Pure functions.
 */
#ifndef RS_UTF8_H
#define RS_UTF8_H

#include "rs_base.h"

/* The length (1 to 4) of the well-formed character at s, or 0 if there is none within n bytes. */
size_t rs_utf8_char(const char *s, size_t n);

/* Whether all n bytes are well-formed. */
int rs_utf8_valid(const char *s, size_t n);

#endif
