/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the claims of a verified token. Pure functions, any thread.
 */
#ifndef RS_CLAIMS_H
#define RS_CLAIMS_H

#include <jansson.h>

#include "../base/rs_base.h"

/* A longer path finds nothing; nor does one through more objects than a token may nest. */
#define RS_CLAIM_PATH_MAX 255

/* The claim at `path`, or NULL. The whole path is tried as one name first, then it leads through
 * objects by its dots, the longest name that exists first: "org.id" is the claim "org.id", else
 * `id` of `org`; "https://example.org/app.tenant" is `tenant` of "https://example.org/app". */
json_t *rs_claim_find(json_t *claims, const char *path);

/* A string as it is, an integer in decimal, "true" or "false"; NULL for anything else. */
const char *rs_claim_text(apr_pool_t *p, const json_t *value);

/* Whether the claim's text is `text`, or it is an array with such an element. */
int rs_claim_is(const json_t *value, const char *text);

/* The same, and a string is also a list of words (`scope`: "read publish"). */
int rs_claim_has(const json_t *value, const char *text);

#endif
