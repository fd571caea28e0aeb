/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands, and new tokens. Who was connected when a child begins to read is not meant by what was
 * written before, so it begins at the end; after an interruption it goes on where it was. What was
 * lost with Redis's data is not done; what came back with older data was done, and is not done
 * again. What stands in an entry is checked as if no handler had: it may be written by anybody who
 * may write there, to be one command, and not to be lines of a stream.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_log.h"
#include "../base/rs_name.h"
#include "../log/rs_command.h"
#include "../log/rs_topics.h"
#include "../proto/rs_publish_item.h"
#include "../redis/rs_stream_reply.h"
#include "rs_control.h"

#define CLOSED "closed"
#define REVOKED "revoked"
#define BY_REVOCATION "this token is not good any more"

rs_id_t rs_control_ask(const rs_source_t *source) { return source->control_at; }

/* --- what an entry says --- */

typedef struct {
    rs_text_t what, id, tenant, user, jti, until, place, reason, type, payload;
} words_t;

static rs_text_t *word(words_t *words, const redisReply *name)
{
    static const char *const names[] = {
        RS_COMMAND_DO,    RS_COMMAND_ID,    RS_COMMAND_TENANT, RS_COMMAND_USER, RS_COMMAND_JTI,
        RS_COMMAND_UNTIL, RS_COMMAND_PLACE, RS_COMMAND_REASON, RS_COMMAND_TYPE, RS_COMMAND_PAYLOAD};
    rs_text_t *places[] = {&words->what, &words->id,     &words->tenant, &words->user,
                           &words->jti,  &words->until,  &words->place,  &words->reason,
                           &words->type, &words->payload};
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(names); i++) {
        if (name->type == REDIS_REPLY_STRING && !strcmp(name->str, names[i])) {
            return places[i];
        }
    }
    return NULL;
}

static void read_words(words_t *words, const redisReply *fields)
{
    size_t i;

    memset(words, 0, sizeof(*words));
    for (i = 0; fields->type == REDIS_REPLY_ARRAY && i + 1 < fields->elements; i += 2) {
        rs_text_t *to = word(words, fields->element[i]);
        const redisReply *value = fields->element[i + 1];

        if (to && value->type == REDIS_REPLY_STRING) {
            *to = (rs_text_t){value->str, (size_t)value->len};
        }
    }
}

static const char *put(char **at, rs_text_t text)
{
    char *start = *at;

    if (!text.data) {
        return NULL;
    }
    memcpy(start, text.data, text.len);
    start[text.len] = '\0';
    *at = start + text.len + 1;
    return start;
}

static int is_word(rs_text_t text, const char *what)
{
    return text.data && strlen(what) == text.len && !memcmp(text.data, what, text.len);
}

static int is_name(rs_text_t text) { return !text.data || rs_name_valid(text.data, text.len); }

/* An event that a stream may be told, as publishers may. */
static int is_event(const words_t *w, size_t max)
{
    return w->type.data && rs_publish_type_good(w->type.data, w->type.len) && w->payload.data
           && w->payload.len <= max;
}

/* NULL: it means nothing here, or memory is short. */
static rs_command_t *command_of(words_t *w, size_t max)
{
    int send = is_word(w->what, RS_COMMAND_SEND);
    rs_command_t *c;
    char *at;

    if ((!send && !is_word(w->what, RS_COMMAND_CLOSE)) || (!w->id.data && !w->tenant.data)
        || (send && !is_event(w, max)) || !is_name(w->tenant) || !is_name(w->user)
        || w->id.len >= RS_CONNECTION_ID_LEN) {
        return NULL;
    }
    if (!rs_command_reason_good(w->reason.data, w->reason.len)) {
        w->reason = (rs_text_t){NULL, 0};
    }
    c = rs_command_create(w->id.len + w->tenant.len + w->user.len + w->reason.len + w->type.len
                          + w->payload.len + 6);
    if (!c) {
        return NULL;
    }
    at = c->text;
    c->id = put(&at, w->id);
    c->tenant = put(&at, w->tenant);
    c->user = put(&at, w->user);
    c->reason = put(&at, w->reason);
    c->type = send ? put(&at, w->type) : NULL;
    c->payload = send ? put(&at, w->payload) : NULL;
    c->payload_len = w->payload.len;
    c->code = send ? NULL : CLOSED;
    return c;
}

/* --- doing it --- */

static void add(void *command, const rs_ticket_t *ticket) { rs_command_add(command, ticket); }

/* Those that no streamer has yet are ended by the one that gets them. */
static void give_out(const rs_common_t *common, rs_command_t *c)
{
    int meant[RS_STREAMERS_MAX] = {0}, i;

    for (i = 0; i < c->ntickets; i++) {
        int streamer = rs_registry_doom(common->registry, &c->tickets[i], c->code);

        if (streamer >= 0) {
            meant[streamer] = 1;
        }
    }
    for (i = 0; i < common->nstreamers; i++) {
        if (!meant[i]) {
            continue;
        }
        __atomic_add_fetch(&c->refs, 1, __ATOMIC_ACQ_REL);
        if (!rs_inbox_post(common->streamer[i], &c->orders[i].msg, RS_MSG_ORDER)) {
            rs_command_drop(c);
        }
    }
}

/* To these of this child's connections that are there now: when they came and when the command was
 * written say different clocks, and nobody comes while Redis cannot be read. */
static void carry_out(rs_source_t *source, rs_command_t *c)
{
    const rs_common_t *common = source->topics->common;
    rs_whom_t whom = {source->url->label, c->tenant, c->user, NULL, c->jti};

    rs_registry_own(common->registry, &whom, c->id, add, c);
    if (c->broken) {
        rs_log(RS_LOG_ERR, APR_ENOMEM, RSLOGNO(0519) "%s: not every connection is reached",
               source->url->label);
    }
    give_out(common, c);
    rs_command_drop(c);
}

void rs_control_revoke(rs_source_t *source, const char *name)
{
    rs_command_t *c = rs_command_create(RS_REVOKED_NAME);

    if (!source->topics->common->registry || !c) {
        free(c);
        return;
    }
    apr_cpystrn(c->text, name, RS_REVOKED_NAME);
    if (!rs_revoked_parts(c->text, &c->tenant, &c->user, &c->jti)) {
        rs_command_drop(c);
        return;
    }
    c->code = REVOKED;
    c->reason = BY_REVOCATION;
    carry_out(source, c);
}

/* Who comes from now on finds it. Then those who are there already are ended. */
static void take_revocation(rs_source_t *source, const words_t *w)
{
    char name[RS_REVOKED_NAME], parts[3][RS_JTI_MAX + 1];
    const rs_text_t *texts[3] = {&w->tenant, &w->user, &w->jti};
    const char *given[3] = {NULL, NULL, NULL};
    char until[24];
    int i;

    for (i = 0; i < 3; i++) {
        if (texts[i]->data && texts[i]->len > RS_JTI_MAX) {
            return;
        }
        if (texts[i]->data) {
            memcpy(parts[i], texts[i]->data, texts[i]->len);
            parts[i][texts[i]->len] = '\0';
            given[i] = parts[i];
        }
    }
    if (!w->until.data || w->until.len >= sizeof(until)
        || !rs_revoked_name(name, given[0], given[1], given[2])) {
        return;
    }
    memcpy(until, w->until.data, w->until.len);
    until[w->until.len] = '\0';
    if (rs_revoked_set(source->revoked, name, apr_atoi64(until)) > 0) {
        rs_control_revoke(source, name);
    }
}

/* --- new tokens --- */

/* NULL: memory is short. */
static rs_command_t *command_of_renewal(const rs_renewal_t *renewal)
{
    rs_command_t *c = rs_command_create(0);

    if (c) {
        c->renews = 1;
        c->renewal = *renewal;
        c->id = c->renewal.id;
        c->tenant = c->renewal.tenant;
        c->user = *c->renewal.user ? c->renewal.user : NULL;
    }
    return c;
}

static int copy(char *to, size_t size, rs_text_t from)
{
    if (from.len >= size) {
        return 0;
    }
    if (from.len) {
        memcpy(to, from.data, from.len);
    }
    to[from.len] = '\0';
    return 1;
}

/* Of a connection that may be this child's. */
static void take_renewal(rs_source_t *source, const words_t *w)
{
    char until[24], place[24];
    rs_renewal_t renewal;
    rs_command_t *c;

    if (!w->id.data || !w->tenant.data || !w->place.data || !is_name(w->tenant) || !is_name(w->user)
        || !copy(renewal.id, sizeof(renewal.id), w->id)
        || !copy(renewal.tenant, sizeof(renewal.tenant), w->tenant)
        || !copy(renewal.user, sizeof(renewal.user), w->user)
        || !copy(renewal.jti, sizeof(renewal.jti), w->jti) || !copy(until, sizeof(until), w->until)
        || !copy(place, sizeof(place), w->place)) {
        return;
    }
    renewal.exp = apr_time_from_sec(apr_atoi64(until));
    renewal.place = (apr_uint64_t)strtoull(place, NULL, 16);
    if ((c = command_of_renewal(&renewal))) {
        carry_out(source, c);
    }
}

static rs_source_t *source_of(rs_common_t *common, rs_source_t *const *sources, int nsources,
                              const char *id)
{
    rs_record_t record;
    int i;

    for (i = 0;
         i < nsources && !rs_registry_find(common->registry, sources[i]->url->label, id, &record);
         i++) {
    }
    return i < nsources ? sources[i] : NULL;
}

void rs_control_renewals(rs_common_t *common, rs_source_t *const *sources, int nsources,
                         apr_uint32_t *seen)
{
    rs_renewal_t renewal;
    apr_uint64_t ticket;

    while (rs_renewals_take(common->renewals, seen, &renewal, &ticket)) {
        rs_source_t *source = source_of(common, sources, nsources, renewal.id);
        rs_command_t *c = source ? command_of_renewal(&renewal) : NULL;

        if (!c) {
            rs_renewals_answer(common->renewals, ticket, RS_RENEW_GONE);
            continue;
        }
        c->renewals = common->renewals;
        c->waiting = ticket;
        carry_out(source, c);
    }
}

static void obey(rs_source_t *source, const redisReply *fields)
{
    rs_command_t *c;
    words_t words;

    read_words(&words, fields);
    if (is_word(words.what, RS_COMMAND_REVOKE)) {
        source->control_revoked = 1;
        take_revocation(source, &words);
        return;
    }
    if (is_word(words.what, RS_COMMAND_RENEW)) {
        if (source->topics->common->registry) {
            take_renewal(source, &words);
        }
        return;
    }
    c = source->topics->common->registry
            ? command_of(&words, source->topics->common->max_message)
            : NULL;
    if (c) {
        carry_out(source, c);
    }
}

/* Entries are kept to a number, and may be removed by hand: whether some were that nobody here has
 * read. One that was read last and removed alone looks the same, which costs a question. */
static int is_trimmed(const rs_history_t *history, rs_id_t at)
{
    return history->empty ? rs_id_cmp(history->newest, at) > 0
                          : rs_id_cmp(history->first, at) > 0;
}

static void take(rs_source_t *source, rs_id_t id, const redisReply *fields)
{
    source->control_at = id;
    if (rs_id_cmp(id, source->control_done) > 0) {
        source->control_done = id;
        obey(source, fields);
    }
}

int rs_control_take(rs_source_t *source, const rs_history_t *history, const redisReply *entries)
{
    rs_id_t id;
    size_t i;

    if (!source->control_known) {
        source->control_at = source->control_done = history->newest;
        source->control_known = 1;
    }
    else {
        source->control_lost = is_trimmed(history, source->control_at);
    }
    for (i = 0; entries && i < entries->elements; i++) {
        if (!rs_stream_entry_id(entries->element[i], &id)) {
            return 0;
        }
        take(source, id, entries->element[i]->element[1]);
    }
    if (history->empty || rs_id_cmp(history->newest, source->control_at) < 0) {
        source->control_at = history->newest;
    }
    /* An empty key says nothing yet of what comes into it. */
    if ((history->newest.ms || history->newest.seq)
        && rs_id_cmp(history->newest, source->control_done) < 0) {
        source->control_done = history->newest;
        source->control_lost = 1;
    }
    return 1;
}
