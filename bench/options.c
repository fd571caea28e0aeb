/* SPDX-License-Identifier: Apache-2.0
 *
 * What the load client was asked for: see README.md.
 */
#include "load.h"

#include <stdlib.h>
#include <string.h>

/* "http://HOST:PORT/path" into its parts; the host is an IPv4 address. */
static const char *url_read(const char *url, const char **host, int *port)
{
    char *copy = strdup(url), *at, *path;

    if (!copy || !(at = strstr(copy, "://")) || !(path = strchr(at + 3, '/'))) {
        die("no URL: %s", url);
    }
    *path = '\0';
    *host = at + 3;
    if (!(at = strchr(at + 3, ':'))) {
        die("no port in %s", url);
    }
    *at = '\0';
    *port = atoi(at + 1);
    return url + (path - copy);
}

static int number_read(const char *text, int least, int most)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (*end || n < least || n > most) {
        die("%s is not a number from %d to %d", text, least, most);
    }
    return (int)n;
}

static void rates_read(char *list)
{
    char *at = strtok(list, ",");

    for (; at && options.rate_count < RATES_MAX; at = strtok(NULL, ",")) {
        options.rates[options.rate_count++] = atof(at);
    }
}

static void server_read(char *text)
{
    char *equals = strchr(text, '=');

    if (!equals || options.server_count == SERVERS_MAX) {
        die("--server NAME=PID, at most %d", SERVERS_MAX);
    }
    *equals = '\0';
    options.servers[options.server_count].name = text;
    options.servers[options.server_count++].pid = number_read(equals + 1, 1, 1 << 30);
}

static void token_read(char *text)
{
    char *colon = strchr(text, ':');

    if (!colon) {
        die("--token ALG:FILE");
    }
    *colon = '\0';
    options.token_alg = text;
    options.token_key = colon + 1;
}

static void url_option(char *url)
{
    options.websocket = strncmp(url, "ws", 2) == 0;
    options.tls = strncmp(url, "wss:", 4) == 0 || strncmp(url, "https:", 6) == 0;
    options.path = url_read(url, &options.host, &options.port);
}

static void post_option(char *url)
{
    options.post = url_read(url, &options.publish_host, &options.publish_port);
}

static void send_option(char *url)
{
    options.send = url_read(url, &options.publish_host, &options.publish_port);
}

static void key_option(char *key) { options.key = key; }

static void handshakes_option(char *kind)
{
    options.handshakes = strcmp(kind, "full") == 0      ? HANDSHAKES_FULL
                         : strcmp(kind, "resumed") == 0 ? HANDSHAKES_RESUMED
                                                        : HANDSHAKES_NONE;
    if (!options.handshakes) {
        die("--handshakes full or resumed");
    }
}

/* Each takes a value: a number within limits, a number with a fraction, or text. */
static const struct {
    const char *name;
    int *number;
    int least, most;
    double *real;
    void (*text)(char *);
} settings[] = {
    {"--url", NULL, 0, 0, NULL, url_option},
    {"--connections", &options.connections, 0, 10000000, NULL, NULL},
    {"--tenants", &options.tenants, 1, TENANTS_MAX, NULL, NULL},
    {"--readers", &options.readers, 1, READERS_MAX, NULL, NULL},
    {"--in-flight", &options.in_flight, 1, 100000, NULL, NULL},
    {"--token", NULL, 0, 0, NULL, token_read},
    {"--token-each", &options.token_each, 0, 1, NULL, NULL},
    {"--stop", &options.stopped, 0, 10000000, NULL, NULL},
    {"--receive-buffer", &options.receive_buffer, 1, 1 << 30, NULL, NULL},
    {"--deflate", &options.deflate, 0, 1, NULL, NULL},
    {"--idle", NULL, 0, 0, &options.idle, NULL},
    {"--redis", &options.publish_port, 1, 65535, NULL, NULL},
    {"--key", NULL, 0, 0, NULL, key_option},
    {"--post", NULL, 0, 0, NULL, post_option},
    {"--callbacks", &options.callbacks, 1, 65535, NULL, NULL},
    {"--send", NULL, 0, 0, NULL, send_option},
    {"--publishers", NULL, 0, 0, NULL, rates_read},
    {"--size", &options.size, 64, 16384, NULL, NULL},
    {"--backlog", &options.backlog, 0, EVENTS_MAX / 2, NULL, NULL},
    {"--seconds", NULL, 0, 0, &options.seconds, NULL},
    {"--rates", NULL, 0, 0, NULL, rates_read},
    {"--search", NULL, 0, 0, &options.search, NULL},
    {"--limit", NULL, 0, 0, &options.limit, NULL},
    {"--noise", NULL, 0, 0, &options.noise, NULL},
    {"--server", NULL, 0, 0, NULL, server_read},
    {"--again", &options.again, 0, 1, NULL, NULL},
    {"--reload", &options.reload, 0, 1, NULL, NULL},
    {"--handshakes", NULL, 0, 0, NULL, handshakes_option},
};

void options_read(int argc, char **argv)
{
    int i;

    for (i = 1; i + 1 < argc; i += 2) {
        size_t k = 0, count = sizeof(settings) / sizeof(settings[0]);

        while (k < count && strcmp(argv[i], settings[k].name) != 0) {
            k++;
        }
        if (k == count) {
            die("no option: %s", argv[i]);
        }
        if (settings[k].number) {
            *settings[k].number = number_read(argv[i + 1], settings[k].least, settings[k].most);
        }
        else if (settings[k].real) {
            *settings[k].real = atof(argv[i + 1]);
        }
        else {
            settings[k].text(argv[i + 1]);
        }
    }
    if (!options.port || i < argc) {
        die("--url is missing, or an option has no value: see README.md");
    }
    if (options.deflate && !options.websocket) {
        die("--deflate is for WebSockets");
    }
    if (options.send && (!options.callbacks || options.tenants != options.connections)) {
        die("--send needs --callbacks, and a tenant for each connection");
    }
    options.again |= options.reload;
    if ((options.again && options.websocket) || (options.handshakes && !options.tls)) {
        die("--again and --reload are for event streams, --handshakes for https");
    }
}
