/* SPDX-License-Identifier: Apache-2.0
 *
 * Callbacks against back ends that answer, hang, talk nonsense, come late or are not there.
 */
#include <stdio.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <openssl/hmac.h>
#include <openssl/x509v3.h>
#include <signal.h>

#include "backend.h"
#include "base/rs_clock.h"
#include "base/rs_log.h"
#include "gateway/rs_callbacks.h"
#include "tap.h"

#define CALL 7
#define CONCURRENT 4
#define WAITING 20
#define LONG apr_time_from_sec(120)

static apr_pool_t *p;
static backend_t plain, tls;
static rs_backends_t table;
static rs_callbacks_t *callbacks;
static rs_inbox_t *inbox;
static char ca[] = "/tmp/ragline-callbacks-XXXXXX";

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int given_back, late, full, answered; /* lock */
static rs_callback_t *last;                  /* lock */
static int warnings, good_again;             /* lock */
static rs_stats_t stats;
static char said[512];                       /* lock */

static void hear(const char *file, int line, int level, apr_status_t rv, const char *message)
{
    (void)file, (void)line, (void)rv;
    pthread_mutex_lock(&lock);
    warnings += level <= RS_LOG_WARNING;
    good_again += strstr(message, "RS1103") != NULL;
    apr_cpystrn(said, message, sizeof(said));
    pthread_mutex_unlock(&lock);
}

static void done(rs_callback_t *callback)
{
    pthread_mutex_lock(&lock);
    free(last);
    last = callback;
    given_back++;
    late += callback->outcome == RS_CALLED_LATE;
    full += callback->outcome == RS_CALLED_FULL;
    answered += callback->outcome == RS_CALLED_ANSWERED;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void wait_for(int n)
{
    pthread_mutex_lock(&lock);
    while (given_back < n) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static rs_backend_t *backend(const char *scheme, int port, const char *path,
                             apr_interval_time_t timeout, const char *secret, const char *believed)
{
    rs_backend_t wanted = {.secret = secret, .ca = believed, .timeout = timeout};

    wanted.url = apr_psprintf(p, "%s://127.0.0.1:%d%s", scheme, port, path);
    return rs_backends_intern(&table, &wanted);
}

static void post(rs_backend_t *to, const char *body)
{
    rs_callback_t *callback = rs_callback_create(to, body, strlen(body), done);

    if (!callback || !rs_inbox_post(inbox, &callback->msg, CALL)) {
        abort();
    }
}

/* One, and what became of it. */
static const rs_callback_t *call(rs_backend_t *to)
{
    given_back = 0;
    post(to, "{\"action\":\"connect\"}");
    wait_for(1);
    return last;
}

static void answers(void)
{
    rs_backend_t *ok_ = backend("http", plain.port, "/ok?secret=x", LONG, NULL, NULL);
    const rs_callback_t *c = call(ok_);
    int i;

    is_int(c->outcome, RS_CALLED_ANSWERED, "a back end answers");
    is_int(c->status, 200, "with a status");
    is_str(c->phrase, "OK", "and its words");
    ok(strstr(plain.last, "POST /ok?secret=x HTTP/1.1\r\n") == plain.last, "it was asked by POST");
    ok(strstr(plain.last, "\r\nContent-Type: application/json\r\n") != NULL, "with JSON");
    ok(strstr(plain.last, "\r\n\r\n{\"action\":\"connect\"}") != NULL, "as it is");
    ok(!strstr(plain.last, "X-Ragline"), "without a secret where there is none");
    ok(!strcasestr(plain.last, "\r\nexpect:"), "and does not have to say that it wants it");
    for (i = 0; i < 5; i++) {
        call(ok_);
    }
    is_int(plain.connections, 1, "connections are used again");
    c = call(backend("http", plain.port, "/status/401", LONG, NULL, NULL));
    is_int(c->status, 401, "another status is an answer, too");
    is_str(c->phrase, "Of its own", "with the back end's own words");
    c = call(backend("http", plain.port, "/slow", LONG, NULL, NULL));
    is_int(c->status, 200, "a slow one is waited for");
    c = call(backend("http", plain.port, "/redirect", LONG, NULL, NULL));
    is_int(c->status, 302, "no redirect is followed");
    c = call(backend("http", plain.port, "/endless", LONG, NULL, NULL));
    is_int(c->outcome, RS_CALLED_ANSWERED, "an answer without end is one");
    is_int(c->status, 200, "by its status");
    c = call(backend("http", plain.port, "/part", LONG, NULL, NULL));
    is_int(c->outcome, RS_CALLED_ANSWERED, "and one whose body is cut off");
    ok(ok_ == backend("http", plain.port, "/ok?secret=x", LONG, NULL, NULL), "one back end is one");
    ok(ok_ != backend("http", plain.port, "/ok?secret=x", LONG, "s", NULL), "and not another one");
    is_str(backend("http://u:p@h/a@b", 0, "", LONG, NULL, NULL)->label,
           "http://h/a@b://127.0.0.1:0", "no login is in a log");
}

static void trouble(void)
{
    apr_interval_time_t soon = apr_time_from_msec(150);
    const rs_callback_t *c;
    apr_time_t began;

    warnings = 0;
    c = call(backend("http", plain.port, "/garbage", LONG, NULL, NULL));
    is_int(c->outcome, RS_CALLED_UNREACHABLE, "nonsense is no answer");
    ok(warnings == 1 && strstr(said, "RS1102"), "that is said");
    call(backend("http", plain.port, "/garbage", LONG, NULL, NULL));
    is_int(warnings, 1, "once");
    c = call(backend("http", plain.port, "/cut", LONG, NULL, NULL));
    is_int(c->outcome, RS_CALLED_UNREACHABLE, "nor is half an answer");
    c = call(backend("http", 1, "/?secret=hidden", LONG, NULL, NULL));
    is_int(c->outcome, RS_CALLED_UNREACHABLE, "nobody there");
    ok(strstr(said, "http://127.0.0.1:1/ ") && !strstr(said, "hidden"), "%s", said);
    ok(strcasestr(said, "connect") != NULL, "it is said that nobody is");
    c = call(backend("http://nobody.invalid", plain.port, "/", LONG, NULL, NULL));
    is_int(c->outcome, RS_CALLED_UNREACHABLE, "a host that cannot be");
    ok(strstr(said, "esolve") || strstr(said, "URL"), "that is said: %s", said);
    c = call(backend("file", plain.port, "/etc/passwd", LONG, NULL, NULL));
    is_int(c->outcome, RS_CALLED_UNREACHABLE, "only http and https");
    began = rs_clock_now();
    c = call(backend("http", plain.port, "/hang", soon, NULL, NULL));
    is_int(c->outcome, RS_CALLED_LATE, "one that hangs is given up");
    ok(rs_clock_now() - began >= soon - apr_time_from_msec(5), "when its time is over");
    c = call(backend("http", plain.port, "/slow", soon, NULL, NULL));
    is_int(c->outcome, RS_CALLED_LATE, "and one that is too slow");
}

static void by_turns(void)
{
    int i, good = 0;

    warnings = good_again = 0;
    for (i = 0; i < 20; i++) {
        good += call(backend("http", plain.port, "/turns", LONG, NULL, NULL))->outcome
                == RS_CALLED_ANSWERED;
    }
    is_int(good, 10, "one that answers each second time");
    ok(warnings == 1 && good_again == 1, "fills no log: %d, %d", warnings, good_again);
}

static const char *header(const char *request, const char *name)
{
    const char *at = strstr(request, name);

    return at ? apr_pstrndup(p, at + strlen(name), strcspn(at + strlen(name), "\r")) : "";
}

static void secrets(void)
{
    static const char body[] = "{\"action\":\"connect\"}";
    unsigned char mac[32];
    char hex[65], *text;
    const char *sign, *v1;
    unsigned i, len;

    call(backend("http", plain.port, "/ok", LONG, "the secret", NULL));
    is_str(header(plain.last, "X-Ragline-Secret: "), "the secret", "the secret is there");
    sign = header(plain.last, "X-Ragline-Signature: ");
    v1 = strstr(sign, ",v1=");
    ok(!strncmp(sign, "t=", 2) && v1, "%s", sign);
    text = apr_pstrcat(p, v1 ? apr_pstrmemdup(p, sign + 2, (apr_size_t)(v1 - sign - 2)) : "", ".",
                       body, NULL);
    HMAC(EVP_sha256(), "the secret", 10, (unsigned char *)text, strlen(text), mac, &len);
    for (i = 0; i < 32; i++) {
        apr_snprintf(hex + 2 * i, 3, "%02x", mac[i]);
    }
    is_str(v1 ? v1 + 4 : "", hex, "the signature is of the time and the body");
    ok(labs((long)(atol(sign + 2) - apr_time_sec(apr_time_now()))) < 60, "the time is now");
}

static void certificates(void)
{
    const rs_callback_t *c = call(backend("https", tls.port, "/ok", LONG, NULL, NULL));

    is_int(c->outcome, RS_CALLED_UNREACHABLE, "a certificate that nobody knows is not believed");
    is_int(tls.requests, 0, "and was told nothing");
    c = call(backend("https", tls.port, "/ok", LONG, NULL, ca));
    is_int(c->outcome, RS_CALLED_ANSWERED, "one of an authority that is given is");
    c = call(backend("https://localhost", tls.port, "/ok", LONG, NULL, ca));
    is_int(c->outcome, RS_CALLED_UNREACHABLE, "but not for another name");
}

/* Those that hang take their places; others do not wait for them, and there are not too many. */
/* Whose clients have left while others were asked for. */
static void left(void)
{
    rs_backend_t *hanging = backend("http", plain.port, "/hang?left", LONG, NULL, NULL);
    static int gone;
    int i;

    given_back = full = 0;
    for (i = 0; i < CONCURRENT; i++) {
        post(hanging, "{}");
    }
    for (i = 0; i < WAITING; i++) {
        rs_callback_t *callback = rs_callback_create(hanging, "{}", 2, done);

        callback->unwanted = &gone;
        rs_inbox_post(inbox, &callback->msg, CALL);
    }
    __atomic_store_n(&gone, 1, __ATOMIC_RELEASE);
    post(hanging, "{}");
    wait_for(WAITING);
    is_int(full, 0, "there is room in a line in which all have left");
    is_int(last->outcome, RS_CALLED_STOPPED, "who are not asked for");
}

static void crowd(void)
{
    rs_backend_t *hanging = backend("http", plain.port, "/hang", LONG, NULL, NULL);
    rs_backend_t *slow = backend("http", plain.port, "/slow?many", LONG, NULL, NULL);
    rs_backend_t *soon = backend("http", plain.port, "/hang", apr_time_from_msec(300), NULL, NULL);
    rs_backend_t *together = backend("http", plain.port, "/together", LONG, NULL, NULL);
    int i;

    given_back = late = full = answered = 0;
    for (i = 0; i < CONCURRENT + WAITING + 30; i++) {
        post(hanging, "{}");
    }
    wait_for(1);
    pthread_mutex_lock(&lock);
    while (full < 30) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    is_int(answered + late, 0, "nobody is answered where all hang, and who finds no place is told");
    is_int((int)RS_STAT_GET(stats.gateway.callbacks[RS_CALLED_FULL]), 30, "and they are counted");
    given_back = 0;
    post(slow, "{}");
    wait_for(1);
    is_int(last->status, 200, "another back end is not slower");
    given_back = late = 0;
    for (i = 0; i < 3 * CONCURRENT; i++) {
        post(soon, "{}");
    }
    wait_for(3 * CONCURRENT);
    is_int(late, 3 * CONCURRENT, "who waits in line waits no longer than its time");
    given_back = 0;
    for (i = 0; i < 3 * CONCURRENT; i++) {
        post(together, "{}");
    }
    wait_for(3 * CONCURRENT);
    is_int(plain.most, CONCURRENT, "so many at once as there may be");
}

static void stop(void)
{
    const rs_callbacks_conf_t conf = {CONCURRENT, WAITING, NULL};
    rs_backend_t *slow = backend("http", plain.port, "/slow?last", LONG, NULL, NULL);
    rs_callbacks_t *hanging = callbacks;
    int i;

    given_back = 0;
    rs_callbacks_stop(hanging, apr_time_from_msec(100));
    is_int(given_back, 2 * CONCURRENT + WAITING + 1, "a stop waits for nobody who hangs");
    is_int(last->outcome, RS_CALLED_STOPPED, "and gives back what was not done");
    rs_callbacks_create(&callbacks, p, CALL, &conf, &inbox);
    rs_callbacks_start(callbacks, p);
    given_back = answered = 0;
    for (i = 0; i < 3 * CONCURRENT; i++) {
        post(slow, "{}");
    }
    rs_callbacks_stop(callbacks, LONG);
    is_int(answered, 3 * CONCURRENT, "what was posted before is done");
}

int main(void)
{
    const rs_callbacks_conf_t conf = {CONCURRENT, WAITING, &stats};
    int fd;

    if (!rs_callbacks_are_there()) {
        printf("1..0 # SKIP built without libcurl\n");
        return 0;
    }
    signal(SIGPIPE, SIG_IGN);
    apr_initialize();
    apr_pool_create(&p, NULL);
    rs_log_sink(hear, RS_LOG_NOTICE);
    fd = mkstemp(ca);
    backend_certify(&tls, ca);
    plain.wanted = CONCURRENT;
    backend_start(&plain);
    backend_start(&tls);
    rs_backends_open(&table);
    is_int(rs_callbacks_create(&callbacks, p, CALL, &conf, &inbox), APR_SUCCESS, "made");
    is_int(rs_callbacks_start(callbacks, p), APR_SUCCESS, "started");
    answers();
    trouble();
    by_turns();
    secrets();
    certificates();
    crowd();
    left();
    stop();
    backend_let_go(&plain);
    free(last);
    rs_backends_close(&table);
    unlink(ca);
    close(fd);
    return done_testing();
}
