/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens for the load client: as many as there are connections, made before any clock runs.
 */
#include "load.h"

#include <stdio.h>
#include <time.h>

#include <apr_general.h>

#include "jwt_sign.h"

static apr_pool_t *pool;
static EVP_PKEY *pkey;
static char secret[512];

static void key_read(void)
{
    FILE *in = fopen(options.token_key, "r");

    if (!in) {
        die("cannot read the key %s", options.token_key);
    }
    if (options.token_alg[0] == 'H') {
        if (!fgets(secret, sizeof(secret), in)) {
            die("no secret in %s", options.token_key);
        }
        secret[strcspn(secret, "\n")] = '\0';
    }
    else if (!(pkey = PEM_read_PrivateKey(in, NULL, NULL, NULL))) {
        die("no private key in %s", options.token_key);
    }
    fclose(in);
}

char *token_make(int tenant, int each)
{
    char header[64], claims[256], *token;
    apr_pool_t *p;

    if (!pool) {
        apr_initialize();
        apr_pool_create(&pool, NULL);
        key_read();
    }
    apr_pool_create(&p, pool);
    snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"JWT\"}", options.token_alg);
    snprintf(claims, sizeof(claims),
             "{\"tenant_id\":\"t%d\",\"sub\":\"user-%d\",\"jti\":\"%08x-%08x\",\"exp\":%lld}",
             tenant, each, world->nonce, (unsigned)each, (long long)time(NULL) + 3600);
    token = pkey ? token_pkey(p, options.token_alg, header, claims, pkey)
                 : token_hmac(p, options.token_alg, header, claims, secret, strlen(secret));
    token = strdup(token);
    apr_pool_destroy(p);
    if (!token) {
        die("out of memory");
    }
    return token;
}
