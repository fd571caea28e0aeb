/* SPDX-License-Identifier: Apache-2.0
 *
 * A new token on an open connection. Without a request nobody can ask Require, or an expression,
 * whose it is and what it may: so it has to say what the first one said, in all but its times. The
 * streamer's thread; a signature is computed, nothing is waited for.
 */
#include <string.h>

#include <apr_pools.h>

#include "../auth/rs_claims.h"
#include "../auth/rs_jwt.h"
#include "../base/rs_log.h"
#include "../log/rs_profile.h"
#include "../log/rs_source.h"
#include "../log/rs_topics.h"
#include "../wire/rs_wire.h"
#include "rs_renew.h"

/* What ends the connection from now on is what is said of this token. */
static const char *replace(const rs_client_t *client, apr_pool_t *p, const rs_jwt_t *jwt)
{
    rs_source_t *source = client->profile->source;
    const char *jti = rs_json_string(p, rs_claim_find(jwt->claims, "jti"));

    if (source->revoked && rs_revoked_has(source->revoked, client->tenant, client->user, jti)) {
        return "the token has been revoked";
    }
    rs_registry_renew(source->topics->common->registry, client->seat, jti);
    return NULL;
}

/* NULL: *expires; else why not. Sentences are constant, or of the pool. */
static const char *judge(const rs_client_t *client, apr_pool_t *p, const char *token, size_t len,
                         apr_time_t *expires, const char **what)
{
    unsigned char says[RS_JWT_SAYS_LEN];
    const char *why = NULL;
    rs_jwt_t *jwt;

    *what = "Invalid token";
    if (rs_jwt_verify(&jwt, p, client->profile->tokens, token, len, apr_time_now(), &why)
        != APR_SUCCESS) {
        return why;
    }
    *what = "Authentication failed";
    if (!rs_jwt_says(says, p, jwt) || memcmp(says, client->says, sizeof(says)) != 0) {
        return "the token says something else than the one that came with the connection, which "
               "has to be opened anew";
    }
    *expires = jwt->expires;
    return replace(client, p, jwt);
}

static void prolong(rs_client_t *client, apr_time_t expires)
{
    apr_time_t before = client->expires;

    rs_client_expires(client, expires);
    if (!before || (expires && client->expires < before)) {
        client->expires = before;
    }
}

static void judge_and_answer(const rs_streamer_t *s, rs_client_t *client, apr_pool_t *p,
                             const char *token, size_t len, rs_buf_t *out)
{
    const rs_wire_peer_t *peer = client->profile->wire->peer;
    apr_time_t expires = 0;
    const char *what, *why = judge(client, p, token, len, &expires, &what);

    if (why) {
        rs_log(RS_LOG_INFO, 0, RSLOGNO(0102) "%s: a token on an open connection is refused: %s",
               client->profile->name, why);
        peer->refused(out, what, why);
        return;
    }
    prolong(client, expires);
    peer->renewed(out, client->expires ? client->expires - s->now : -1);
}

void rs_renew(const rs_streamer_t *s, rs_client_t *client, const char *token, size_t len,
              rs_buf_t *out)
{
    const rs_wire_peer_t *peer = client->profile->wire->peer;
    apr_pool_t *p;

    if (!client->profile->tokens || !client->says) {
        peer->refused(out, NULL, "this connection did not come with a token");
    }
    else if (apr_pool_create_unmanaged_ex(&p, NULL, NULL) != APR_SUCCESS) {
        peer->refused(out, NULL, "out of memory");
    }
    else {
        judge_and_answer(s, client, p, token, len, out);
        apr_pool_destroy(p);
    }
}
