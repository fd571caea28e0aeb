/* SPDX-License-Identifier: Apache-2.0
 *
 * What a connection is called, towards clients and administrators: the node, a hyphen, and where
 * its record stands, which is hidden, with what nobody can guess. Pure functions.
 */
#ifndef RS_CONNECTION_ID_H
#define RS_CONNECTION_ID_H

#include "../base/rs_base.h"

#define RS_NODE_LEN 8
#define RS_CONNECTION_ID_LEN (RS_NODE_LEN + 1 + 32 + 1)

typedef struct {
    apr_uint64_t place;  /* where the record stands */
    apr_uint64_t random; /* unguessable */
    apr_uint32_t more;   /* likewise */
} rs_connection_id_t;

/* Of 5 random bytes: RS_NODE_LEN characters and a NUL. */
void rs_connection_id_node(char node[RS_NODE_LEN + 1], const unsigned char bytes[5]);

/* And back; 0: that is no node's name. */
int rs_connection_id_node_bytes(unsigned char bytes[5], const char *node);

/* With the NUL at its end. `secret` hides the place. Returns buf. */
const char *rs_connection_id_format(char buf[RS_CONNECTION_ID_LEN], const char *node,
                                    const rs_connection_id_t *id, const unsigned char secret[16]);

/* 0: that is no id. The node's name is its first RS_NODE_LEN characters. */
int rs_connection_id_parse(rs_connection_id_t *id, const char *text,
                           const unsigned char secret[16]);

#endif
