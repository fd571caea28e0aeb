/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets: every source, its limits, and that no message holds any of a secret.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "../../src/base/rs_clock.h"
#include "../../src/base/rs_log.h"
#include "../../src/base/rs_secret.h"
#include "tap.h"

static apr_pool_t *p;
static char dir[] = "/tmp/ragline-secret-XXXXXX";
static int warnings;
static char warning[1024];

static void sink(const char *file, int line, int level, apr_status_t rv, const char *message)
{
    (void)file;
    (void)line;
    (void)rv;
    warnings += level == RS_LOG_WARNING;
    apr_cpystrn(warning, message, sizeof(warning));
}

static void good(const char *spec, const char *want)
{
    const char *value = NULL, *err;
    apr_size_t len = 0;

    is_str(rs_secret_check(p, spec, 1), NULL, apr_psprintf(p, "well-formed: %.60s", spec));
    err = rs_secret_read(&value, &len, p, spec, 1);
    is_str(err, NULL, "  read");
    is_str(value, want, "  value");
    is_int((long long)len, want ? (long long)strlen(want) : 0, "  length");
}

static void bad(const char *spec, int allow_text, const char *want)
{
    const char *value = "x", *err;
    apr_size_t len = 1;

    err = rs_secret_read(&value, &len, p, spec, allow_text);
    ok(err && strstr(err, want), "refused: %.60s", spec);
    if (err && !strstr(err, want)) {
        printf("# %s\n", err);
    }
    ok(!value && !len, "  and no value");
    ok(err && !strstr(err, "s3cret"), "  and nothing of it in the sentence");
}

static void bad_form(const char *spec, int allow_text, const char *want)
{
    const char *err = rs_secret_check(p, spec, allow_text);

    ok(err && strstr(err, want), "wrong form: %.60s", spec);
    bad(spec, allow_text, want);
}

static const char *put(const char *name, const char *data, size_t n, int mode)
{
    const char *path = apr_pstrcat(p, dir, "/", name, NULL);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd < 0 || write(fd, data, n) != (ssize_t)n || fchmod(fd, (mode_t)mode) != 0) {
        ok(0, "cannot write %s", path);
    }
    close(fd);
    return apr_pstrcat(p, "file:", path, NULL);
}

static void test_forms(void)
{
    bad_form("s3cret", 0, "file:/PATH, env:NAME or exec:COMMAND");
    bad_form("s3cret", 1, "or secret:TEXT");
    bad_form("", 1, "file:/PATH");
    bad_form("FILE:/s3cret", 1, "file:/PATH");
    bad_form("secret:s3cret", 0, "instead of secret:");
    bad_form("secret:", 1, "secret:TEXT");
    bad_form("env:", 1, "env:RAGLINE_SECRET");
    bad_form("env:s3cret x", 1, "env:RAGLINE_SECRET");
    bad_form("env:1s3cret", 1, "env:RAGLINE_SECRET");
    bad_form("file:", 1, "absolute path");
    bad_form("file:s3cret", 1, "absolute path");
    bad_form("exec:", 1, "followed by a command");
    bad_form("exec: ", 1, "followed by a command");
    is_str(rs_secret_check(p, "file:/nowhere/at/all", 0), NULL,
           "a file that cannot be read is well-formed all the same");
}

static void test_text_env(void)
{
    good("secret:s3cret", "s3cret");
    good("secret:s3cret ", "s3cret ");
    setenv("RAGLINE_TEST_SECRET", "s3cret\n", 1);
    good("env:RAGLINE_TEST_SECRET", "s3cret");
    setenv("RAGLINE_TEST_SECRET", "", 1);
    bad("env:RAGLINE_TEST_SECRET", 0, "RAGLINE_TEST_SECRET gives an empty secret");
    unsetenv("RAGLINE_TEST_SECRET");
    bad("env:RAGLINE_TEST_SECRET", 0, "RAGLINE_TEST_SECRET is not set");
}

static void test_file(void)
{
    char *big = malloc(RS_SECRET_MAX + 4);
    const char *value, *err;
    apr_size_t len;

    good(put("plain", "s3cret", 6, 0600), "s3cret");
    good(put("lf", "s3cret\n", 7, 0600), "s3cret");
    good(put("crlf", "s3cret\r\n", 8, 0600), "s3cret");
    good(put("two", "s3cret\n\n", 8, 0600), "s3cret\n");
    good(put("cr", "s3cret\r", 7, 0640), "s3cret\r");
    is_int(warnings, 0, "no warning so far");
    good(put("world", "s3cret", 6, 0644), "s3cret");
    is_int(warnings, 0, "reading is not the moment to warn");
    rs_secret_warn(apr_pstrcat(p, "file:", dir, "/cr", NULL));
    rs_secret_warn("secret:/etc/passwd");
    is_int(warnings, 0, "no warning for what not everybody can read");
    rs_secret_warn(apr_pstrcat(p, "file:", dir, "/world", NULL));
    is_int(warnings, 1, "a warning for a file that everybody can read");
    ok(strstr(warning, "/world") && strstr(warning, "chmod") && !strstr(warning, "s3cret"),
       "  which names the file and what to do");

    bad(put("empty", "", 0, 0600), 0, "/empty gives an empty secret");
    bad(put("newline", "\r\n", 2, 0600), 0, "/newline gives an empty secret");
    bad(apr_pstrcat(p, "file:", dir, "/none", NULL), 0, "/none cannot be opened");
    bad(apr_pstrcat(p, "file:", dir, NULL), 0, "not a regular file");
    bad("file:/dev/zero", 0, "not a regular file");

    memset(big, 'x', RS_SECRET_MAX);
    memcpy(big + RS_SECRET_MAX, "\r\nyy", 4);
    err = rs_secret_read(&value, &len, p, put("max", big, RS_SECRET_MAX + 2, 0600), 0);
    ok(!err && len == RS_SECRET_MAX && value[len] == '\0', "64 KiB and a line end are taken");
    bad(put("max1", big, RS_SECRET_MAX + 1, 0600), 0, "more than 65536 bytes");
    bad(put("max3", big, RS_SECRET_MAX + 3, 0600), 0, "more than 65536 bytes");
    bad(put("max4", big, RS_SECRET_MAX + 4, 0600), 0, "more than 65536 bytes");
    err = rs_secret_read(&value, &len, p, put("nul", "a\0b\n", 4, 0600), 0);
    ok(!err && len == 3 && memcmp(value, "a\0b", 4) == 0, "a NUL is a byte like others");
    free(big);
}

static void test_exec(void)
{
    apr_time_t start;

    good("exec:echo s3cret", "s3cret");
    good("exec:printf 's3cret\\r\\n'", "s3cret");
    good("exec:  printf s3; printf cret 2>/dev/null", "s3cret");
    good("exec:cat; echo s3cret", "s3cret"); /* its input is empty, not httpd's */
    bad("exec:echo s3cret; exit 3", 0, "command echo failed with status 3");
    bad("exec:kill -9 $$", 0, "command kill was ended by signal 9");
    bad("exec:true s3cret", 0, "command true gives an empty secret");
    bad("exec:/nonexistent/s3 2>/dev/null", 0, "failed with status 127");
    start = rs_clock_now();
    bad("exec:yes s3cret", 0, "more than 65536 bytes");
    ok(rs_clock_now() - start < apr_time_from_sec(3), "an endless answer is cut off at once");
}

static void test_exec_time(void)
{
    const char *pidfile = apr_pstrcat(p, dir, "/pid", NULL);
    apr_time_t start = rs_clock_now(), took;
    FILE *f;
    int pid = 0;

    bad(apr_psprintf(p, "exec:sleep 60 & echo $! > %s; echo s3cret; wait", pidfile), 0,
        "did not end within 10 seconds");
    took = rs_clock_now() - start;
    ok(took >= RS_SECRET_EXEC_LIMIT && took < RS_SECRET_EXEC_LIMIT + apr_time_from_sec(3),
       "  and took %d ms", (int)apr_time_as_msec(took));
    f = fopen(pidfile, "r");
    ok(f && fscanf(f, "%d", &pid) == 1 && pid > 1, "the command's child is known");
    if (f) {
        fclose(f);
    }
    for (start = 0; start < 100 && pid > 1 && kill(pid, 0) == 0; start++) {
        apr_sleep(20000);
    }
    ok(pid > 1 && kill(pid, 0) != 0, "nothing of the command is left behind");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&p, NULL);
    if (!mkdtemp(dir)) {
        ok(0, "no temporary directory");
        return done_testing();
    }
    rs_log_sink(sink, RS_LOG_DEBUG);
    test_forms();
    test_text_env();
    test_file();
    test_exec();
    test_exec_time();
    if (system(apr_pstrcat(p, "rm -rf ", dir, NULL)) != 0) {
        printf("# %s is left\n", dir);
    }
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
