/* SPDX-License-Identifier: Apache-2.0
 *
 * What ./check --sanitize preloads into httpd beside the sanitizer's runtime. httpd and APR are not
 * built with it, so ThreadSanitizer does not see the atomic operations by which the event MPM hands
 * a connection's pool from one thread to the next, and would take each use of recycled memory for a
 * race, ours too. Here are the same operations where it sees them. Not part of the module.
 */
#include <stdlib.h>

#include <apr_atomic.h>

/* What httpd starts (exec: secrets, piped logs) runs as it always does. */
__attribute__((constructor)) static void forget_preload(void) { unsetenv("LD_PRELOAD"); }

#ifdef __SANITIZE_THREAD__
#define ATOMICS(bits)                                                                              \
    apr_uint##bits##_t apr_atomic_read##bits(volatile apr_uint##bits##_t *mem)                     \
    {                                                                                              \
        return __atomic_load_n(mem, __ATOMIC_SEQ_CST);                                             \
    }                                                                                              \
    void apr_atomic_set##bits(volatile apr_uint##bits##_t *mem, apr_uint##bits##_t value)          \
    {                                                                                              \
        __atomic_store_n(mem, value, __ATOMIC_SEQ_CST);                                            \
    }                                                                                              \
    apr_uint##bits##_t apr_atomic_add##bits(volatile apr_uint##bits##_t *mem,                      \
                                            apr_uint##bits##_t value)                              \
    {                                                                                              \
        return __atomic_fetch_add(mem, value, __ATOMIC_SEQ_CST);                                   \
    }                                                                                              \
    void apr_atomic_sub##bits(volatile apr_uint##bits##_t *mem, apr_uint##bits##_t value)          \
    {                                                                                              \
        __atomic_fetch_sub(mem, value, __ATOMIC_SEQ_CST);                                          \
    }                                                                                              \
    apr_uint##bits##_t apr_atomic_inc##bits(volatile apr_uint##bits##_t *mem)                      \
    {                                                                                              \
        return __atomic_fetch_add(mem, 1, __ATOMIC_SEQ_CST);                                       \
    }                                                                                              \
    int apr_atomic_dec##bits(volatile apr_uint##bits##_t *mem)                                     \
    {                                                                                              \
        return __atomic_sub_fetch(mem, 1, __ATOMIC_SEQ_CST) != 0;                                  \
    }                                                                                              \
    apr_uint##bits##_t apr_atomic_cas##bits(volatile apr_uint##bits##_t *mem,                      \
                                            apr_uint##bits##_t with, apr_uint##bits##_t cmp)       \
    {                                                                                              \
        __atomic_compare_exchange_n(mem, &cmp, with, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);       \
        return cmp;                                                                                \
    }                                                                                              \
    apr_uint##bits##_t apr_atomic_xchg##bits(volatile apr_uint##bits##_t *mem,                     \
                                             apr_uint##bits##_t value)                             \
    {                                                                                              \
        return __atomic_exchange_n(mem, value, __ATOMIC_SEQ_CST);                                  \
    }

ATOMICS(32)
ATOMICS(64)

void *apr_atomic_casptr(volatile void **mem, void *with, const void *cmp)
{
    volatile void *expected = (volatile void *)cmp;

    __atomic_compare_exchange_n(mem, &expected, with, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return (void *)expected;
}

void *apr_atomic_xchgptr(volatile void **mem, void *with)
{
    return (void *)__atomic_exchange_n(mem, with, __ATOMIC_SEQ_CST);
}
#endif
