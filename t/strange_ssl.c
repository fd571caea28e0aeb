/* SPDX-License-Identifier: Apache-2.0
 *
 * Preloaded into httpd by 35-tls.t: makes mod_ssl look as the module does not know it. RAGLINE_STRANGE is
 * `library` (another libssl), `module` (TLS of which nobody tells) or `used` (bytes go through a session
 * that a stream has got).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int strange(const char *what)
{
    const char *is = getenv("RAGLINE_STRANGE");

    return is && strcmp(is, what) == 0;
}

int dladdr(const void *address, Dl_info *info)
{
    int (*real)(const void *, Dl_info *) = (int (*)(const void *, Dl_info *))dlsym(RTLD_NEXT, "dladdr");

    return strange("library") ? 0 : real(address, info);
}

void apr_optional_hook_add(const char *name, void (*hook)(void), const char *const *before,
                           const char *const *after, int order);

void apr_optional_hook_add(const char *name, void (*hook)(void), const char *const *before,
                           const char *const *after, int order)
{
    void (*real)(const char *, void (*)(void), const char *const *, const char *const *, int) =
        (void (*)(const char *, void (*)(void), const char *const *, const char *const *,
                  int))dlsym(RTLD_NEXT, "apr_optional_hook_add");

    if (!strange("module") || strcmp(name, "pre_handshake")) {
        real(name, hook, before, after, order);
    }
}

uint64_t BIO_number_written(void *bio);

uint64_t BIO_number_written(void *bio)
{
    static uint64_t more;
    uint64_t (*real)(void *) = (uint64_t (*)(void *))dlsym(RTLD_NEXT, "BIO_number_written");

    return real(bio) + (strange("used") ? __atomic_add_fetch(&more, 1, __ATOMIC_RELAXED) : 0);
}
