/* SPDX-License-Identifier: Apache-2.0
 *
 * What one connection wants of its endpoint's events, where it may say so: patterns of types, like
 * those of RaglineEvents. In an order of their own and each once, so that all who want the same are
 * one feed. Its owner's thread; never changed.
 */
#ifndef RS_SUBSCRIPTION_H
#define RS_SUBSCRIPTION_H

#include "../base/rs_buf.h"

/* How many, and how long each. */
#define RS_SUBSCRIPTION_MAX 64
#define RS_SUBSCRIPTION_LEN 128

/* NULL stands for everything. */
struct rs_subscription_t {
    int n;
    apr_uint32_t hash, size;
    char text[]; /* the patterns, each with a NUL */
};

/* From n (at most RS_SUBSCRIPTION_MAX) patterns without NULs, which are put in order. NULL when
 * memory is short. Freed by free(). */
rs_subscription_t *rs_subscription_create(const char **patterns, int n);

int rs_subscription_same(const rs_subscription_t *a, const rs_subscription_t *b);

/* Whether events of this type are wanted. */
int rs_subscription_wants(const rs_subscription_t *s, const char *type, size_t len);

/* Appends the patterns as a JSON array. */
void rs_subscription_json(rs_buf_t *b, const rs_subscription_t *s);

#endif
