/* SPDX-License-Identifier: Apache-2.0
 *
 * The frame of a fuzz target: APR, a pool that lives for one input, and the sentence that an
 * invariant is broken. A target is fuzz_setup() and fuzz_one(); libFuzzer or standalone.c has
 * main().
 */
#ifndef RS_FUZZ_H
#define RS_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "../../src/base/rs_base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The target: once before the first input, then each input. */
void fuzz_setup(apr_pool_t *all);
void fuzz_one(apr_pool_t *p, const char *data, size_t size);

/* The input, or a part of it, with a NUL at its end: a block of its own, since a sanitizer does not
 * see the borders of what comes from a pool. Freed with p. */
char *fuzz_text(apr_pool_t *p, const char *data, size_t size);

/* Cuts the next line off: returns it without its end, as fuzz_text() does. */
char *fuzz_line(apr_pool_t *p, const char **data, size_t *size);

void fuzz_broken(const char *what, const char *file, int line) __attribute__((noreturn));

/* An invariant: a fuzzer takes what breaks it for a crash. */
#define require(good) ((good) ? (void)0 : fuzz_broken(#good, __FILE__, __LINE__))

#endif
