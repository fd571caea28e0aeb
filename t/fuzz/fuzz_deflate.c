/* SPDX-License-Identifier: Apache-2.0
 *
 * Compression of WebSockets. The first byte of an input chooses what the rest is: offers of
 * extensions; bytes that claim to be a compressed message; or a text that is compressed and must
 * come back. Compressed frames among others are the target `ws`.
 */
#include <stdlib.h>

#include "../../src/proto/rs_deflate.h"
#include "../../src/proto/rs_ws_offer.h"
#include "fuzz.h"

#define MAX 5000
#define NAME "permessage-deflate"

void fuzz_setup(apr_pool_t *all) { (void)all; }

/* What is agreed on begins with the name that was offered, and another offer in front that nobody
 * knows changes nothing. */
static void with_offers(apr_pool_t *p, const char *data, size_t size)
{
    char *text = malloc(size + 9);
    const char *answer, *same;

    memcpy(text, "other, ", 7);
    memcpy(text + 7, data, size);
    text[7 + size] = '\0';
    answer = rs_ws_offer_answer(fuzz_text(p, text + 7, size));
    same = rs_ws_offer_answer(text);
    require(answer == same);
    require(!answer || (strstr(text + 7, NAME) && !strncmp(answer, NAME "; ", sizeof(NAME) + 1)));
    free(text);
}

static void again(const char *text, size_t len)
{
    rs_buf_t small = RS_BUF_INIT, same = RS_BUF_INIT;

    if (rs_deflate(&small, text, len)) {
        require(small.len < len);
        require(rs_inflate(&same, small.data, small.len, len) == RS_INFLATED);
        require(same.len == len && !memcmp(same.data, text, len));
        rs_buf_free(&same);
        require(rs_inflate(&same, small.data, small.len, len - 1) == RS_INFLATE_TOO_BIG);
    }
    else {
        require(!small.len && rs_buf_ok(&small));
    }
    rs_buf_free(&small);
    rs_buf_free(&same);
}

static void with_bytes(apr_pool_t *p, const char *data, size_t size)
{
    rs_buf_t b = RS_BUF_INIT, exact = RS_BUF_INIT;
    rs_inflated_t what = rs_inflate(&b, fuzz_text(p, data, size), size, MAX);

    require(what != RS_INFLATE_NO_MEMORY);
    require(b.len <= MAX + (what == RS_INFLATE_TOO_BIG));
    require(b.size <= 4 * (MAX + size) + 512);
    if (what == RS_INFLATED) {
        require(rs_inflate(&exact, data, size, b.len) == RS_INFLATED && exact.len == b.len);
        rs_buf_free(&exact);
        require(!b.len || rs_inflate(&exact, data, size, b.len - 1) == RS_INFLATE_TOO_BIG);
        again(b.data, b.len);
    }
    rs_buf_free(&b);
    rs_buf_free(&exact);
}

void fuzz_one(apr_pool_t *p, const char *data, size_t size)
{
    if (size == 0 || size > 20000 || !rs_deflate_is_there()) {
        return;
    }
    switch (data[0]) {
    case 'o':
        with_offers(p, data + 1, size - 1);
        break;
    case 'i':
        with_bytes(p, data + 1, size - 1);
        break;
    case 't':
        again(fuzz_text(p, data + 1, size - 1), size - 1);
        break;
    default:
        break;
    }
}
