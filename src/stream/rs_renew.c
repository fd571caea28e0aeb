/* SPDX-License-Identifier: Apache-2.0
 *
 * A new token on an open connection. One that came over it stands in no request, so nobody can ask
 * Require, or an expression, whose it is and what it may: it has to say what the first one said, in
 * all but its times. One that a worker got with a request has been through all that, and only has
 * to be of the same tenant and user, and to have come to the same URL. The streamer's thread; a
 * signature is computed, nothing is waited for.
 */
#include <string.h>

#include <apr_pools.h>

#include "../auth/rs_claims.h"
#include "../auth/rs_jwt.h"
#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../log/rs_profile.h"
#include "../log/rs_source.h"
#include "../log/rs_topics.h"
#include "../wire/rs_wire.h"
#include "rs_output.h"
#include "rs_renew.h"

/* Clients that came at the same moment are spread over this part of their time. */
#define SPREAD 4

void rs_renew_begin(rs_streamer_t *s, rs_client_t *client)
{
    apr_interval_time_t time = client->profile->reauthorize;
    apr_uint32_t spread = (apr_uint32_t)apr_time_as_msec(time / SPREAD);

    if (time) {
        client->reauthorize = s->now + time - apr_time_from_msec(rs_jitter(&s->jitter, spread + 1));
    }
}

/* --- asking --- */

apr_time_t rs_renew_challenge_due(const rs_client_t *client)
{
    return client->profile->wire->challenge ? client->challenge : 0;
}

/* Whole seconds, the nearest. */
static int seconds(apr_interval_time_t left)
{
    return left > 0 ? (int)apr_time_sec(left + apr_time_from_sec(1) / 2) : 0;
}

/* Where an answer could not name the connection, only one over it is an answer. */
rs_next_t rs_renew_challenge(rs_streamer_t *s, rs_client_t *client)
{
    char connection[RS_CONNECTION_ID_LEN];
    rs_registry_t *registry = s->common->registry;
    int named = registry && client->seat != RS_NO_SEAT;

    client->challenge = 0;
    if (client->profile->wire->peer ? !client->says : !named) {
        return RS_NEXT_GO;
    }
    rs_buf_clear(&s->buf);
    client->profile->wire->challenge(
        &s->buf, named ? rs_registry_id(registry, client->seat, connection) : NULL,
        seconds(client->expires - client->profile->leeway - s->now));
    return rs_output_buf(client, &s->buf) ? RS_NEXT_GO : RS_NEXT_GONE;
}

/* --- taking one --- */

/* The later end counts. It is looked at soon: it may be that the next question comes before that
 * end. */
static void prolong(rs_streamer_t *s, rs_client_t *client, apr_time_t expires,
                    apr_interval_time_t lives)
{
    apr_time_t before = client->expires, challenge = client->challenge;

    rs_client_expires(client, expires, lives);
    if (!before || (expires && client->expires <= before)) {
        client->expires = before;
        client->challenge = challenge;
    }
    rs_wheel_set(&s->wheel, &client->timer, s->now);
}

/* What ends the connection from now on is what is said of this token. 0: it has been revoked. */
static int replace(rs_streamer_t *s, rs_client_t *client, const char *jti, apr_time_t expires,
                   apr_interval_time_t lives)
{
    rs_source_t *source = client->profile->source;

    if (source->revoked && rs_revoked_has(source->revoked, client->tenant, client->user, jti)) {
        return 0;
    }
    rs_registry_renew(s->common->registry, client->seat, jti);
    prolong(s, client, expires, lives);
    return 1;
}

/* NULL: it is taken; else why not. Sentences are constant, or of the pool. */
static const char *judge(rs_streamer_t *s, rs_client_t *client, apr_pool_t *p, const char *token,
                         size_t len, const char **what)
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
    return replace(s, client, rs_json_string(p, rs_claim_find(jwt->claims, "jti")), jwt->expires,
                   jwt->lives)
               ? NULL
               : "the token has been revoked";
}

static void judge_and_answer(rs_streamer_t *s, rs_client_t *client, apr_pool_t *p,
                             const char *token, size_t len, rs_buf_t *out)
{
    const rs_wire_peer_t *peer = client->profile->wire->peer;
    const char *what, *why = judge(s, client, p, token, len, &what);

    if (why) {
        rs_log(RS_LOG_INFO, 0, RSLOGNO(0102) "%s: a token on an open connection is refused: %s",
               client->profile->name, why);
        peer->refused(out, what, why);
        return;
    }
    peer->renewed(out, client->expires ? client->expires - s->now : -1);
}

void rs_renew(rs_streamer_t *s, rs_client_t *client, const char *token, size_t len, rs_buf_t *out)
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

void rs_renew_ordered(rs_streamer_t *s, rs_client_t *client, const rs_command_t *command)
{
    const rs_renewal_t *renewal = &command->renewal;
    apr_time_t now = apr_time_now(), exp = renewal->exp;
    rs_renewed_t answer = RS_RENEWED;

    if (client->place != renewal->place || strcmp(client->tenant, renewal->tenant)
        || strcmp(client->user, renewal->user)) {
        answer = RS_RENEW_OTHER;
    }
    else if (!replace(s, client, *renewal->jti ? renewal->jti : NULL,
                      exp ? exp + client->profile->leeway : 0, exp > now ? exp - now : 0)) {
        answer = RS_RENEW_REVOKED;
    }
    if (command->waiting) {
        rs_renewals_answer(command->renewals, command->waiting, answer);
    }
}
