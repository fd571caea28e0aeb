/* SPDX-License-Identifier: Apache-2.0
 *
 * Where there are consumer groups: one line for each stream of each endpoint that has some. The
 * configuration makes them, when it is complete; constant from then on.
 */
#ifndef RS_GROUPED_H
#define RS_GROUPED_H

typedef struct {
    const char *endpoint;
    const char *group; /* with {tenant} */
    int shared;
    const char *stream; /* as RaglineStream calls it */
    const char *key;    /* perhaps with {tenant} */
    const char *tenant; /* whose all entries are, or NULL */
} rs_grouped_t;

#endif
