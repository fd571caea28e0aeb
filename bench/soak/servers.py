# SPDX-License-Identifier: Apache-2.0
"""The servers of a soak: each a process of ours, and none outlives this program."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

from .redis import Redis


def die_with_parent():
    """prctl(PR_SET_PDEATHSIG): nothing outlives this program."""
    os.setsid()
    try:
        import ctypes
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    except (OSError, AttributeError):
        pass


def private(pid):
    """Private memory in kB, 0 if there is no such process."""
    try:
        with open('/proc/%d/smaps_rollup' % pid) as rollup:
            return sum(int(line.split()[1]) for line in rollup if line.startswith('Private_'))
    except OSError:
        return 0


class RedisServer:
    def __init__(self, directory, fsync):
        self.directory, self.fsync = directory, fsync
        self.path = directory + '/redis.sock'
        self.binary = shutil.which('redis-server')
        if not self.binary:
            # Debian's redis-tools: one program, chosen by its name.
            self.binary = directory + '/redis-server'
            os.symlink('/usr/bin/redis-check-rdb', self.binary)
        self.start()

    def start(self):
        with open(self.directory + '/redis.log', 'ab') as log:
            self.process = subprocess.Popen(
                [self.binary, '--port', '0', '--unixsocket', self.path, '--unixsocketperm', '777', '--dir',
                 self.directory, '--appendonly', 'yes', '--appendfsync', self.fsync, '--save', ''],
                stdout=log, stderr=log, preexec_fn=die_with_parent)

    def command(self, *words):
        redis = Redis(self.path)
        try:
            return redis(*words)
        finally:
            redis.close()

    def wait(self, seconds=60):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                return self.command('PING')
            except OSError:
                time.sleep(0.05)
        raise SystemExit('Redis does not start: see %s/redis.log' % self.directory)

    def kill(self, how):
        self.process.send_signal(how)
        self.process.wait()


CONF = '''
LoadModule mpm_event_module "%(lib)s/mod_mpm_event.so"
%(modules)s
LoadModule ragline_stream_module "%(module)s"
%(user)s
ServerRoot "%(dir)s"
ServerName localhost
Listen 127.0.0.1:%(port)d
PidFile "%(dir)s/httpd.pid"
DefaultRuntimeDir "%(dir)s"
DocumentRoot "%(dir)s/htdocs"
LogLevel warn ragline_stream:info
ErrorLog "%(dir)s/error_log"
StartServers %(children)d
ServerLimit 18
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers %(workers)d
MinSpareThreads 1
MaxSpareThreads 192
GracefulShutdownTimeout 20
RaglineRedis unix://%(redis)s
RaglineDrain 2s
%(text)s
%(extra)s
'''

class Httpd:
    """With so many children; `text` are the streams and locations."""

    def __init__(self, directory, options, redis, text, children=2):
        self.directory = directory
        lib = subprocess.check_output([options.apxs, '-q', 'LIBEXECDIR'], text=True).strip()
        with socket.socket() as found:
            found.bind(('127.0.0.1', 0))
            self.port = found.getsockname()[1]
        os.makedirs(directory + '/htdocs')
        built_in = subprocess.check_output([options.httpd, '-l'], text=True)
        modules = ['LoadModule %s_module "%s/mod_%s.so"' % (name, lib, name)
                   for name in ('authz_core', 'authz_host', 'headers', 'setenvif')
                   if 'mod_%s.c' % name not in built_in]
        text = CONF % {
            'lib': lib, 'modules': '\n'.join(modules), 'module': os.path.abspath(options.module),
            'user': 'User nobody\nGroup nogroup' if os.geteuid() == 0 else '', 'redis': redis.path,
            'dir': directory, 'port': self.port, 'text': text, 'extra': options.conf,
            'children': children, 'workers': 64 * children,
        }
        self.conf = directory + '/httpd.conf'
        with open(self.conf, 'w') as out:
            out.write(text)
        self.command = [options.httpd, '-f', self.conf]
        with open(directory + '/output', 'ab') as log:
            self.process = subprocess.Popen(self.command + ['-DFOREGROUND'], stdout=log, stderr=log,
                                            preexec_fn=die_with_parent)
        self.wait()

    def wait(self):
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', self.port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        for name in ('output', 'error_log'):
            if os.path.exists(self.directory + '/' + name):
                sys.stderr.write(open(self.directory + '/' + name).read())
        raise SystemExit('httpd does not start')

    def control(self, what):
        subprocess.call(self.command + ['-k', what], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def children(self):
        try:
            with open('/proc/%d/task/%d/children' % (self.process.pid, self.process.pid)) as children:
                return [int(pid) for pid in children.read().split()]
        except OSError:
            return []

    def memory(self):
        """Private memory in kB: of the parent, of all children together; how many these are."""
        children = [size for size in map(private, self.children()) if size]
        return private(self.process.pid), sum(children), len(children)

    def stop(self):
        # TERM while a worker closes its last connection can crash event children: gracefully first.
        self.process.send_signal(signal.SIGWINCH)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait(30)

    def crashes(self):
        """Children that ended by a signal which we did not send, and what sanitizers say."""
        with open(self.directory + '/error_log', errors='replace') as log:
            return [line.strip() for line in log
                    if re.search(r'exit signal (?!Killed)|Sanitizer|runtime error:|AH00046', line)]
