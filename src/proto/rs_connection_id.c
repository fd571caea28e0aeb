/* SPDX-License-Identifier: Apache-2.0
 *
 * Base 32 in lower case: five bytes are eight characters, and there is no rest.
 */
#include <string.h>

#include <apr_siphash.h>

#include "rs_connection_id.h"

#define BYTES 20

static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";

static void encode(char *out, const unsigned char *bytes, int n)
{
    int group, i;

    for (group = 0; group < n / 5; group++) {
        apr_uint64_t bits = 0;

        for (i = 0; i < 5; i++) {
            bits = bits << 8 | *bytes++;
        }
        for (i = 7; i >= 0; i--) {
            *out++ = digits[bits >> (5 * i) & 31];
        }
    }
    *out = '\0';
}

static int decode(unsigned char *bytes, const char *text, int n)
{
    int group, i;

    for (group = 0; group < n / 5; group++) {
        apr_uint64_t bits = 0;

        for (i = 0; i < 8; i++) {
            const char *digit = *text ? strchr(digits, *text++) : NULL;

            if (!digit) {
                return 0;
            }
            bits = bits << 5 | (apr_uint64_t)(digit - digits);
        }
        for (i = 4; i >= 0; i--) {
            *bytes++ = (unsigned char)(bits >> (8 * i));
        }
    }
    return !*text;
}

static void put(unsigned char *to, apr_uint64_t n, int bytes)
{
    while (bytes--) {
        *to++ = (unsigned char)(n >> (8 * bytes));
    }
}

static apr_uint64_t get(const unsigned char *from, int bytes)
{
    apr_uint64_t n = 0;

    while (bytes--) {
        n = n << 8 | *from++;
    }
    return n;
}

void rs_connection_id_node(char node[RS_NODE_LEN + 1], const unsigned char bytes[5])
{
    encode(node, bytes, 5);
}

int rs_connection_id_node_bytes(unsigned char bytes[5], const char *node)
{
    return decode(bytes, node, 5);
}

const char *rs_connection_id_format(char buf[RS_CONNECTION_ID_LEN], const char *node,
                                    const rs_connection_id_t *id, const unsigned char secret[16])
{
    unsigned char bytes[BYTES];

    put(bytes + 8, id->random, 8);
    put(bytes + 16, id->more, 4);
    put(bytes, id->place ^ apr_siphash24(bytes + 8, 12, secret), 8);
    memcpy(buf, node, RS_NODE_LEN);
    buf[RS_NODE_LEN] = '-';
    encode(buf + RS_NODE_LEN + 1, bytes, BYTES);
    return buf;
}

int rs_connection_id_parse(rs_connection_id_t *id, const char *text, const unsigned char secret[16])
{
    unsigned char bytes[BYTES];

    if (strlen(text) != RS_CONNECTION_ID_LEN - 1 || strspn(text, digits) != RS_NODE_LEN
        || text[RS_NODE_LEN] != '-' || !decode(bytes, text + RS_NODE_LEN + 1, BYTES)) {
        return 0;
    }
    id->random = get(bytes + 8, 8);
    id->more = (apr_uint32_t)get(bytes + 16, 4);
    id->place = get(bytes, 8) ^ apr_siphash24(bytes + 8, 12, secret);
    return 1;
}
