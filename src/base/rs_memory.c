/* SPDX-License-Identifier: Apache-2.0
 *
 * glibc raises its threshold for mapping with each large block that is freed, and so keeps ever
 * more in its arenas, which it trims at their ends only. Any thread.
 */
#include "rs_config.h"

#include <stddef.h>

#include "rs_memory.h"

#if defined(HAVE_MALLINFO2) && defined(HAVE_MALLOC_TRIM)

#include <malloc.h>

#define KEEP ((size_t)16 * 1024 * 1024)

void rs_memory_give_back(void)
{
    struct mallinfo2 info = mallinfo2();

    if (info.fordblks > KEEP && info.fordblks > info.uordblks / 2) {
        malloc_trim(KEEP / 4);
    }
}

#else

void rs_memory_give_back(void) {}

#endif
