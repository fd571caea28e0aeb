/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is not to be let in any more, for some time: what Redis has of that, as a child knows it. The
 * hub writes, any thread asks.
 */
#ifndef RS_REVOKED_H
#define RS_REVOKED_H

#include "../base/rs_base.h"

/* The id of a token may be so long, to be revoked. */
#define RS_JTI_MAX 255
#define RS_REVOKED_NAME (2 + 2 * (RS_NAME_MAX + 1) + RS_JTI_MAX + 1)

/* What a revocation is called: of a tenant, of a user of one, or of a token, of which tenant NULL
 * says that its tenant does not matter. Others are NULL. 0: it cannot have a name. */
int rs_revoked_name(char name[RS_REVOKED_NAME], const char *tenant, const char *user,
                    const char *jti);

/* From such a name; the parts are in `name`, which is changed. 0: it is none. */
int rs_revoked_parts(char *name, const char **tenant, const char **user, const char **jti);

/* Whether it is one. */
int rs_revoked_is_name(const char *name);

/* NULL: memory is short. */
rs_revoked_t *rs_revoked_create(void);
void rs_revoked_free(rs_revoked_t *revoked);

/* Until then, in seconds since 1970; in the past: not any more. 1: that is news, also where it was
 * so before, and had ended. -1: memory is short. */
int rs_revoked_set(rs_revoked_t *revoked, const char *name, apr_int64_t until);

/* A reading of all that Redis has begins; what is not set from here to its end is not there. */
void rs_revoked_begin(rs_revoked_t *revoked);
void rs_revoked_end(rs_revoked_t *revoked);

/* How many are kept: those that have ended go when there is no room for others. */
unsigned rs_revoked_count(rs_revoked_t *revoked);

/* Whether it was ever read to its end. */
int rs_revoked_known(rs_revoked_t *revoked);

/* Whether somebody with this token is not to be let in. user "", jti NULL: none. */
int rs_revoked_has(rs_revoked_t *revoked, const char *tenant, const char *user, const char *jti);

#endif
