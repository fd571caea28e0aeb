/* SPDX-License-Identifier: Apache-2.0
 *
 * The only file that knows libjwt, by the part of its interface that 1.10 and 1.17 share. Any
 * thread. Its word counts only in addition to ours, and only for HMAC: it takes the algorithm from
 * the token, so that an RSA public key becomes an HMAC secret; it takes any token when the key is
 * NULL; 1.10 returns success for a token it has not verified when its malloc fails, compares
 * the HMAC with strcmp (CVE-2024-25189), and refuses `typ` other than JWT. So it is asked only
 * about tokens that have passed our own parser and our own comparison in constant time; and only
 * about those that its parser, jansson, has numbers and strings for.
 */
#include <string.h>

#include <jansson.h>
#include <jwt.h>

#include "rs_jwt_private.h"

static int readable(const unsigned char *data, apr_size_t len)
{
    json_t *json = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, NULL);

    json_decref(json);
    return json != NULL;
}

int rs_jwt_libjwt_agrees(const rs_jwt_key_t *key, const rs_jwt_parts_t *parts)
{
    jwt_alg_t want = strcmp(key->alg->name, "HS256") == 0   ? JWT_ALG_HS256
                     : strcmp(key->alg->name, "HS384") == 0 ? JWT_ALG_HS384
                     : strcmp(key->alg->name, "HS512") == 0 ? JWT_ALG_HS512
                                                            : JWT_ALG_NONE;
    jwt_t *jwt = NULL;
    int good;

    if (want == JWT_ALG_NONE || !key->secret || key->secret_len == 0) {
        return 0;
    }
    if (!readable(parts->header, parts->header_len)
        || !readable(parts->payload, parts->payload_len)) {
        return 1;
    }
    if (jwt_decode(&jwt, parts->token, key->secret, (int)key->secret_len) != 0 || !jwt) {
        return 0;
    }
    good = jwt_get_alg(jwt) == want;
    jwt_free(jwt);
    return good;
}
