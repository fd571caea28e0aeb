/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets that an administrator keeps outside the configuration. Read at start-up and on a
 * graceful restart, in the one thread of httpd's parent, usually as root.
 *
 *     file:/PATH    env:NAME    exec:COMMAND    and, where it is allowed, secret:TEXT
 */
#ifndef RS_SECRET_H
#define RS_SECRET_H

#include "rs_base.h"

#define RS_SECRET_MAX (64 * 1024)
#define RS_SECRET_EXEC_LIMIT apr_time_from_sec(10)

/* NULL if the form is right, else a sentence that says what to write. Reads nothing, so that a
 * configuration can be checked by a user who may not read the secret. The sentence never quotes
 * `spec`: somebody may have written the secret itself. */
const char *rs_secret_check(apr_pool_t *p, const char *spec, int allow_text);

/* NULL and the secret in p, with a NUL after its `len` bytes; else a sentence that names the file
 * or variable. One line end at the end of what was read is removed. An empty secret is refused. */
const char *rs_secret_read(const char **value, apr_size_t *len, apr_pool_t *p, const char *spec,
                           int allow_text);

/* Warns if it is in a file that everybody may read. For the caller to ask where what was read is
 * really secret: a public key is not. */
void rs_secret_warn(const char *spec);

#endif
