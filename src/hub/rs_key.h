/* SPDX-License-Identifier: Apache-2.0
 *
 * A Redis key that is being read, and how far. A stream that all tenants share has one for as long
 * as the child lives; one with {tenant} in its key has one for each tenant that has topics.
 */
#ifndef RS_KEY_H
#define RS_KEY_H

#include "../proto/rs_id.h"

typedef struct {
    /* Constant. */
    const char *name;
    rs_source_t *source;
    int stream; /* of the source */

    /* Hub. */
    rs_id_t at;      /* everything up to here was given to the topics */
    int known;       /* whether `at` means anything yet */
    long long added; /* entries ever, up to `at`; -1: not known */
    int replaced;    /* it was lost or replaced while this child read it */

    rs_id_t pos; /* source->lock: `at`, once streamers can find all of it */
} rs_key_t;

#endif
