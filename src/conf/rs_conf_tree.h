/* SPDX-License-Identifier: Apache-2.0
 *
 * What other modules' directives say: AuthType, Require and SetHandler are kept by their modules
 * for themselves, so they are read from the tree of directives. Main thread, check_config.
 */
#ifndef RS_CONF_TREE_H
#define RS_CONF_TREE_H

#include "rs_httpd.h"

/* What a Require may say: a set of these. NO_USER: ask for one. NEUTRAL: nothing, which refuses. */
enum { RS_GRANTED = 1, RS_DENIED = 2, RS_NO_USER = 4, RS_NEUTRAL = 8 };

/* The Require of one section (rs_conf_require.c). */
typedef struct {
    unsigned stranger;          /* what may be said to a request without a user */
    int found;                  /* there is one, */
    int applies;                /* for this method */
    const ap_directive_t *asks; /* one that only a user can meet, whether it is asked or not */
} rs_require_t;

rs_require_t rs_require_of(apr_pool_t *p, const ap_directive_t *section, const char *method);

/* Two sets of results as <RequireAll> (all) or <RequireAny> takes them together. */
unsigned rs_require_both(int all, unsigned before, unsigned results);

/* What is guarded. */
typedef struct {
    const char *kind;              /* "<Location" or "<Directory" */
    const char *path;              /* of the URL or directory; NULL: whatever the section matches */
    const ap_directive_t *section; /* of the handler, where it is a pattern or an <If>; or NULL */
    const char *method;
} rs_place_t;

/* Of what a guard is unsure, until a section says it for certain. OLD: mod_access_compat has a word
 * in it. */
enum { RS_UNSURE_TYPE = 1, RS_UNSURE_REQUIRE = 2, RS_UNSURE_FOR_GOOD = 4, RS_UNSURE_OLD = 8 };

/* How it is guarded (rs_conf_guard.c). */
typedef struct {
    const ap_directive_t *auth_type; /* the AuthType in effect, or NULL */
    const ap_directive_t *require;   /* the section whose Require counts, or NULL */
    int applies; /* for this method */
    const ap_directive_t *asks;      /* a Require of it that only a user can meet, or NULL */
    const ap_directive_t *undone;    /* such a one that another section has replaced, or NULL */
    unsigned stranger;               /* what is said to a request without a user; 0: no Require */
    int ours;                        /* AuthType RaglineJWT */
    int unsure; /* conditions or old directives are involved: nothing may be concluded of that */
    int old_narrows; /* OLD: somebody is kept out by them, */
    int old_is_enough; /* and who is not needs no Require (Satisfy Any) */
} rs_guard_t;

rs_guard_t rs_tree_guard(apr_pool_t *p, server_rec *main_server, server_rec *s,
                         const rs_place_t *place);

/* Whether a section with the path reaches all URLs of a pattern. 0: none of them. -1: that cannot
 * be said. */
int rs_tree_reaches(const char *path, const char *pattern, int regex);

/* The directive of this name at that place of the files, or NULL. */
const ap_directive_t *rs_tree_at(const ap_directive_t *tree, const char *name, const char *file,
                                 unsigned line);

/* The <VirtualHost>, or NULL. */
const ap_directive_t *rs_tree_host(server_rec *s);

/* The last directive of this name, which is the one that counts for a number, or NULL. */
const ap_directive_t *rs_tree_last(const ap_directive_t *tree, const char *name);

/* The first directive of this name whose first argument is `arg` (NULL: any), or NULL. */
const ap_directive_t *rs_tree_find(apr_pool_t *p, const ap_directive_t *tree, const char *name,
                                   const char *arg);

/* The first word of the directive's arguments. */
const char *rs_tree_word(apr_pool_t *p, const ap_directive_t *at);

/* The argument of <Location "/a b">, and whether it is a regular expression. */
const char *rs_tree_path(apr_pool_t *p, const ap_directive_t *section, int *regex);

/* Whether the directive is called so. */
int rs_tree_is(const ap_directive_t *at, const char *name);

/* Whether the directive begins so: "<Location" is also <LocationMatch>. */
int rs_tree_begins(const ap_directive_t *at, const char *name);

/* The outermost section around the directive that begins so, or NULL. */
const ap_directive_t *rs_tree_around(const ap_directive_t *at, const char *name);

#endif
