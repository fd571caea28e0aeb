/* SPDX-License-Identifier: Apache-2.0
 *
 * What compression of an event costs, and what it saves, by size: JSON like that of shops, in which
 * names repeat and values do not. CPU time of the one thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/rs_deflate.h"

#define TIMES 2000
#define BYTES ((size_t)16 * 1024 * 1024) /* of each size at most */

static double microseconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static char letter(void) { return (char)('a' + rand() % 26); }

static void order(rs_buf_t *b)
{
    static const char *const states[] = {"created", "paid", "shipped", "completed"};

    rs_buf_printf(b, "{\"order_id\":%d,\"status\":\"%s\",\"total\":%d.%02d,\"customer\":{",
                  rand() % 1000000, states[rand() % 4], rand() % 500, rand() % 100);
    rs_buf_printf(b, "\"name\":\"%c%c%c%c%c %c%c%c%c%c%c\",\"id\":\"%08x\"},", letter(), letter(),
                  letter(), letter(), letter(), letter(), letter(), letter(), letter(), letter(),
                  letter(), (unsigned)rand());
    rs_buf_printf(b, "\"items\":[{\"sku\":\"SKU-%05d\",\"qty\":%d}]},", rand() % 100000,
                  rand() % 9);
}

static void measure(size_t size)
{
    rs_buf_t text = RS_BUF_INIT, small = RS_BUF_INIT, same = RS_BUF_INIT;
    int times = (int)(BYTES / size < TIMES ? BYTES / size : TIMES), i;
    double start, deflated, inflated;

    while (text.len < size) {
        order(&text);
    }
    text.len = size;
    start = microseconds();
    for (i = 0; i < times; i++) {
        rs_buf_free(&small);
        rs_deflate(&small, text.data, text.len);
    }
    deflated = (microseconds() - start) / times;
    start = microseconds();
    for (i = 0; i < times; i++) {
        rs_buf_free(&same);
        rs_inflate(&same, small.data, small.len, text.len);
    }
    inflated = (microseconds() - start) / times;
    printf("| %zu | %zu | %.0f %% | %.0f µs | %.0f ns | %.0f µs |\n", size, small.len,
           100.0 * (double)small.len / (double)size, deflated, 1000 * deflated / (double)size,
           inflated);
    rs_buf_free(&text);
    rs_buf_free(&small);
    rs_buf_free(&same);
}

int main(void)
{
    static const size_t sizes[] = {128, 256, 512, 1024, 2048, 4096, 8192, 16384, 65536, 1048576};
    size_t i;

    srand(7);
    puts("| bytes | compressed | | CPU, once for an event | per byte | to inflate it |");
    puts("|--:|--:|--:|--:|--:|--:|");
    for (i = 0; i < RS_ARRAY_LEN(sizes); i++) {
        measure(sizes[i]);
    }
    return 0;
}
