/* SPDX-License-Identifier: Apache-2.0
 *
 * A private redis-server for a unit test: on a unix socket in a directory of its own, without a
 * TCP port, ended by its pid. No redis-server is a failed test, not a skipped one.
 */
#ifndef REDIS_SERVER_H
#define REDIS_SERVER_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

static char redis_dir[] = "/tmp/ragline-redis-XXXXXX";
static char redis_socket[64], redis_url[80];
static pid_t redis_pid;

static inline void redis_stop(int sig)
{
    if (redis_pid > 0) {
        kill(redis_pid, SIGCONT);
        kill(redis_pid, sig);
        while (waitpid(redis_pid, NULL, 0) < 0 && errno == EINTR) {
        }
        redis_pid = 0;
    }
}

static inline void redis_cleanup(void)
{
    char command[sizeof(redis_dir) + 16];

    redis_stop(SIGKILL);
    snprintf(command, sizeof(command), "rm -rf %s", redis_dir);
    if (system(command) != 0) {
        printf("# %s is left\n", redis_dir);
    }
}

/* Makes the directory and the names; starts nothing. */
static inline int redis_prepare(void)
{
    signal(SIGPIPE, SIG_IGN); /* as httpd does */
    if (!mkdtemp(redis_dir)) {
        return 0;
    }
    atexit(redis_cleanup);
    snprintf(redis_socket, sizeof(redis_socket), "%s/s", redis_dir);
    snprintf(redis_url, sizeof(redis_url), "unix://%s", redis_socket);
    return 1;
}

static inline int redis_answers(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char answer[16] = "";
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), good;

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", redis_socket);
    good = fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0
           && write(fd, "PING\r\n", 6) == 6 && read(fd, answer, sizeof(answer) - 1) > 0
           && answer[0] == '+';
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

/* Returns when it answers, or 0 after 10 seconds. */
static inline int redis_start(void)
{
    pid_t pid = fork();
    int i, status;

    if (pid == 0) {
        int log = open("/dev/null", O_RDWR);

#ifdef __linux__
        prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
        dup2(log, 1);
        dup2(log, 2);
        char *args[] = {"redis-server", "--port", "0", "--unixsocket", redis_socket,
                        "--unixsocketperm", "700", "--dir", redis_dir, "--save", "",
                        "--appendonly", "no", "--daemonize", "no", NULL};

        execvp("redis-server", args);
        /* Debian's redis-tools: the same program, which goes by argv[0]. */
        execvp("redis-check-rdb", args);
        _exit(127);
    }
    if (pid < 0) {
        return 0;
    }
    for (i = 0; i < 500; i++) {
        if (redis_answers()) {
            redis_pid = pid;
            return 1;
        }
        if (waitpid(pid, &status, WNOHANG) == pid) {
            printf("# redis-server ended with status %d: is it installed?\n",
                   WEXITSTATUS(status));
            return 0;
        }
        usleep(20000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return 0;
}

#endif
