/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of permessage-deflate (RFC 7692), each compressed by itself: nothing is remembered of
 * one when the next comes. Pure functions over zlib; without it there are none.
 */
#ifndef RS_DEFLATE_H
#define RS_DEFLATE_H

#include "../base/rs_buf.h"

/* Whether it was built with zlib: else nothing else here is called. */
int rs_deflate_is_there(void);

/* Appends the compressed message. 0: it would not be smaller, or memory is short, which b knows. */
int rs_deflate(rs_buf_t *b, const char *data, size_t len);

typedef enum {
    RS_INFLATED,
    RS_INFLATE_BROKEN,  /* these bytes are no message */
    RS_INFLATE_TOO_BIG, /* it has more than `max` bytes */
    RS_INFLATE_NO_MEMORY
} rs_inflated_t;

/* Appends to b, which is empty, the message that these bytes are. Never takes much more memory than
 * `max`, whatever they claim to be. */
rs_inflated_t rs_inflate(rs_buf_t *b, const char *data, size_t len, size_t max);

#endif
