/* SPDX-License-Identifier: Apache-2.0
 *
 * Which wires there are, and which one a request gets (RFC 9110, 12.5.1). Any thread.
 */
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "rs_wire.h"

const rs_wire_t *const rs_wires[RS_WIRES] = {
    [RS_WIRE_SSE] = &rs_wire_sse,
    [RS_WIRE_NDJSON] = &rs_wire_ndjson,
    [RS_WIRE_POLL] = &rs_wire_poll,
    [RS_WIRE_WEBSOCKET] = &rs_wire_websocket,
    [RS_WIRE_WEBSOCKET_PLAIN] = &rs_wire_websocket_plain,
    [RS_WIRE_WEBSOCKET_ORDERS] = &rs_wire_websocket_orders,
};

int rs_wires_find(const char *name)
{
    int i;

    for (i = 0; i < RS_WIRES_CHOSEN; i++) {
        if (strcmp(rs_wires[i]->name, name) == 0) {
            return i;
        }
    }
    return -1;
}

const char *rs_wires_names(apr_pool_t *p)
{
    const char *names = rs_wires[0]->name;
    int i;

    for (i = 1; i < RS_WIRES_CHOSEN; i++) {
        names = apr_pstrcat(p, names, ", ", rs_wires[i]->name, NULL);
    }
    return names;
}

/* 0 to 1000, of "0.5": more digits than three, and what is no weight, are left out. */
static int thousandths(const char *q, const char *end)
{
    int value = q < end && *q == '1' ? 1000 : 0, digit = 100;

    if (q + 1 < end && q[1] == '.') {
        for (q += 2; q < end && apr_isdigit(*q) && digit; q++, digit /= 10) {
            value += (*q - '0') * digit;
        }
    }
    return value < 1000 ? value : 1000;
}

/* The weight of one element of the header, in thousandths. */
static int weight(const char *params, size_t len)
{
    const char *end = params + len, *q;

    for (q = params; q < end; q++) {
        if (*q == ';') {
            for (q++; q < end && apr_isspace(*q); q++) {
            }
            if (end - q > 2 && apr_tolower(*q) == 'q' && q[1] == '=') {
                return thousandths(q + 2, end);
            }
        }
    }
    return 1000;
}

/* How much the header wants exactly this media type; -1: it does not name it. */
static int wanted(const char *accept, const char *type)
{
    size_t type_len = strlen(type);

    while (*accept) {
        size_t len = strcspn(accept, ","), name;

        while (len && apr_isspace(*accept)) {
            accept++;
            len--;
        }
        name = strcspn(accept, ";, \t");
        if (name == type_len && strncasecmp(accept, type, name) == 0) {
            return weight(accept + name, len - name);
        }
        accept += len;
        accept += *accept == ',';
    }
    return -1;
}

const rs_wire_t *rs_wires_choose(unsigned allowed, const char *accept)
{
    const rs_wire_t *best = NULL;
    int i, q, most = 0;

    for (i = 0; i < RS_WIRES_CHOSEN; i++) {
        if (!(allowed & 1u << i)) {
            continue;
        }
        q = accept ? wanted(accept, rs_wires[i]->media_type) : -1;
        if (!best || q > most) {
            best = rs_wires[i];
            most = q > most ? q : most;
        }
    }
    return best;
}
