/* SPDX-License-Identifier: Apache-2.0
 *
 * Negotiation of permessage-deflate: the first offer that can be taken as it is. What is wrong with
 * an offer (a parameter that is unknown, repeated, or has no such value; what is no offer at all)
 * is that offer's trouble only.
 *
 * A message is compressed once, for all who get it, with as large a window as it needs. So who
 * wants a smaller one than the largest is declined. What a client's own window is does not matter:
 * any is understood.
 */
#include <string.h>

#include "rs_ws_offer.h"

#define NAME "permessage-deflate"
#define ANSWER NAME "; server_no_context_takeover; client_no_context_takeover"

#define WINDOW_MIN 8
#define WINDOW_MAX 15

enum { SERVER_NO_CONTEXT, CLIENT_NO_CONTEXT, SERVER_WINDOW, CLIENT_WINDOW, PARAMS };

static const char *const params[PARAMS] = {
    [SERVER_NO_CONTEXT] = "server_no_context_takeover",
    [CLIENT_NO_CONTEXT] = "client_no_context_takeover",
    [SERVER_WINDOW] = "server_max_window_bits",
    [CLIENT_WINDOW] = "client_max_window_bits",
};

typedef struct {
    const char *at, *end;
} text_t;

static int is_space(char c) { return c == ' ' || c == '\t'; }

/* RFC 9110, 5.6.2. */
static int is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
           || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void skip_space(text_t *text)
{
    while (text->at < text->end && is_space(*text->at)) {
        text->at++;
    }
}

/* Takes this character, and the space around it. */
static int take(text_t *text, char c)
{
    skip_space(text);
    if (text->at == text->end || *text->at != c) {
        return 0;
    }
    text->at++;
    skip_space(text);
    return 1;
}

static text_t take_token(text_t *text)
{
    text_t token = {text->at, text->at};

    while (token.end < text->end && is_token(*token.end)) {
        token.end++;
    }
    text->at = token.end;
    return token;
}

/* A token, or one in quotes. -1: there is none, or it is no window. */
static int take_window(text_t *text)
{
    int quoted = text->at < text->end && *text->at == '"', bits = 0;
    text_t token;

    text->at += quoted;
    token = take_token(text);
    if (quoted && (text->at == text->end || *text->at++ != '"')) {
        return -1;
    }
    if (token.end == token.at || token.end - token.at > 2 || *token.at == '0') {
        return -1;
    }
    for (; token.at < token.end; token.at++) {
        if (*token.at < '0' || *token.at > '9') {
            return -1;
        }
        bits = bits * 10 + (*token.at - '0');
    }
    return bits >= WINDOW_MIN && bits <= WINDOW_MAX ? bits : -1;
}

static int is(text_t token, const char *name)
{
    size_t len = (size_t)(token.end - token.at);

    return len == strlen(name) && !memcmp(token.at, name, len);
}

/* Takes one parameter; `seen` has a bit for each. 0: the offer is declined. */
static int take_param(text_t *text, unsigned *seen)
{
    text_t name = take_token(text);
    int which, bits = 0, has_value;

    for (which = 0; which < PARAMS && !is(name, params[which]); which++) {
    }
    if (which == PARAMS || (*seen & 1u << which)) {
        return 0;
    }
    *seen |= 1u << which;
    has_value = take(text, '=');
    if (has_value) {
        bits = take_window(text);
    }
    switch (which) {
    case SERVER_WINDOW:
        return bits == WINDOW_MAX;
    case CLIENT_WINDOW:
        return bits >= 0;
    default:
        return !has_value;
    }
}

static const char *answer_to(text_t offer)
{
    unsigned seen = 0;

    skip_space(&offer);
    if (!is(take_token(&offer), NAME)) {
        return NULL;
    }
    while (take(&offer, ';')) {
        if (!take_param(&offer, &seen)) {
            return NULL;
        }
    }
    if (offer.at < offer.end) {
        return NULL;
    }
    return seen & 1u << SERVER_WINDOW ? ANSWER "; server_max_window_bits=15" : ANSWER;
}

/* Up to the next comma that is not in quotes. */
static const char *end_of(const char *offer)
{
    int quoted = 0;

    for (; *offer && (quoted || *offer != ','); offer++) {
        if (*offer == '"') {
            quoted = !quoted;
        }
        else if (quoted && *offer == '\\' && offer[1]) {
            offer++;
        }
    }
    return offer;
}

const char *rs_ws_offer_answer(const char *offers)
{
    const char *answer = NULL, *end;

    while (!answer && *offers) {
        end = end_of(offers);
        answer = answer_to((text_t){offers, end});
        offers = *end ? end + 1 : end;
    }
    return answer;
}
