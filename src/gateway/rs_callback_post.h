/* SPDX-License-Identifier: Apache-2.0
 *
 * One callback as a request of libcurl's: what is sent, and what of the answer is looked at. The
 * callbacks' thread.
 */
#ifndef RS_CALLBACK_POST_H
#define RS_CALLBACK_POST_H

#include <curl/curl.h>

#include "../log/rs_callback.h"

typedef struct rs_post_t rs_post_t;

struct rs_post_t {
    rs_post_t *next, **link; /* among those that are under way */
    CURL *easy;
    struct curl_slist *headers;
    rs_callback_t *callback;
    int headed;      /* the answer's head is complete */
    size_t received; /* of its body */
    char problem[CURL_ERROR_SIZE]; /* in libcurl's words; "": it has none */
};

/* A request that can be added to a multi handle, with `post` as its private pointer; NULL when
 * memory is short. */
rs_post_t *rs_post_create(rs_callback_t *callback);

/* What became of it, into the callback. What is wrong, if something is, is in post->problem. */
void rs_post_finish(rs_post_t *post, CURLcode result);

/* Once it is in no multi handle. The callback stays. */
void rs_post_destroy(rs_post_t *post);

#endif
