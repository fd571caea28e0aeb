/* SPDX-License-Identifier: Apache-2.0
 *
 * Five bytes are the node's, nine are random but for what RFC 9562 (5.4) wants to stand there, and
 * two are the child's place, hidden by a keyed hash of the others.
 */
#include <string.h>

#include <apr_general.h>
#include <apr_siphash.h>
#include <apr_strings.h>

#include "rs_gate_token.h"
#include "rs_registry_int.h"

#define BYTES 16
#define PLACE 14 /* it begins there */

static unsigned hidden(const unsigned char b[BYTES], const rs_registry_t *registry)
{
    return (unsigned)(apr_siphash24(b, PLACE, registry->secret) & 0xffff);
}

unsigned rs_gate_token_place(const rs_registry_t *registry) { return registry->place & 0xffff; }

apr_uint64_t rs_gate_token_door(const rs_registry_t *registry, unsigned place, unsigned n)
{
    const apr_uint32_t of[] = {(apr_uint32_t)place, (apr_uint32_t)n};

    return apr_siphash24(of, sizeof(of), registry->secret);
}

int rs_gate_token_make(char token[RS_GATE_TOKEN_LEN], unsigned *turn,
                       const rs_registry_t *registry)
{
    unsigned char b[BYTES];
    unsigned place;

    if (apr_generate_random_bytes(b, sizeof(b)) != APR_SUCCESS) {
        return 0;
    }
    *turn = b[PLACE - 1];
    if (registry) {
        rs_connection_id_node_bytes(b, registry->node);
    }
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    if (registry) {
        place = rs_gate_token_place(registry) ^ hidden(b, registry);
        b[PLACE] = (unsigned char)(place >> 8);
        b[PLACE + 1] = (unsigned char)place;
    }
    apr_snprintf(token, RS_GATE_TOKEN_LEN,
                 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
                 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
                 b[15]);
    return 1;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse(unsigned char b[BYTES], const char *token)
{
    int i, n = 0;

    if (strlen(token) != RS_GATE_TOKEN_LEN - 1) {
        return 0;
    }
    for (i = 0; token[i]; i += 2) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (token[i++] != '-') {
                return 0;
            }
        }
        if (digit(token[i]) < 0 || digit(token[i + 1]) < 0) {
            return 0;
        }
        b[n++] = (unsigned char)(digit(token[i]) << 4 | digit(token[i + 1]));
    }
    return b[6] >> 4 == 4 && b[8] >> 6 == 2;
}

rs_gate_token_is_t rs_gate_token_read(rs_gate_token_t *where, const char *token,
                                      const rs_registry_t *registry)
{
    unsigned char b[BYTES] = {0};

    if (!parse(b, token)) {
        return RS_TOKEN_NONE;
    }
    if (!registry) {
        return RS_TOKEN_HERE;
    }
    rs_connection_id_node(where->node, b);
    if (strcmp(where->node, registry->node) != 0) {
        return RS_TOKEN_NODE;
    }
    where->place = ((unsigned)b[PLACE] << 8 | b[PLACE + 1]) ^ hidden(b, registry);
    return where->place == rs_gate_token_place(registry) ? RS_TOKEN_HERE : RS_TOKEN_CHILD;
}
