/* SPDX-License-Identifier: Apache-2.0
 *
 * What other modules' directives say: AuthType, Require and SetHandler are kept by their modules
 * for themselves, so they are read from the tree of directives. Main thread, check_config.
 */
#ifndef RS_CONF_TREE_H
#define RS_CONF_TREE_H

#include "rs_httpd.h"

/* How a URL is guarded. */
typedef struct {
    const ap_directive_t *auth_type; /* the AuthType in effect, or NULL */
    const ap_directive_t *require;   /* the section whose Require counts, or NULL */
    int ours;                        /* AuthType RaglineJWT */
    int asks_user;                   /* some Require there can only be met by a user */
    int unsure; /* conditions or old directives are involved: nothing may be concluded */
} rs_guard_t;

/* kind: "<Location" and a URL's path, or "<Directory" and a directory's. */
rs_guard_t rs_tree_guard(apr_pool_t *p, server_rec *main_server, server_rec *s, const char *kind,
                         const char *path);

/* The directive of this name at that place of the files, or NULL. */
const ap_directive_t *rs_tree_at(const ap_directive_t *tree, const char *name, const char *file,
                                 unsigned line);

/* The first directive of this name whose first argument is `arg` (NULL: any), or NULL. */
const ap_directive_t *rs_tree_find(apr_pool_t *p, const ap_directive_t *tree, const char *name,
                                   const char *arg);

/* The first word of the directive's arguments. */
const char *rs_tree_word(apr_pool_t *p, const ap_directive_t *at);

#endif
