/* SPDX-License-Identifier: Apache-2.0
 *
 * RaglinePresence over all sections: which streams are told of users. Main thread.
 */
#include "rs_httpd.h"

#include "../log/rs_source.h"
#include "rs_conf_check.h"

int rs_conf_is_present(const rs_dir_conf_t *conf)
{
    return conf->presence && strcmp(conf->presence, RS_PRESENCE_OFF) != 0;
}

static int has_stream(const rs_dir_conf_t *conf)
{
    return rs_conf_is_present(conf) && strcmp(conf->presence, RS_PRESENCE_ON) != 0;
}

apr_uint64_t rs_conf_room(const rs_server_conf_t *server, const rs_dir_conf_t *conf)
{
    const rs_stream_conf_t *stream;

    if (!rs_conf_is_present(conf)) {
        return 0;
    }
    stream = has_stream(conf) ? rs_conf_stream(server, conf->presence) : NULL;
    return stream ? rs_presence_room(stream->key) : RS_ROOM_NO_STREAM;
}

static void add(rs_presence_conf_t *presence, rs_presence_stream_t *streams,
                const rs_stream_conf_t *stream)
{
    int i;

    for (i = 0; i < presence->nstreams && strcmp(streams[i].key, stream->key) != 0; i++) {
    }
    if (i == presence->nstreams && i < RS_SOURCE_STREAMS_MAX) {
        streams[presence->nstreams++] = (rs_presence_stream_t){
            stream->key,
            stream->tenant_field,
            stream->tenant_literal,
            stream->type_field,
            stream->data_field,
            stream->maxlen,
            apr_time_as_msec(stream->maxage),
            apr_time_as_msec(stream->idle),
        };
    }
}

const rs_presence_conf_t *rs_conf_presence(apr_pool_t *p, server_rec *main_server,
                                           const rs_server_conf_t *redis, int generation)
{
    rs_presence_stream_t *streams = apr_palloc(p, RS_SOURCE_STREAMS_MAX * sizeof(*streams));
    rs_presence_conf_t *presence = apr_pcalloc(p, sizeof(*presence));
    const apr_array_header_t *all = rs_conf_sections();
    int i, any = 0;
    server_rec *s;

    presence->generation = generation;
    presence->streams = streams;
    for (s = main_server; s; s = s->next) {
        const rs_server_conf_t *conf = rs_conf_server(s);

        for (i = 0; rs_redis_url_same(conf->url, redis->url) && i < all->nelts; i++) {
            const rs_section_t *section = &APR_ARRAY_IDX(all, i, rs_section_t);
            const rs_stream_conf_t *stream;

            /* Hosts inherit the sections of the main server. */
            if (!rs_conf_is_present(section->conf)
                || (section->server != s && section->server != main_server)) {
                continue;
            }
            any = 1;
            stream =
                has_stream(section->conf) ? rs_conf_stream(conf, section->conf->presence) : NULL;
            if (stream) {
                add(presence, streams, stream);
            }
        }
    }
    return any ? presence : NULL;
}

void rs_check_presence(apr_pool_t *p, const rs_section_t *section)
{
    const char *name = section->conf->presence;

    if (has_stream(section->conf) && !rs_conf_stream(rs_conf_server(section->server), name)) {
        rs_check_complain(
            section->server, section->directive,
            apr_psprintf(p,
                         "RaglinePresence: there is no stream %s: write off, on, or the name of a "
                         "stream that RaglineStream defines",
                         name));
    }
}
