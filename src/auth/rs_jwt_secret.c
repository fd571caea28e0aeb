/* SPDX-License-Identifier: Apache-2.0
 *
 * What must not be an HMAC secret: the short, the published, and what is no secret at all because
 * it is a public key (then anybody could sign). Start-up only. No message shows the secret.
 */
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "rs_jwt_private.h"

/* In examples, templates and defaults of well-known projects, long enough to pass for a secret. */
static const char *const published[] = {
    "your-secret-key-change-in-production", /* Ragline */
    "super-secret-jwt-token-with-at-least-32-characters-long",
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
    "!ChangeThisMercureHubJWTSecretKey!",
    "!ChangeThisMercureHubJWTSecretKey!!ChangeThisMercureHubJWTSecretKey!",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", /* FastAPI's tutorial */
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-384-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
    "your-256-bit-secret-your-256-bit-secret",
};

/* No generator makes these; people who mean to replace the text do. */
static const char *const placeholders[] = {
    "change-in-production", "change_in_production", "changeinproduction", "change-me", "change_me",
    "changeme", "change-this", "change_this", "changethis", "replace-me", "replace_me",
    "your-secret", "your_secret", "yoursecret", "your-256-bit", "your-384-bit", "your-512-bit",
    "your-jwt-secret", "your_jwt_secret", "insert-secret", "my-secret-key",
};

static int contains_nocase(const char *s, apr_size_t len, const char *part)
{
    apr_size_t n = strlen(part), i, j;

    for (i = 0; i + n <= len; i++) {
        for (j = 0; j < n && apr_tolower(s[i + j]) == part[j]; j++) {
            continue;
        }
        if (j == n) {
            return 1;
        }
    }
    return 0;
}

static int is_published(const char *s, apr_size_t len)
{
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(published); i++) {
        if (strlen(published[i]) == len && memcmp(published[i], s, len) == 0) {
            return 1;
        }
    }
    for (i = 0; i < RS_ARRAY_LEN(placeholders); i++) {
        if (contains_nocase(s, len, placeholders[i])) {
            return 1;
        }
    }
    return 0;
}

/* Fewer than so many different bytes: "aaaa…", "abcabcabc…". 32 random bytes, even written in
 * hex, practically never have so few. */
static int is_monotonous(const char *s, apr_size_t len)
{
    unsigned char seen[256] = {0};
    int kinds = 0;
    apr_size_t i;

    for (i = 0; i < len; i++) {
        kinds += !seen[(unsigned char)s[i]];
        seen[(unsigned char)s[i]] = 1;
    }
    return kinds < 6;
}

const char *rs_jwt_secret_check(apr_pool_t *p, const rs_jwt_alg_t *alg, const char *secret,
                                apr_size_t len)
{
    if (is_published(secret, len)) {
        return apr_psprintf(p, "this secret is a published example that everybody knows: make one "
                            "of your own with: openssl rand -hex %" APR_SIZE_T_FMT, alg->size);
    }
    if (len < alg->size) {
        return apr_psprintf(p, "the secret has %" APR_SIZE_T_FMT " bytes, and %s needs at least %"
                            APR_SIZE_T_FMT ": make one with: openssl rand -hex %" APR_SIZE_T_FMT,
                            len, alg->name, alg->size, alg->size);
    }
    if (is_monotonous(secret, len)) {
        return apr_psprintf(p, "the secret consists of very few different characters: make one "
                            "with: openssl rand -hex %" APR_SIZE_T_FMT, alg->size);
    }
    if (len >= 8 && contains_nocase(secret, 8, "://")) {
        return "this is an address, and no address is fetched: save the keys that are there to a "
               "file, and give file:PATH";
    }
    if ((len >= 4 && memcmp(secret, "ssh-", 4) == 0) || rs_jwt_is_bare_public(secret, len)) {
        return apr_psprintf(p, "this is a public key, and %s takes a secret: give the public key "
                            "in PEM (-----BEGIN PUBLIC KEY-----) with alg=RS256, ES256 or EdDSA",
                            alg->name);
    }
    return NULL;
}
