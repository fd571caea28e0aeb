/* SPDX-License-Identifier: Apache-2.0
 *
 * What compressed messages say (permessage-deflate, each by itself). A server that compresses an
 * event once sends the same bytes to everybody, so what was inflated is remembered: every message
 * is looked into, and of the same ones only the first is work. One reader's process.
 */
#include "load.h"

#include "rs_config.h"

#include <stdlib.h>
#include <string.h>

#ifdef RS_HAVE_ZLIB

#include <zlib.h>

#define SLOTS 1024
#define TEXT_MAX (1024 * 1024)

typedef struct {
    char *bytes, *text;
    size_t len, text_len;
} slot_t;

static unsigned slot_of(const char *bytes, size_t len)
{
    uint64_t hash = len;
    size_t i, from = len > 64 ? len - 64 : 0;

    /* What differs between events is at their ends: an id, a time. */
    for (i = from; i < len; i++) {
        hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
    }
    return (unsigned)(hash >> 32) % SLOTS;
}

/* The bytes in `text`; -1: they are none. */
static long inflate_all(const char *bytes, size_t len, char *text)
{
    static const unsigned char end[] = {0, 0, 0xFF, 0xFF};
    static z_stream z;
    static bool ready;

    if (!ready && inflateInit2(&z, -15) != Z_OK) {
        die("out of memory");
    }
    ready = true;
    inflateReset(&z);
    z.next_out = (unsigned char *)text;
    z.avail_out = TEXT_MAX;
    z.next_in = (unsigned char *)bytes;
    z.avail_in = (unsigned)len;
    if (inflate(&z, Z_SYNC_FLUSH) != Z_OK || z.avail_in) {
        return -1;
    }
    z.next_in = (unsigned char *)end;
    z.avail_in = sizeof(end);
    return inflate(&z, Z_SYNC_FLUSH) == Z_OK && !z.avail_in ? (long)(TEXT_MAX - z.avail_out) : -1;
}

static char *copy_of(const char *from, size_t len)
{
    char *to = malloc(len + 1);

    if (!to) {
        die("out of memory");
    }
    return memcpy(to, from, len);
}

char *unpack(const char *bytes, size_t len, size_t *text_len)
{
    static slot_t slots[SLOTS];
    static char text[TEXT_MAX];
    slot_t *slot = &slots[slot_of(bytes, len)];
    long n;

    if (!slot->bytes || slot->len != len || memcmp(slot->bytes, bytes, len) != 0) {
        n = inflate_all(bytes, len, text);
        if (n < 0) {
            return NULL;
        }
        free(slot->bytes);
        free(slot->text);
        *slot = (slot_t){copy_of(bytes, len), copy_of(text, (size_t)n), len, (size_t)n};
    }
    *text_len = slot->text_len;
    return slot->text;
}

#else

char *unpack(const char *bytes, size_t len, size_t *text_len)
{
    (void)bytes;
    (void)len;
    (void)text_len;
    die("this was built without zlib");
}

#endif
