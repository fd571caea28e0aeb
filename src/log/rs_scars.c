/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash by the key's name, and a ring by age. The hub's thread.
 */
#include <stdlib.h>
#include <string.h>

#include "rs_scars.h"

typedef struct {
    rs_ring_t link;
    rs_known_t known;
    char key[];
} scar_t;

#define SCAR(link_) RS_RING_OF(link_, scar_t, link)

/* It is in the list no more. */
static void drop(rs_source_t *source, scar_t *scar)
{
    apr_hash_set(source->scar_index, scar->key, APR_HASH_KEY_STRING, NULL);
    free(scar);
}

void rs_scars_keep(rs_source_t *source, const char *key, const rs_known_t *known)
{
    scar_t *scar;

    if (!known->lost && !known->gap.ms && !known->gap.seq) {
        return;
    }
    /* Short of memory: as a child that was started just now. */
    scar = calloc(1, sizeof(*scar) + strlen(key) + 1);
    if (!scar) {
        return;
    }
    if (apr_hash_count(source->scar_index) >= RS_SCARS_MAX) {
        drop(source, SCAR(rs_ring_take(&source->scars)));
    }
    scar->known = *known;
    strcpy(scar->key, key);
    rs_ring_put_last(&source->scars, &scar->link);
    apr_hash_set(source->scar_index, scar->key, APR_HASH_KEY_STRING, scar);
}

void rs_scars_apply(rs_source_t *source, const char *key, rs_known_t *known)
{
    scar_t *scar = apr_hash_get(source->scar_index, key, APR_HASH_KEY_STRING);

    if (scar) {
        *known = scar->known;
        known->sure = 0; /* where it stands is to be asked */
        rs_ring_remove(&scar->link);
        drop(source, scar);
    }
}

void rs_scars_close(rs_source_t *source)
{
    rs_ring_t *link;

    while ((link = rs_ring_take(&source->scars))) {
        drop(source, SCAR(link));
    }
}
