/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients as such: what they are made of, and what is for them. Any thread that owns one.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/rs_clock.h"
#include "rs_client.h"
#include "rs_profile.h"
#include "rs_subscription.h"

static const char *put(char **to, const char *text)
{
    char *start = *to;
    size_t n = strlen(text) + 1;

    memcpy(start, text, n);
    *to += n;
    return start;
}

/* Of a short life no more than a fifth is left for asking. */
#define PART 5

static apr_time_t at_least(apr_time_t t, apr_time_t least) { return t < least ? least : t; }

void rs_client_expires(rs_client_t *client, apr_time_t expires, apr_interval_time_t lives)
{
    const rs_profile_t *profile = client->profile;
    apr_interval_time_t ahead =
        profile->challenge < lives / PART ? profile->challenge : lives / PART;

    client->expires = client->challenge = 0;
    if (expires) {
        client->expires = at_least(rs_clock_now() + (expires - apr_time_now()), 1);
    }
    if (expires && profile->challenge) {
        client->challenge = at_least(client->expires - profile->leeway - ahead, 1);
    }
}

rs_client_t *rs_client_create(const rs_client_params_t *params)
{
    rs_client_t *client;
    char *text;

    client = malloc(sizeof(*client) + strlen(params->tenant) + strlen(params->user)
                    + strlen(params->cursor) + strlen(params->tenant_json)
                    + strlen(params->user_json) + 5 + (params->says ? RS_JWT_SAYS_LEN : 0));
    if (!client) {
        return NULL;
    }
    memset(client, 0, sizeof(*client));
    client->resume = calloc(1, sizeof(*client->resume));
    if (!client->resume) {
        free(client);
        return NULL;
    }
    if (params->early_len && !(client->early = malloc(params->early_len))) {
        free(client->resume);
        free(client);
        return NULL;
    }
    if (params->early_len) {
        memcpy(client->early, params->early, params->early_len);
        client->early_len = params->early_len;
    }
    client->conn = params->conn;
    client->profile = params->profile;
    client->gate = params->gate;
    client->seat = params->seat;
    client->resume->until = rs_clock_now() + params->wait;
    client->place = params->place;
    rs_client_expires(client, params->expires, params->lives);
    text = client->text;
    client->cursor = put(&text, params->cursor);
    client->tenant = put(&text, params->tenant);
    client->user = put(&text, params->user);
    client->tenant_json = put(&text, params->tenant_json);
    client->user_json = put(&text, params->user_json);
    if (params->says) {
        client->says = memcpy(text, params->says, RS_JWT_SAYS_LEN);
    }
    return client;
}

void rs_client_destroy(rs_client_t *client)
{
    free(client->early);
    free(client->resume);
    free(client->member);
    rs_gate_drop(client->gate);
    if (client->conn.fd >= 0) {
        client->conn.transport->close(&client->conn);
    }
    free(client);
}

int rs_client_wants_entry(const rs_client_t *client, const char *type, size_t type_len,
                          const char *user, size_t user_len)
{
    if (!rs_profile_wants(client->profile, type, type_len)
        || !rs_subscription_wants(client->subscription, type, type_len)) {
        return 0;
    }
    return !client->profile->user_only || user_len == 0
           || (strlen(client->user) == user_len && memcmp(client->user, user, user_len) == 0);
}

int rs_client_wants(const rs_client_t *client, const rs_event_t *event)
{
    rs_text_t type = rs_event_type(event), user = rs_event_user(event);

    return rs_client_wants_entry(client, type.data, type.len, user.data, user.len);
}
