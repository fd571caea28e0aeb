/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of permessage-deflate. zlib's state lives for one call.
 */
#include "rs_config.h"

#include "rs_deflate.h"

#ifdef RS_HAVE_ZLIB

#define ZLIB_CONST
#include <zlib.h>

/* What a flush ends in, and what no message has (RFC 7692, 7.2.1). */
static const unsigned char TAIL[] = {0, 0, 0xFF, 0xFF};

/* How far from its window's end zlib stays. */
#define LOOKAHEAD 262

#define WINDOW_MIN 9 /* zlib has no raw stream with 8 */
#define WINDOW_MAX 15

/* Larger messages are worth larger tables, and not the time in which they would get a little
 * smaller still: there are others who wait. */
#define SMALL 8192
#define SMALL_LEVEL 6
#define SMALL_MEMORY 6
#define LEVEL 3
#define MEMORY 8

/* The least that is made room for at once. */
#define CHUNK 512

int rs_deflate_is_there(void) { return 1; }

/* The smallest one that holds it all: zlib clears what it is given, and for a small message that
 * would take longer than compressing it. */
static int window_for(size_t len)
{
    int bits = WINDOW_MIN;

    while (bits < WINDOW_MAX && (size_t)1 << bits < len + LOOKAHEAD) {
        bits++;
    }
    return bits;
}

int rs_deflate(rs_buf_t *b, const char *data, size_t len)
{
    size_t room = len + sizeof(TAIL) - 1, n = 0;
    char *to = rs_buf_room(b, room);
    z_stream z;

    memset(&z, 0, sizeof(z));
    if (!to || !len
        || deflateInit2(&z, len > SMALL ? LEVEL : SMALL_LEVEL, Z_DEFLATED, -window_for(len),
                        len > SMALL ? MEMORY : SMALL_MEMORY, Z_DEFAULT_STRATEGY)
               != Z_OK) {
        b->broken |= len > 0;
        return 0;
    }
    z.next_in = (const Bytef *)data;
    z.avail_in = (uInt)len;
    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)room;
    /* What fills all the room may not be complete, and is no smaller. */
    if (deflate(&z, Z_SYNC_FLUSH) == Z_OK && !z.avail_in && z.avail_out) {
        n = room - z.avail_out - sizeof(TAIL);
    }
    deflateEnd(&z);
    b->len += n;
    return n > 0;
}

/* Takes all of these bytes. */
static rs_inflated_t take(z_stream *z, rs_buf_t *b, const void *data, size_t len, size_t max)
{
    size_t room;
    char *to;
    int rc;

    z->next_in = data;
    z->avail_in = (uInt)len;
    do {
        room = b->len > len ? b->len : len;
        room = room < CHUNK ? CHUNK : room;
        room = room < max + 1 - b->len ? room : max + 1 - b->len;
        to = rs_buf_room(b, room);
        if (!to) {
            return RS_INFLATE_NO_MEMORY;
        }
        z->next_out = (Bytef *)to;
        z->avail_out = (uInt)room;
        rc = inflate(z, Z_SYNC_FLUSH);
        b->len += room - z->avail_out;
        if (b->len > max) {
            return RS_INFLATE_TOO_BIG;
        }
        if (rc == Z_STREAM_END) {
            /* A block that calls itself the last one: others may follow all the same. */
            rc = inflateReset(z);
        }
        if (rc != Z_OK && rc != Z_BUF_ERROR) {
            return rc == Z_MEM_ERROR ? RS_INFLATE_NO_MEMORY : RS_INFLATE_BROKEN;
        }
    } while (z->avail_in || !z->avail_out);
    return RS_INFLATED;
}

/* Whether a block ended with the last byte that was taken. */
static int is_complete(const z_stream *z) { return (z->data_type & 0xFF) == 128; }

rs_inflated_t rs_inflate(rs_buf_t *b, const char *data, size_t len, size_t max)
{
    rs_inflated_t what;
    z_stream z;

    memset(&z, 0, sizeof(z));
    if (inflateInit2(&z, -WINDOW_MAX) != Z_OK) {
        return RS_INFLATE_NO_MEMORY;
    }
    what = take(&z, b, data, len, max);
    if (what == RS_INFLATED) {
        what = take(&z, b, TAIL, sizeof(TAIL), max);
    }
    if (what == RS_INFLATED && !is_complete(&z)) {
        what = RS_INFLATE_BROKEN;
    }
    inflateEnd(&z);
    return what;
}

#else

int rs_deflate_is_there(void) { return 0; }

int rs_deflate(rs_buf_t *b, const char *data, size_t len)
{
    (void)b, (void)data, (void)len;
    return 0;
}

rs_inflated_t rs_inflate(rs_buf_t *b, const char *data, size_t len, size_t max)
{
    (void)b, (void)data, (void)len, (void)max;
    return RS_INFLATE_BROKEN;
}

#endif
