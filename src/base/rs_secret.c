/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads secrets from where an administrator keeps them. One thread, at start-up. No message of
 * this file holds a byte of a secret, nor of a specification that it does not understand.
 *
 * exec: runs in a process group of its own (hence posix_spawn and not apr_proc_create), so that
 * what a command leaves behind after its time can be ended whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>

#include "rs_clock.h"
#include "rs_log.h"
#include "rs_secret.h"

extern char **environ;

typedef enum { KIND_NONE, KIND_TEXT, KIND_ENV, KIND_FILE, KIND_EXEC } secret_kind_t;

/* The line end at the end may come on top of RS_SECRET_MAX. */
#define ROOM (RS_SECRET_MAX + 2)

/* A memset that the compiler may not leave out before free(). */
static void wipe(char *s, size_t n)
{
    volatile char *v = s;

    while (n--) {
        *v++ = 0;
    }
}

static secret_kind_t split(const char *spec, const char **rest)
{
    static const struct {
        const char *prefix;
        secret_kind_t kind;
    } kinds[] = {
        {"secret:", KIND_TEXT}, {"env:", KIND_ENV}, {"file:", KIND_FILE}, {"exec:", KIND_EXEC}};
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(kinds); i++) {
        size_t n = strlen(kinds[i].prefix);

        if (strncmp(spec, kinds[i].prefix, n) == 0) {
            *rest = spec + n;
            return kinds[i].kind;
        }
    }
    return KIND_NONE;
}

static int variable_valid(const char *s)
{
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    return n > 0 && s[n] == '\0' && !(s[0] >= '0' && s[0] <= '9');
}

const char *rs_secret_check(apr_pool_t *p, const char *spec, int allow_text)
{
    const char *rest = NULL;

    (void)p;
    switch (split(spec, &rest)) {
    case KIND_TEXT:
        if (!allow_text) {
            return "a secret must not stand in the configuration here: write file:/PATH, env:NAME "
                   "or exec:COMMAND instead of secret:";
        }
        return *rest ? NULL : "the secret is empty: write secret:TEXT";
    case KIND_ENV:
        return variable_valid(rest) ? NULL
                                    : "env: must be followed by the name of an environment "
                                      "variable: write for example env:RAGLINE_SECRET";
    case KIND_FILE:
        return *rest == '/' ? NULL
                            : "file: must be followed by an absolute path: write for example "
                              "file:/etc/ragline/secret";
    case KIND_EXEC:
        return rest[strspn(rest, " \t")] ? NULL
                                         : "exec: must be followed by a command: write for example "
                                           "\"exec:/usr/local/bin/get-secret ragline\"";
    case KIND_NONE:
        break;
    }
    return allow_text ? "a secret must begin with what says where it is: write file:/PATH, "
                        "env:NAME, exec:COMMAND or secret:TEXT"
                      : "a secret must begin with what says where it is: write file:/PATH, "
                        "env:NAME or exec:COMMAND";
}

/* Reads to the end of fd, at most ROOM + 1 bytes, until `deadline` (0: for ever). Returns the
 * length, or -1 with errno; ETIME when the time is over. */
static ssize_t read_all(int fd, char *buf, apr_time_t deadline)
{
    size_t len = 0;

    while (len <= ROOM) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        apr_time_t left = deadline - rs_clock_now();
        ssize_t n;

        if (deadline && left <= 0) {
            errno = ETIME;
            return -1;
        }
        if (deadline && poll(&pfd, 1, (int)apr_time_as_msec(left) + 1) <= 0) {
            continue;
        }
        n = read(fd, buf + len, ROOM + 1 - len);
        if (n == 0) {
            break;
        }
        if (n > 0) {
            len += (size_t)n;
        }
        else if (errno != EINTR) {
            return -1;
        }
    }
    return (ssize_t)len;
}

/* The common end of all sources: cuts the line end, refuses what is empty or too long. */
static const char *take(const char **value, apr_size_t *len, apr_pool_t *p, const char *data,
                        apr_size_t n, const char *from)
{
    if (n && data[n - 1] == '\n') {
        n--;
        if (n && data[n - 1] == '\r') {
            n--;
        }
    }
    if (n == 0) {
        return apr_psprintf(p, "%s gives an empty secret", from);
    }
    if (n > RS_SECRET_MAX) {
        return apr_psprintf(p, "%s gives more than %d bytes, which is no secret", from,
                            RS_SECRET_MAX);
    }
    *value = apr_pstrmemdup(p, data, n);
    *len = n;
    return NULL;
}

static const char *check_file(apr_pool_t *p, int fd, const char *from)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return apr_psprintf(p, "%s cannot be read: %s", from, strerror(errno));
    }
    if (!S_ISREG(st.st_mode)) {
        return apr_psprintf(p, "%s is not a regular file", from);
    }
    return NULL;
}

void rs_secret_warn(const char *spec)
{
    const char *path = "";
    struct stat st;

    if (split(spec, &path) == KIND_FILE && stat(path, &st) == 0 && (st.st_mode & S_IROTH)) {
        rs_log(RS_LOG_WARNING, 0,
               RSLOGNO(0461) "the secret in %s can be read by every user of this machine: "
                             "chmod o-r it (root reads it before httpd drops its privileges)",
               path);
    }
}

static const char *read_file(const char **value, apr_size_t *len, apr_pool_t *p, const char *path,
                             char *buf)
{
    const char *from = apr_psprintf(p, "the secret's file %s", path), *err;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n;

    if (fd < 0) {
        return apr_psprintf(p, "%s cannot be opened: %s", from, strerror(errno));
    }
    err = check_file(p, fd, from);
    if (!err) {
        n = read_all(fd, buf, 0);
        err = n < 0 ? apr_psprintf(p, "%s cannot be read: %s", from, strerror(errno))
                    : take(value, len, p, buf, (apr_size_t)n, from);
    }
    close(fd);
    return err;
}

static const char *read_env(const char **value, apr_size_t *len, apr_pool_t *p, const char *name)
{
    const char *s = getenv(name);

    if (!s) {
        return apr_psprintf(p, "the environment variable %s is not set where httpd was started",
                            name);
    }
    return take(value, len, p, s, strlen(s), apr_psprintf(p, "the environment variable %s", name));
}

/* Starts `sh -c command` with its output going to `out`. Returns 0 or an errno. */
static int spawn(pid_t *pid, const char *command, int out)
{
    char sh[] = "sh", c[] = "-c", *argv[] = {sh, c, (char *)command, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, pipe_only;
    int err;

    sigemptyset(&none);
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK
                                        | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &pipe_only);
    err = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!err) {
        err = posix_spawn_file_actions_adddup2(&actions, out, 1);
    }
    if (!err) {
        err = posix_spawn(pid, "/bin/sh", &actions, &attr, argv, environ);
    }
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return err;
}

/* Waits for the process until `deadline`, then ends it and its children. Returns its wait status,
 * or -1 when it had to be ended. */
static int reap(pid_t pid, apr_time_t deadline)
{
    int status = -1, forced = 0;

    for (;;) {
        pid_t got = waitpid(pid, &status, forced ? 0 : WNOHANG);

        if (got == pid) {
            return forced ? -1 : status;
        }
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (!forced && rs_clock_now() >= deadline) {
            kill(-pid, SIGKILL);
            forced = 1;
        }
        else if (!forced) {
            apr_sleep(5000);
        }
    }
}

/* Runs the command and stores its output's length, or -1 with *err as an errno. */
static int run(const char *command, char *buf, ssize_t *n, int *err)
{
    apr_time_t deadline = rs_clock_now() + RS_SECRET_EXEC_LIMIT;
    int fds[2];
    pid_t pid;

    *n = -1;
    if (pipe(fds) != 0) {
        *err = errno;
        return 0;
    }
    fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    fcntl(fds[1], F_SETFD, FD_CLOEXEC);
    *err = spawn(&pid, command, fds[1]);
    close(fds[1]);
    if (*err) {
        close(fds[0]);
        return 0;
    }
    *n = read_all(fds[0], buf, deadline);
    *err = *n < 0 ? errno : 0;
    close(fds[0]);
    /* Without a whole answer there is nothing to wait for. */
    return reap(pid, *n < 0 || *n > ROOM ? 0 : deadline);
}

static const char *read_exec(const char **value, apr_size_t *len, apr_pool_t *p,
                             const char *command, char *buf)
{
    const char *word = command + strspn(command, " \t");
    /* Its first word only: there may be a token among the arguments. */
    const char *from =
        apr_psprintf(p, "the secret's command %s", apr_pstrmemdup(p, word, strcspn(word, " \t")));
    int err, status;
    ssize_t n;

    status = run(command, buf, &n, &err);
    if (n < 0 && err != ETIME) {
        return apr_psprintf(p, "%s cannot be run: %s", from, strerror(err));
    }
    if (n < 0 || (n <= ROOM && status == -1)) {
        return apr_psprintf(p, "%s did not end within %d seconds", from,
                            (int)apr_time_sec(RS_SECRET_EXEC_LIMIT));
    }
    if (n <= ROOM && WIFSIGNALED(status)) {
        return apr_psprintf(p, "%s was ended by signal %d", from, WTERMSIG(status));
    }
    if (n <= ROOM && WEXITSTATUS(status) != 0) {
        return apr_psprintf(p, "%s failed with status %d", from, WEXITSTATUS(status));
    }
    return take(value, len, p, buf, (apr_size_t)n, from);
}

const char *rs_secret_read(const char **value, apr_size_t *len, apr_pool_t *p, const char *spec,
                           int allow_text)
{
    const char *rest = "", *err = rs_secret_check(p, spec, allow_text);
    secret_kind_t kind = split(spec, &rest);
    char *buf;

    *value = NULL;
    *len = 0;
    if (err) {
        return err;
    }
    if (kind == KIND_ENV) {
        return read_env(value, len, p, rest);
    }
    if (kind == KIND_TEXT) {
        if (strlen(rest) > RS_SECRET_MAX) {
            return "the secret is longer than 65536 bytes";
        }
        *value = apr_pstrdup(p, rest);
        *len = strlen(rest);
        return NULL;
    }
    buf = calloc(1, ROOM + 1); /* not the pool: no second copy of a secret is left there */
    if (!buf) {
        return "out of memory while a secret was read";
    }
    err = kind == KIND_FILE ? read_file(value, len, p, rest, buf)
                            : read_exec(value, len, p, rest, buf);
    wipe(buf, ROOM + 1);
    free(buf);
    return err;
}
