#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What planned failovers lose: events that were acknowledged and that the new master does not have.

Starts a master, a replica, three sentinels and two httpds of its own, publishes all the time over both,
reads with clients that come back as browsers do, and says SENTINEL FAILOVER again and again: see
bench/README.md. Python's standard library only. Exit status 0: nothing that was acknowledged later than a
second after the sentinels' word is lost, and every client has all that is there, once.
"""
import argparse
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

from soak import Redis, RedisServer, die_with_parent

NAME = 'mymaster'
KEY = 'failover'
KEPT = re.compile(rb'^data: (\d+)$')

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
LogLevel warn ragline_stream:info
ErrorLog "%(dir)s/error_log"
StartServers 2
ThreadsPerChild 32
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
RaglineRedis %(sentinels)s master=%(name)s
RaglineDrain 1s
RaglineStream all %(key)s tenant=literal:all
<Location />
    Require all granted
    RaglineTenant all
</Location>
<Location /stream>
    SetHandler ragline-sse
    RaglineSubscribe all
    RaglineHeartbeat 1s
    RaglineRetry 500ms
</Location>
<Location /publish>
    SetHandler ragline-publish
    RaglinePublish all
</Location>
'''


def free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


class Server(RedisServer):
    """On a port, too, where its replica and the sentinels find it."""

    def __init__(self, directory, more):
        self.port = free_port()
        self.more = more
        os.mkdir(directory)
        os.chmod(directory, 0o755)
        super().__init__(directory, 'no')

    def start(self):
        with open(self.directory + '/redis.log', 'ab') as log:
            self.process = subprocess.Popen(
                [self.binary, '--port', str(self.port), '--bind', '127.0.0.1', '--unixsocket', self.path, '--dir',
                 self.directory, '--save', '', '--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1',
                 '--client-output-buffer-limit', 'replica', '0', '0', '0'] + self.more,
                stdout=log, stderr=log, preexec_fn=die_with_parent)

    def info(self):
        try:
            text = self.command('INFO', 'replication').decode()
        except OSError:
            return {}
        return dict(line.split(':', 1) for line in text.split('\r\n') if ':' in line)


class Sentinel(RedisServer):
    def __init__(self, directory, master):
        self.port = free_port()
        self.master = master
        os.mkdir(directory)
        super().__init__(directory, 'no')

    def start(self):
        conf = self.directory + '/sentinel.conf'
        with open(conf, 'w') as out:
            out.write('port %d\nbind 127.0.0.1\nunixsocket %s\ndir %s\nsentinel monitor %s 127.0.0.1 %d 2\n'
                      'sentinel down-after-milliseconds %s 5000\nsentinel failover-timeout %s 20000\n'
                      % (self.port, self.path, self.directory, NAME, self.master.port, NAME, NAME))
        with open(self.directory + '/redis.log', 'ab') as log:
            self.process = subprocess.Popen([self.binary, conf, '--sentinel'], stdout=log, stderr=log,
                                            preexec_fn=die_with_parent)

    def named(self):
        return int(self.command('SENTINEL', 'get-master-addr-by-name', NAME)[1])


class Httpd:
    def __init__(self, directory, options, sentinels):
        os.mkdir(directory)
        os.chmod(directory, 0o755)
        lib = subprocess.check_output([options.apxs, '-q', 'LIBEXECDIR'], text=True).strip()
        built_in = subprocess.check_output([options.httpd, '-l'], text=True)
        self.directory, self.port = directory, free_port()
        self.conf = directory + '/httpd.conf'
        with open(self.conf, 'w') as out:
            out.write(CONF % {
                'lib': lib, 'module': os.path.abspath(options.module), 'dir': directory, 'port': self.port, 'name': NAME,
                'modules': '\n'.join('LoadModule %s_module "%s/mod_%s.so"' % (name, lib, name)
                                     for name in ('authz_core',) if 'mod_%s.c' % name not in built_in),
                'user': 'User nobody\nGroup nogroup' if os.geteuid() == 0 else '', 'key': KEY,
                'sentinels': ' '.join('redis://127.0.0.1:%d' % s.port for s in sentinels)})
        with open(directory + '/output', 'ab') as log:
            self.process = subprocess.Popen([options.httpd, '-f', self.conf, '-DFOREGROUND'], stdout=log, stderr=log,
                                            preexec_fn=die_with_parent)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class Publisher(threading.Thread):
    """One of `step` that share the numbers; every second event has an event_id."""

    def __init__(self, world, port, first, step):
        super().__init__(daemon=True)
        self.world, self.port, self.n, self.step = world, port, first, step
        self.acknowledged = {}
        self.refused = self.unknown = 0

    def run(self):
        connection = None
        while not self.world.over.is_set():
            started = time.monotonic()
            more = ',"event_id":"e%d"' % self.n if self.n % 2 else ''
            body = '{"stream":"all","event_type":"n","payload":%d%s}' % (self.n, more)
            try:
                connection = connection or http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
                connection.request('POST', '/publish', body, {'Content-Type': 'application/json'})
                response = connection.getresponse()
                answer = response.read()
                if response.status == 201:
                    self.acknowledged[self.n] = time.monotonic()
                elif b'outcome_unknown' in answer:
                    self.unknown += 1
                else:
                    self.refused += 1
            except OSError:
                connection = None
                self.unknown += 1
            self.n += self.step
            time.sleep(max(0, self.world.pause - (time.monotonic() - started)))


class Reader(threading.Thread):
    def __init__(self, world, ports):
        super().__init__(daemon=True)
        self.world, self.ports = world, ports
        self.seen, self.twice, self.told = {}, 0, {}
        self.id, self.retry, self.turn = None, 0.5, 0

    def run(self):
        while not self.world.ended.is_set():
            try:
                self.read()
            except OSError:
                pass
            self.world.ended.wait(self.retry)

    def read(self):
        self.turn += 1
        with socket.create_connection(('127.0.0.1', self.ports[self.turn % len(self.ports)]), 10) as link:
            link.sendall(('GET /stream HTTP/1.1\r\nHost: localhost\r\n%s\r\n'
                          % ('Last-Event-ID: %s\r\n' % self.id if self.id else '')).encode())
            # Now and then a client goes away by itself, to the other node.
            until = time.monotonic() + 7 + self.turn % 5
            for line in link.makefile('rb'):
                self.take(line.rstrip(b'\r\n'))
                if self.world.ended.is_set() or (time.monotonic() > until and not line.strip()):
                    return

    def take(self, line):
        if line.startswith(b'id: '):
            self.new_id = line[4:].decode()
        elif line.startswith(b'retry: '):
            self.retry = int(line[7:]) / 1000
        elif line.startswith(b'data: {'):
            for word in re.findall(rb'"(?:recovery|reason|code)":"(\w+)"', line):
                self.told[word.decode()] = self.told.get(word.decode(), 0) + 1
        elif KEPT.match(line):
            n = int(line[6:])
            self.twice += n in self.seen
            self.seen[n] = 1
        elif not line and getattr(self, 'new_id', None):
            self.id = self.new_id


class World:
    def __init__(self, options):
        self.options = options
        self.over, self.ended = threading.Event(), threading.Event()
        self.pause = options.publishers / options.rate
        self.directory = tempfile.mkdtemp(prefix='ragline-failover-')
        os.chmod(self.directory, 0o755)
        more = ['--min-replicas-to-write', '1'] if options.min_replicas else []
        self.servers = [Server(self.directory + '/redis%d' % i, more) for i in (1, 2)]
        for server in self.servers:
            server.wait()
        self.servers[1].command('REPLICAOF', '127.0.0.1', self.servers[0].port)
        self.wait_for(self.in_sync, 'the replica does not follow')
        self.sentinels = [Sentinel(self.directory + '/sentinel%d' % i, self.servers[0]) for i in (1, 2, 3)]
        for sentinel in self.sentinels:
            sentinel.wait()
        self.wait_for(self.knows_replica, 'the sentinels do not see the replica')
        self.httpds = [Httpd(self.directory + '/httpd%d' % i, options, self.sentinels) for i in (1, 2)]
        self.events = []  # (command, word, demoted) of each failover

    @staticmethod
    def wait_for(condition, problem, seconds=90):
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise SystemExit(problem)
            time.sleep(0.02)

    def in_sync(self):
        one, two = (server.info() for server in self.servers)
        if one.get('role') == 'slave':
            one, two = two, one
        return (one.get('role') == 'master' and two.get('role') == 'slave'
                and two.get('master_link_status') == 'up')

    def knows_replica(self):
        for sentinel in self.sentinels:
            replicas = sentinel.command('SENTINEL', 'replicas', NAME)
            good = [r for r in replicas if r[r.index(b'flags') + 1] == b'slave'
                    and r[r.index(b'master-link-status') + 1] == b'ok']
            if len(good) != 1 or len(sentinel.command('SENTINEL', 'sentinels', NAME)) != 2:
                return False
        return True

    def fail_over(self):
        old = self.servers[0] if self.servers[0].info().get('role') == 'master' else self.servers[1]
        self.wait_for(self.knows_replica, 'the sentinels do not see the replica')
        self.sentinels[len(self.events) % 3].command('SENTINEL', 'FAILOVER', NAME)
        command = time.monotonic()
        self.wait_for(lambda: any(s.named() != old.port for s in self.sentinels), 'no failover')
        word = time.monotonic()
        self.wait_for(lambda: old.info().get('role') == 'slave', 'the old master is not made a replica')
        self.events.append((command, word, time.monotonic()))
        self.wait_for(self.in_sync, 'the old master does not follow')

    def run(self):
        ports = [httpd.port for httpd in self.httpds]
        self.publishers = [Publisher(self, ports[i % 2], i, self.options.publishers)
                           for i in range(self.options.publishers)]
        self.readers = [Reader(self, ports[i % 2:] + ports[:i % 2]) for i in range(self.options.readers)]
        for thread in self.readers:
            thread.start()
        self.wait_for(lambda: all('new' in r.told for r in self.readers), 'the readers are not served')
        for thread in self.publishers:
            thread.start()
        for i in range(self.options.failovers):
            time.sleep(1)
            self.fail_over()
            if not self.options.quiet:
                command, word, demoted = self.events[-1]
                print('failover %d: named after %.1f s, demoted %.1f s later' % (i + 1, word - command, demoted - word),
                      flush=True)
        time.sleep(2)
        self.over.set()
        for thread in self.publishers:
            thread.join()
        self.held = self.what_is_there()
        try:
            self.wait_for(lambda: all(self.held <= set(r.seen) for r in self.readers), '', 30)
        except SystemExit:
            pass
        self.ended.set()

    def what_is_there(self):
        master = next(s for s in self.servers if s.info().get('role') == 'master')
        held, start = [], '-'
        redis = Redis(master.path)
        while True:
            entries = redis('XRANGE', KEY, start, '+', 'COUNT', 10000)
            if not entries:
                break
            for _, fields in entries:
                held.append(int(fields[fields.index(b'payload') + 1]))
            start = '(' + entries[-1][0].decode()
        redis.close()
        self.doubled = len(held) - len(set(held))
        return set(held)

    def report(self):
        acknowledged = {n: at for p in self.publishers for n, at in p.acknowledged.items()}
        lost = sorted(at for n, at in acknowledged.items() if n not in self.held)
        # Of which failover: the last one that had begun, or the next one's word.
        distances = [min((at - word for _, word, _ in self.events), key=abs) for at in lost]
        after = [d for d in distances if d > 0]
        missed = sum(len(self.held - set(r.seen)) for r in self.readers)
        told = {}
        for reader in self.readers:
            for word, n in reader.told.items():
                told[word] = told.get(word, 0) + n
        gaps = []
        ordered = sorted(acknowledged.values())
        for command, word, demoted in self.events:
            window = [command] + [at for at in ordered if command <= at <= demoted] + [demoted]
            gaps.append(max(b - a for a, b in zip(window, window[1:])))
        print('failovers                 %d' % len(self.events))
        print('acknowledged              %d' % len(acknowledged))
        print('refused, outcome unknown  %d, %d' % (sum(p.refused for p in self.publishers),
                                                   sum(p.unknown for p in self.publishers)))
        print('longest without an answer %.2f s' % max(gaps, default=0))
        print('lost                      %d, %d of them before the sentinels\' word (from %.2f s before it), '
              '%d after it (to %.2f s)' % (len(lost), len(lost) - len(after), -min(distances, default=0), len(after),
                                          max(after, default=0)))
        print('written twice             %d' % self.doubled)
        print('readers                   %d; %d events missed, %d twice' % (len(self.readers), missed,
                                                                          sum(r.twice for r in self.readers)))
        print('told                      %s' % ', '.join('%s %d' % pair for pair in sorted(told.items())))
        return not missed and not self.doubled and max(after, default=0) <= 1

    def stop(self):
        for httpd in self.httpds:
            httpd.stop()
        for server in self.sentinels + self.servers:
            server.kill(9)
        if self.options.keep:
            print('logs are in %s' % self.directory)
        else:
            shutil.rmtree(self.directory)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--module', required=True)
    parser.add_argument('--httpd', default='/usr/sbin/apache2')
    parser.add_argument('--apxs', default='apxs')
    parser.add_argument('--failovers', type=int, default=100)
    parser.add_argument('--publishers', type=int, default=4)
    parser.add_argument('--readers', type=int, default=8)
    parser.add_argument('--rate', type=float, default=100, help='events a second')
    parser.add_argument('--min-replicas', action='store_true', help='min-replicas-to-write 1')
    parser.add_argument('--quiet', action='store_true')
    parser.add_argument('--keep', action='store_true', help='the logs')
    world = World(parser.parse_args())
    try:
        world.run()
        good = world.report()
    finally:
        world.stop()
    sys.exit(0 if good else 1)


if __name__ == '__main__':
    main()
