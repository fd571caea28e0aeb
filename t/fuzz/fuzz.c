/* SPDX-License-Identifier: Apache-2.0
 *
 * What all fuzz targets do around an input.
 */
#include <stdio.h>

#include <apr_general.h>

#include "fuzz.h"

static apr_pool_t *all, *pool;

void fuzz_broken(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: broken: %s\n", file, line, what);
    abort();
}

static apr_status_t release(void *block)
{
    free(block);
    return APR_SUCCESS;
}

char *fuzz_text(apr_pool_t *p, const char *data, size_t size)
{
    char *text = malloc(size + 1);

    require(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    apr_pool_cleanup_register(p, text, release, apr_pool_cleanup_null);
    return text;
}

char *fuzz_line(apr_pool_t *p, const char **data, size_t *size)
{
    const char *end = *size ? memchr(*data, '\n', *size) : NULL;
    size_t n = end ? (size_t)(end - *data) : *size;
    char *line = fuzz_text(p, *data, n);

    n += end != NULL;
    *data += n;
    *size -= n;
    return line;
}

static void teardown(void)
{
    apr_pool_destroy(all); /* a leak checker does not look into APR's pools */
    apr_terminate();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!all) {
        apr_initialize();
        apr_pool_create(&all, NULL);
        apr_pool_create(&pool, all);
        atexit(teardown);
        fuzz_setup(all);
    }
    fuzz_one(pool, size ? (const char *)data : "", size);
    apr_pool_clear(pool);
    return 0;
}
