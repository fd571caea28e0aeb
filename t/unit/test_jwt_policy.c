/* SPDX-License-Identifier: Apache-2.0
 *
 * What a policy accepts: algorithms, times, required claims; and the cache, also with threads.
 */
#include <apr_thread_proc.h>

#include "../../src/auth/rs_claims.h"
#include "jwt_verdict.h"

static void test_algorithms(void)
{
    static const char *const algs[] = {"HS256", "HS384", "HS512", "RS256", "RS384",
                                       "RS512", "PS256", "PS384", "PS512", "ES256",
                                       "ES384", "ES512", "EdDSA"};
    apr_size_t i, j;
    int wrong = 0;

    for (i = 0; i < RS_ARRAY_LEN(algs); i++) {
        const char *alg = algs[i], *token;
        const char *header = apr_psprintf(pool, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", alg);

        token = alg[0] == 'H' ? token_hmac(pool, alg, header, CLAIMS, SECRET, strlen(SECRET))
                              : token_pkey(pool, alg, header, CLAIMS, pkey_for(alg));
        for (j = 0; j < RS_ARRAY_LEN(algs); j++) {
            const char *why = verdict(policy_of(algs[j], NULL), token);

            wrong += i == j ? why != NULL : !why || strcmp(why, NO_ALG) != 0;
        }
        is_str(verdict(policy_of(alg, NULL), token), NULL, alg);
    }
    is_int(wrong, 0, "each algorithm is taken by its own key and refused by the 12 others");
    is_str(rs_claim_text(pool, rs_claim_find(last->claims, "type")), "access", "claims are read");
    is_int(last->expires, apr_time_from_sec(1700000900), "expires");
}

static void test_times(void)
{
    rs_jwt_policy_t *policy = policy_of("HS256", NULL);

    policy->leeway = apr_time_from_sec(30);
    is_str(verdict(policy, hs(JOSE("HS256"), "{\"exp\":1699999971}")), NULL, "within the leeway");
    is_int(last->expires, apr_time_from_sec(1700000001), "it is refused from exp + leeway on");
    is_str(verdict(policy, hs(JOSE("HS256"), "{\"exp\":1699999970}")), "expired", "at its end");
    is_str(verdict(policy, hs(JOSE("HS256"), "{\"nbf\":1700000030}")), NULL, "nbf within it");
    is_int(last->expires, 0, "without exp: never");
    is_str(verdict(policy, hs(JOSE("HS256"), "{\"nbf\":1700000031}")), "not yet valid",
           "nbf beyond it");
    is_str(verdict(policy, hs(JOSE("HS256"), "{\"exp\":1700000000.5,\"iat\":1e9}")), NULL,
           "times with a fraction");
    is_int(last->expires, apr_time_from_sec(1700000030) + 500000, "to the microsecond");
    is_int(last->lives, apr_time_from_sec(700000000) + 500000, "it lives from iat to exp");
    policy->leeway = -5;
    is_str(verdict(policy, hs(JOSE("HS256"), "{\"exp\":253402300799,\"nbf\":1700000000}")), NULL,
           "the year 9999, and a negative leeway is none");
    is_int(last->expires, apr_time_from_sec(253402300799), "without overflow");
    is_int(last->lives, apr_time_from_sec(253402300799 - 1700000000), "without iat: from now on");
}

static void test_require(void)
{
    static const struct {
        const char *claim, *value, *claims;
        int good;
    } table[] = {
        {"type", "access", "{\"type\":\"access\"}", 1},
        {"type", "access", "{\"type\":\"refresh\"}", 0},
        {"type", "access", "{}", 0},
        {"type", "access", "{\"type\":\"access \"}", 0},
        {"type", "access", "{\"type\":{\"access\":1}}", 0},
        {"aud", "me", "{\"aud\":\"me\"}", 1},
        {"aud", "me", "{\"aud\":[\"you\",\"me\"]}", 1},
        {"aud", "me", "{\"aud\":[\"you\",[\"me\"]]}", 0},
        {"aud", "me", "{\"aud\":[]}", 0},
        {"aud", "me", "{\"aud\":\"you me\"}", 0},
        {"level", "3", "{\"level\":3}", 1},
        {"level", "3", "{\"level\":\"3\"}", 1},
        {"level", "3", "{\"level\":3.0}", 1},
        {"ok", "true", "{\"ok\":true}", 1},
        {"ok", "true", "{\"ok\":false}", 0},
        {"ok", "null", "{\"ok\":null}", 0},
        {"org.id", "7", "{\"org\":{\"id\":7}}", 1},
        {"https://example.org/tenant", "7", "{\"https://example.org/tenant\":\"7\"}", 1},
    };
    rs_jwt_policy_t *policy = policy_of("HS256", NULL);
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(table); i++) {
        const char *why;

        policy_require(policy, table[i].claim, table[i].value);
        why = verdict(policy, hs(JOSE("HS256"), table[i].claims));
        ok((why == NULL) == table[i].good, "%s %s, given %s", table[i].claim, table[i].value,
           table[i].claims);
    }
    policy_require(policy, "type", "access");
    is_str(verdict(policy, hs(JOSE("HS256"), "{\"type\":\"refresh\"}")),
           "claim \"type\" is not what RaglineJWTRequire asks", "the reason names the claim");
}

static int libjwt_takes(const rs_jwt_key_t *key, const char *token)
{
    rs_jwt_parts_t parts;

    return !rs_jwt_split(&parts, pool, token, strlen(token)) && rs_jwt_libjwt_agrees(key, &parts);
}

static void test_typ_and_sizes(void)
{
    static const char *const typs[] = {
        "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"};
    static const char *const algs[] = {"HS256", "HS384", "HS512"};
    rs_jwt_policy_t *policy = policy_of("HS256", "HS384", "HS512", NULL);
    char *filler = apr_pcalloc(pool, 301);
    apr_size_t i, n;
    int wrong = 0;

    for (i = 0; i < RS_ARRAY_LEN(typs); i++) {
        is_str(verdict(policy, hs(apr_psprintf(pool, "{\"alg\":\"HS256\",\"typ\":\"%s\"}", typs[i]),
                                  CLAIMS)),
               NULL, typs[i]);
    }
    memset(filler, '~', 300);
    for (n = 0; n < 300; n++) {
        const char *alg = algs[n % 3];
        const char *claims = apr_psprintf(pool, "{\"a\":\"%.*s\"}", (int)n, filler);

        wrong += verdict(policy, token_hmac(pool, alg, apr_psprintf(pool, "{\"alg\":\"%s\"}", alg),
                                            claims, SECRET, strlen(SECRET)))
                 != NULL;
    }
    is_int(wrong, 0, "libjwt and we agree on tokens of 300 sizes");
    ok(libjwt_takes(key_make("HS256", NULL), hs(JOSE("HS256"), CLAIMS)), "libjwt alone");
    ok(!libjwt_takes(key_make("HS384", NULL), hs(JOSE("HS256"), CLAIMS)),
       "is not asked to choose the algorithm");
    ok(!libjwt_takes(key_make("RS256", NULL), hs(JOSE("HS256"), CLAIMS)),
       "and never gets a key that is no secret");
    ok(!libjwt_takes(key_make("HS256", NULL), "e30.e30.AA"), "a token that it refuses");
}

static void test_cache(void)
{
    rs_jwt_policy_t *policy = policy_of("ES256:k", NULL), *changed = policy_of("ES256:k", NULL);
    const char *token = token_pkey(pool, "ES256", JOSE("ES256"), CLAIMS, pkey_for("ES256"));
    apr_time_t late = NOW + apr_time_from_sec(59), end = apr_time_from_sec(1700000900);
    rs_jwt_key_t *key = APR_ARRAY_IDX(policy->keys, 0, rs_jwt_key_t *), *other;
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    const char *pem = pem_public(pool, pkey);
    unsigned char name[RS_JWT_DIGEST_LEN];
    rs_jwt_parts_t parts;
    char *forged = apr_pstrdup(pool, token);
    int i;

    rs_jwt_cache_create(&policy->cache, pool);
    changed->cache = policy->cache;
    rs_jwt_split(&parts, pool, token, strlen(token));
    rs_jwt_cache_name(name, key, &parts);
    ok(!rs_jwt_cache_has(policy->cache, name, NOW), "an empty cache");
    is_str(verdict(policy, token), NULL, "the first time");
    ok(rs_jwt_cache_has(policy->cache, name, NOW), "it is remembered");
    is_str(verdict(policy, token), NULL, "the second time");
    ok(rs_jwt_cache_has(policy->cache, name, late), "after 59 s still");
    ok(!rs_jwt_cache_has(policy->cache, name, NOW + apr_time_from_sec(60)), "after 60 s no more");
    ok(!rs_jwt_cache_has(policy->cache, name, NOW - apr_time_from_sec(1)),
       "nor when the clock was set back");
    is_str(verdict_at(policy, token, strlen(token), end - 1), NULL, "just before its end");
    is_str(verdict_at(policy, token, strlen(token), end), "expired", "remembered, but expired");
    policy_require(policy, "type", "refresh");
    ok(verdict(policy, token) != NULL, "remembered, but not what is asked");
    forged[strlen(forged) - 5] = forged[strlen(forged) - 5] == 'A' ? 'B' : 'A';
    is_str(verdict(changed, forged), MISMATCH, "another signature is not remembered");
    ok(!rs_jwt_key_create(&other, pool, "ES256", NULL, "k", pem, strlen(pem)), "a new key");
    APR_ARRAY_IDX(changed->keys, 0, rs_jwt_key_t *) = other;
    is_str(verdict(changed, token), MISMATCH, "after a change of the key nothing is remembered");
    for (i = 0; i < 20000; i++) {
        memcpy(name, &i, sizeof(i));
        rs_jwt_cache_put(policy->cache, name, NOW);
    }
    ok(rs_jwt_cache_has(policy->cache, name, NOW), "the newest stays in a full cache");
    EVP_PKEY_free(pkey);
}

typedef struct {
    const rs_jwt_policy_t *policy;
    const char *good, *bad;
    int wrong;
} worker_t;

static void *APR_THREAD_FUNC worker_main(apr_thread_t *thread, void *data)
{
    worker_t *w = data;
    apr_pool_t *p;
    rs_jwt_t *jwt;
    const char *reason;
    int i;

    (void)thread;
    apr_pool_create_unmanaged(&p);
    for (i = 0; i < 200; i++) {
        w->wrong += rs_jwt_verify(&jwt, p, w->policy, w->good, strlen(w->good), NOW, &reason)
                    != APR_SUCCESS;
        w->wrong +=
            rs_jwt_verify(&jwt, p, w->policy, w->bad, strlen(w->bad), NOW, &reason) == APR_SUCCESS;
        apr_pool_clear(p);
    }
    apr_pool_destroy(p);
    return NULL;
}

static void test_threads(void)
{
    static const char *const algs[] = {"ES256", "RS256", "EdDSA", "HS256"};
    rs_jwt_policy_t *policy = policy_of("ES256", "RS256", "EdDSA", "HS256", NULL);
    worker_t workers[4];
    apr_thread_t *threads[4];
    apr_status_t rv;
    int i, wrong = 0;

    rs_jwt_cache_create(&policy->cache, pool);
    for (i = 0; i < 4; i++) {
        const char *header = apr_psprintf(pool, "{\"alg\":\"%s\"}", algs[i]);

        workers[i].policy = policy;
        workers[i].wrong = 0;
        workers[i].good = i == 3 ? hs(header, CLAIMS)
                                 : token_pkey(pool, algs[i], header, CLAIMS, pkey_for(algs[i]));
        workers[i].bad = apr_pstrcat(pool, workers[i].good, "AAAA", NULL);
        apr_thread_create(&threads[i], NULL, worker_main, &workers[i], pool);
    }
    for (i = 0; i < 4; i++) {
        apr_thread_join(&rv, threads[i]);
        wrong += workers[i].wrong;
    }
    is_int(wrong, 0, "four threads share keys and cache");
}

/* Whether two tokens with these claims say the same. */
static int say_the_same(const char *one, const char *other)
{
    unsigned char a[RS_JWT_SAYS_LEN], b[RS_JWT_SAYS_LEN];
    rs_jwt_policy_t *policy = policy_of("HS256", NULL);

    if (verdict(policy, hs(JOSE("HS256"), one)) || !rs_jwt_says(a, pool, last)
        || verdict(policy, hs(JOSE("HS256"), other)) || !rs_jwt_says(b, pool, last)) {
        return -1;
    }
    return memcmp(a, b, sizeof(a)) == 0;
}

static void test_says(void)
{
    static const struct {
        const char *what, *one, *other;
        int same;
    } table[] = {
        {"its times and its number", "{\"sub\":\"7\",\"exp\":1700000900,\"iat\":1,\"jti\":\"a\"}",
         "{\"sub\":\"7\",\"exp\":1700009999,\"iat\":2,\"nbf\":3,\"jti\":\"b\"}", 1},
        {"the order of claims", "{\"a\":1,\"b\":2,\"ab\":3}", "{\"ab\":3,\"b\":2,\"a\":1}", 1},
        {"a user", "{\"sub\":\"7\"}", "{\"sub\":\"8\"}", 0},
        {"a type", "{\"sub\":\"7\"}", "{\"sub\":7}", 0},
        {"one claim more", "{\"sub\":\"7\"}", "{\"sub\":\"7\",\"roles\":[]}", 0},
        {"one claim less", "{\"sub\":\"7\",\"roles\":[]}", "{\"sub\":\"7\"}", 0},
        {"where a name ends", "{\"a\":\"1\",\"b\":\"2\"}", "{\"a\":\"1b2\"}", 0},
        {"a claim within one", "{\"x\":{\"exp\":1}}", "{\"x\":{\"exp\":2}}", 0},
        {"a name that is written otherwise", "{\"e\\u0078p\":1700000900}", "{\"exp\":1700000900}",
         0},
    };
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(table); i++) {
        is_int(say_the_same(table[i].one, table[i].other), table[i].same, table[i].what);
    }
}

static void test_copy(void)
{
    rs_jwt_policy_t *policy = policy_of("HS256", "RS256:a", NULL), *other;
    const rs_jwt_policy_t *copy;
    const char *token = hs(JOSE("HS256"), CLAIMS);
    char type[] = "type", value[] = "access";

    policy_require(policy, type, value);
    copy = rs_jwt_policy_put(malloc(rs_jwt_policy_size(policy)), policy);
    ok(rs_jwt_policy_same(policy, copy), "a copy is the same");
    memset(type, 'x', 4);
    memset(value, 'x', 6);
    ok(!rs_jwt_policy_same(policy, copy), "and keeps what it was made of");
    is_str(verdict((rs_jwt_policy_t *)copy, token), NULL, "it accepts a token");
    is_str(verdict((rs_jwt_policy_t *)copy, hs(JOSE("HS256"), "{\"type\":\"refresh\"}")),
           "claim \"type\" is not what RaglineJWTRequire asks", "and asks for claims");
    other = policy_of("HS256", NULL);
    ok(!rs_jwt_policy_same(other, policy_of("HS256", NULL)), "keys are the same only if they are");
    ok(!rs_jwt_policy_same(other, NULL) && rs_jwt_policy_same(NULL, NULL), "none is another");
    ok(rs_jwt_policy_same(other,
                          rs_jwt_policy_put(apr_palloc(pool, rs_jwt_policy_size(other)), other)),
       "a policy that requires nothing");
    free((void *)copy);
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_algorithms();
    test_times();
    test_require();
    test_typ_and_sizes();
    test_cache();
    test_threads();
    test_says();
    test_copy();
    apr_pool_destroy(pool);
    return done_testing();
}
