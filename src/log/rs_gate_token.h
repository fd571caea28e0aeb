/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens of gateway connections: by their form UUIDs of version 4, as applications know them. They
 * say which node the connection is of, and, to that node, which child; 66 bits are random. Any
 * thread.
 */
#ifndef RS_GATE_TOKEN_H
#define RS_GATE_TOKEN_H

#include "rs_registry.h"

#define RS_GATE_TOKEN_LEN 37 /* with the NUL */

/* For a connection of this child; registry NULL: of no node that is known. 0: there are no random
 * numbers. *turn: any number. */
int rs_gate_token_make(char token[RS_GATE_TOKEN_LEN], unsigned *turn,
                       const rs_registry_t *registry);

typedef enum {
    RS_TOKEN_NONE,  /* it is none */
    RS_TOKEN_HERE,  /* of this child, if it is there */
    RS_TOKEN_CHILD, /* of another one of this node: `place` */
    RS_TOKEN_NODE   /* of another node: `node` */
} rs_gate_token_is_t;

typedef struct {
    char node[RS_NODE_LEN + 1];
    unsigned place;
} rs_gate_token_t;

/* registry NULL: there is one child. */
rs_gate_token_is_t rs_gate_token_read(rs_gate_token_t *where, const char *token,
                                      const rs_registry_t *registry);

/* As tokens have it. */
unsigned rs_gate_token_place(const rs_registry_t *registry);

/* What only processes of this node know of a place; another one for each n. */
apr_uint64_t rs_gate_token_door(const rs_registry_t *registry, unsigned place, unsigned n);

#endif
