/* SPDX-License-Identifier: Apache-2.0
 *
 * What was lost or removed unread of keys that nobody reads any more: a tenant's own key is
 * forgotten with its last reader, but one who comes back later must be told all the same. Or that
 * may not be read now. For the child's life, of the last RS_SCARS_MAX such keys. The hub's thread.
 */
#ifndef RS_SCARS_H
#define RS_SCARS_H

#include "rs_source.h"

#define RS_SCARS_MAX 4096

/* The key is forgotten: keeps that, if there is anything. */
void rs_scars_keep(rs_source_t *source, const char *key, const rs_known_t *known);

/* It is read again: puts it into what is known so far. */
void rs_scars_apply(rs_source_t *source, const char *key, rs_known_t *known);

void rs_scars_close(rs_source_t *source);

#endif
