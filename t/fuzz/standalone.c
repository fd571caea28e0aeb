/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a fuzz target on the files named on the command line, without libFuzzer: so that every
 * compiler replays the corpus in each test run. Prints TAP.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    long size = -1;
    int good = 0;

    if (file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0) {
        rewind(file);
        /* Exactly as long as the input, so that a sanitizer sees the first byte too many. */
        data = malloc(size ? (size_t)size : 1);
        good = data && fread(data, 1, (size_t)size, file) == (size_t)size;
    }
    if (good) {
        LLVMFuzzerTestOneInput(data, (size_t)size);
    }
    free(data);
    if (file) {
        fclose(file);
    }
    return good;
}

int main(int argc, char **argv)
{
    int i, failed = 0;

    for (i = 1; i < argc; i++) {
        int good = run(argv[i]);

        printf("%sok %d - %s\n", good ? "" : "not ", i, argv[i]);
        fflush(stdout);
        failed += !good;
    }
    if (argc < 2) {
        printf("1..1\nnot ok 1 - no corpus was named\n");
        return 1;
    }
    printf("1..%d\n", argc - 1);
    return failed != 0;
}
