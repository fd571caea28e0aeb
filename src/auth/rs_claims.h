/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the claims of a verified token. Pure functions, any thread.
 */
#ifndef RS_CLAIMS_H
#define RS_CLAIMS_H

#include "../base/rs_json.h"

/* A longer path finds nothing; nor does one through more objects than a token may nest. */
#define RS_CLAIM_PATH_MAX 255

/* The claim at `path`, or none. The whole path is tried as one name first, then it leads through
 * objects by its dots, the longest name that exists first: "org.id" is the claim "org.id", else
 * `id` of `org`; "https://example.org/app.tenant" is `tenant` of "https://example.org/app". */
rs_json_t rs_claim_find(rs_json_t claims, const char *path);

/* What may leave the module: a string as it is, an integer in decimal, "true" or "false". NULL for
 * anything else, and for a string with control characters: what becomes of a claim, a header or a
 * variable of a program, is lines. */
const char *rs_claim_text(apr_pool_t *p, rs_json_t value);

/* The same of what can name somebody, a string or an integer; *json is how JSON has it. A claim
 * that is null or not there is "". */
const char *rs_claim_name(apr_pool_t *p, rs_json_t value, const char **json);

/* Whether the claim's text is `text`, or it is an array with such an element. */
int rs_claim_is(rs_json_t value, const char *text);

/* The same, and a string is also a list of words (`scope`: "read publish"). */
int rs_claim_has(apr_pool_t *p, rs_json_t value, const char *text);

#endif
