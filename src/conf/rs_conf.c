/* SPDX-License-Identifier: Apache-2.0
 *
 * Making and merging configurations, and reading the merged one. Main thread while httpd reads
 * its files; workers merge per request, in the request's pool.
 */
#include "rs_httpd.h"
#include <apr_fnmatch.h>

#include "rs_conf.h"

#define UNSET(type, member, unset, value) conf->member = (type)(unset);
#define MERGE(type, member, unset, value)                                                          \
    conf->member = add->member == (type)(unset) ? base->member : add->member;
#define DEFAULT(type, member, unset, value)                                                        \
    if (conf->member == (type)(unset)) {                                                           \
        conf->member = (type)(value);                                                              \
    }

void *rs_conf_dir_create(apr_pool_t *p, char *section)
{
    rs_dir_conf_t *conf = apr_pcalloc(p, sizeof(*conf));

    RS_DIR_SCALARS(UNSET)
    return conf;
}

void *rs_conf_dir_merge(apr_pool_t *p, void *base_conf, void *add_conf)
{
    const rs_dir_conf_t *base = base_conf, *add = add_conf;
    rs_dir_conf_t *conf = apr_pcalloc(p, sizeof(*conf));

    RS_DIR_SCALARS(MERGE)
    /* any-tenant is a word of the list, and the list is replaced as a whole. */
    if (add->publish) {
        conf->publish_any_tenant = add->publish_any_tenant;
    }
    return conf;
}

void *rs_conf_server_create(apr_pool_t *p, server_rec *s)
{
    rs_server_conf_t *conf = apr_pcalloc(p, sizeof(*conf));

    RS_SERVER_SCALARS(UNSET)
    RS_GLOBAL_SCALARS(UNSET)
    conf->streams = apr_array_make(p, 4, sizeof(rs_stream_conf_t *));
    conf->server = s;
    return conf;
}

/* A host inherits RaglineRedis whole: another server has another login, and user and password are
 * one thing. */
static void inherit_redis(rs_server_conf_t *conf, const rs_server_conf_t *add)
{
    if (add->redis_url || add->redis_secret) {
        conf->redis_user = add->redis_user;
        conf->redis_secret = add->redis_secret;
    }
}

void *rs_conf_server_merge(apr_pool_t *p, void *base_conf, void *add_conf)
{
    const rs_server_conf_t *base = base_conf, *add = add_conf;
    rs_server_conf_t *conf = apr_pcalloc(p, sizeof(*conf));
    int i, k;

    RS_SERVER_SCALARS(MERGE)
    RS_GLOBAL_SCALARS(MERGE)
    inherit_redis(conf, add);
    conf->server = add->server;
    conf->streams = apr_array_copy(p, add->streams);
    for (i = 0; i < base->streams->nelts; i++) {
        rs_stream_conf_t *stream = APR_ARRAY_IDX(base->streams, i, rs_stream_conf_t *);

        for (k = 0; k < add->streams->nelts; k++) {
            if (!strcmp(APR_ARRAY_IDX(add->streams, k, rs_stream_conf_t *)->name, stream->name)) {
                break;
            }
        }
        if (k == add->streams->nelts) {
            APR_ARRAY_PUSH(conf->streams, rs_stream_conf_t *) = stream;
        }
    }
    return conf;
}

void rs_conf_server_defaults(rs_server_conf_t *conf)
{
    RS_SERVER_SCALARS(DEFAULT)
    RS_GLOBAL_SCALARS(DEFAULT)
}

/* "/v1/events/stream/" → "stream". */
static const char *last_segment(apr_pool_t *p, const char *path)
{
    apr_size_t len = strlen(path), start;

    while (len > 0 && path[len - 1] == '/') {
        len--;
    }
    for (start = len; start > 0 && path[start - 1] != '/'; start--) {
    }
    return len > start ? apr_pstrndup(p, path + start, len - start) : NULL;
}

rs_dir_conf_t *rs_conf_dir_defaults(apr_pool_t *p, const rs_dir_conf_t *merged,
                                    const char *location)
{
    rs_dir_conf_t *conf =
        merged ? apr_pmemdup(p, merged, sizeof(*merged)) : rs_conf_dir_create(p, NULL);

    if (!conf->profile && location) {
        conf->profile = last_segment(p, location);
    }
    RS_DIR_SCALARS(DEFAULT)
    return conf;
}

/* "/a" is also the place of "/a/"; httpd does not apply a <Location /a/> to "/a". */
static int is_place(const core_dir_config *section, const char *uri)
{
    apr_size_t len = section->d ? strlen(section->d) : 0;

    if (!len || section->r || section->d_is_fnmatch || strncmp(section->d, uri, len)) {
        return 0;
    }
    return uri[len] == '\0'
           || (section->d[len - 1] != '/' && uri[len] == '/' && uri[len + 1] == '\0');
}

const char *rs_conf_location(server_rec *s, const char *uri)
{
    const core_server_config *core = ap_get_core_module_config(s->module_config);
    int i;

    for (i = 0; i < core->sec_url->nelts; i++) {
        const core_dir_config *section =
            ap_get_core_module_config(APR_ARRAY_IDX(core->sec_url, i, ap_conf_vector_t *));

        if (is_place(section, uri)) {
            return section->d;
        }
    }
    return NULL;
}

/* Whether the SetHandler stands in the section, or in an <If> of it. Merging keeps the pointer. */
static int sets_handler(const core_dir_config *section, const ap_expr_info_t *handler)
{
    int i;

    for (i = 0; section->sec_if && i < section->sec_if->nelts; i++) {
        if (sets_handler(
                ap_get_core_module_config(APR_ARRAY_IDX(section->sec_if, i, ap_conf_vector_t *)),
                handler)) {
            return 1;
        }
    }
    return section->expr_handler == handler;
}

int rs_conf_matches_itself(request_rec *r)
{
    const core_server_config *core = ap_get_core_module_config(r->server->module_config);
    const core_dir_config *merged = ap_get_core_module_config(r->per_dir_config);
    int i;

    for (i = 0; merged->expr_handler && i < core->sec_url->nelts; i++) {
        const core_dir_config *section =
            ap_get_core_module_config(APR_ARRAY_IDX(core->sec_url, i, ap_conf_vector_t *));

        if (sets_handler(section, merged->expr_handler)) {
            return section->r || section->d_is_fnmatch;
        }
    }
    return 1;
}

const rs_dir_conf_t *rs_conf_dir(request_rec *r)
{
    rs_dir_conf_t *conf = rs_conf_dir_defaults(
        r->pool, ap_get_module_config(r->per_dir_config, &ragline_stream_module),
        rs_conf_location(r->server, r->uri));

    /* Only where SetHandler is an expression: configtest refuses the others. */
    if (!conf->profile) {
        conf->profile = "stream";
    }
    return conf;
}

rs_server_conf_t *rs_conf_server(server_rec *s)
{
    return ap_get_module_config(s->module_config, &ragline_stream_module);
}

const rs_stream_conf_t *rs_conf_stream(const rs_server_conf_t *sc, const char *name)
{
    int i;

    for (i = 0; i < sc->streams->nelts; i++) {
        rs_stream_conf_t *stream = APR_ARRAY_IDX(sc->streams, i, rs_stream_conf_t *);

        if (!strcmp(stream->name, name)) {
            return stream;
        }
    }
    return NULL;
}

int rs_conf_obeys(server_rec *main_server)
{
    const rs_server_conf_t *conf = rs_conf_server(main_server);

    return conf->control == RS_CONTROL_ON
           || (conf->control == RS_CONTROL_AUTO && conf->administered);
}

static const struct {
    const char *handler;
    rs_kind_t kind;
} kinds[] = {
    {"ragline-sse", RS_KIND_SSE},
    {"ragline-websocket", RS_KIND_WEBSOCKET},
    {"ragline-publish", RS_KIND_PUBLISH},
    {"ragline-stats", RS_KIND_STATS},
    {"ragline-health", RS_KIND_HEALTH},
    {"ragline-gateway", RS_KIND_GATEWAY},
    {"ragline-gateway-send", RS_KIND_GATEWAY_SEND},
    {"ragline-gateway-health", RS_KIND_GATEWAY_HEALTH},
    {"ragline-admin", RS_KIND_ADMIN},
    {"ragline-ws-stats", RS_KIND_WS_STATS},
};

rs_kind_t rs_conf_kind_named(const char *handler)
{
    apr_size_t i;

    for (i = 0; handler && i < RS_ARRAY_LEN(kinds); i++) {
        if (!strcmp(handler, kinds[i].handler)) {
            return kinds[i].kind;
        }
    }
    return RS_KIND_NONE;
}

const char *rs_conf_kind_names(apr_pool_t *p)
{
    const char *names = kinds[0].handler;
    apr_size_t i;

    for (i = 1; i < RS_ARRAY_LEN(kinds); i++) {
        names = apr_pstrcat(p, names, i + 1 < RS_ARRAY_LEN(kinds) ? ", " : " or ", kinds[i].handler,
                            NULL);
    }
    return names;
}

rs_kind_t rs_conf_kind(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *problem = NULL;

    /* httpd keeps the argument of every SetHandler as an expression. */
    if (core->expr_handler) {
        return rs_conf_kind_named(ap_expr_str_exec(r, core->expr_handler, &problem));
    }
    return rs_conf_kind_named(core->handler);
}

int rs_conf_has_gateway(void)
{
    const apr_array_header_t *all = rs_conf_sections();
    int i;

    for (i = 0; i < all->nelts && !APR_ARRAY_IDX(all, i, rs_section_t).conf->gateway_callback;
         i++) {
    }
    return i < all->nelts;
}

rs_server_conf_t *rs_conf_same_redis(server_rec *main_server, rs_server_conf_t *conf)
{
    server_rec *s = main_server;

    while (!rs_redis_url_same(rs_conf_server(s)->url, conf->url)) {
        s = s->next;
    }
    return rs_conf_server(s);
}

apr_array_header_t *rs_conf_subscribed(apr_pool_t *p, server_rec *main_server,
                                       const rs_server_conf_t *redis)
{
    apr_array_header_t *streams = apr_array_make(p, 8, sizeof(rs_stream_conf_t *));
    const apr_array_header_t *all = rs_conf_sections();
    server_rec *s;
    int i, k, n;

    for (s = main_server; s; s = s->next) {
        const rs_server_conf_t *conf = rs_conf_server(s);

        for (i = 0; rs_redis_url_same(conf->url, redis->url) && i < all->nelts; i++) {
            const rs_section_t *section = &APR_ARRAY_IDX(all, i, rs_section_t);
            const apr_array_header_t *names = section->conf->subscribe;

            /* Hosts inherit the sections of the main server. */
            if (!names || (section->server != s && section->server != main_server)) {
                continue;
            }
            for (k = 0; k < names->nelts; k++) {
                const rs_stream_conf_t *stream =
                    rs_conf_stream(conf, APR_ARRAY_IDX(names, k, const char *));

                for (n = 0;
                     stream && n < streams->nelts
                     && strcmp(APR_ARRAY_IDX(streams, n, rs_stream_conf_t *)->key, stream->key);
                     n++) {
                }
                if (stream && n == streams->nelts) {
                    APR_ARRAY_PUSH(streams, const rs_stream_conf_t *) = stream;
                }
            }
        }
    }
    return streams;
}
