/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries that nobody gets, by reason. The hub's thread.
 */
#include "../base/rs_log.h"
#include "rs_skip.h"
#include "rs_source.h"

const char *const rs_skip_names[RS_SKIP_MAX] = {
    "no_tenant", "bad_tenant", "other_tenant", "bad_type", "too_big", "malformed", "no_subscriber",
};

static const char *const remedies[RS_SKIP_MAX] = {
    "write its tenant into the entry, or give the stream tenant=literal:NAME",
    "a tenant is 1 to 64 of A-Z a-z 0-9 . _ @ -",
    "the key is another tenant's own: write it to its tenant's key",
    "an event type is 1 to 128 printable ASCII characters without spaces",
    "raise RaglineMaxMessage or write smaller entries",
    "write it with XADD KEY * FIELD VALUE",
    NULL,
};

void rs_skip(const rs_key_t *key, rs_id_t id, rs_skip_t reason)
{
    rs_stream_t *stream = &key->source->streams[key->stream];

    RS_STAT_ADD(stream->stats->skipped[reason], 1);
    if (remedies[reason] && !(stream->warned & (1u << reason))) {
        char text[RS_ID_LEN];

        stream->warned |= 1u << reason;
        rs_id_format(text, id);
        rs_log(
            RS_LOG_WARNING, 0,
            RSLOGNO(0301) "stream %s, entry %s is skipped (%s): %s; further ones are only counted",
            key->name, text, rs_skip_names[reason], remedies[reason]);
    }
}
