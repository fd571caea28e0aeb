#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether an event is ever lost, doubled or out of order, whatever breaks meanwhile.

Starts a Redis server and an httpd of its own, publishes numbered events, reads them with clients that
come back as browsers do, and breaks things at random: see bench/README.md for what counts. Python's
standard library only. Exit status 0: nothing lost, nothing twice, nothing out of order, no crash.
"""
import argparse
import errno
import os
import random
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

STREAMS = 3
CHUNK = 65536
TOLD = re.compile(rb'"code":"(\w+)"')
VERDICT = re.compile(rb'"recovery":"(\w+)"(?:,"reason":"(\w+)")?')
NUMBER = re.compile(rb'"t":"(\w+)","s":(\d+),"n":(\d+)')


# --- Redis: a few words of its protocol ---------------------------------------------------------------

class Redis:
    """A blocking connection; any trouble is an OSError."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile('rb')

    @staticmethod
    def encode(*words):
        parts = [b'*%d\r\n' % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b'$%d\r\n%s\r\n' % (len(word), word))
        return b''.join(parts)

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b'\r\n'):
            raise OSError(errno.ECONNRESET, 'Redis closed the connection')
        kind, rest = line[:1], line[1:-2]
        if kind == b'-':
            raise OSError(errno.EPROTO, rest.decode())
        if kind == b'$':
            size = int(rest)
            return self.file.read(size + 2)[:-2] if size >= 0 else None
        if kind == b'*':
            return [self.reply() for _ in range(int(rest))]
        return rest

    def __call__(self, *words):
        self.socket.sendall(self.encode(*words))
        return self.reply()

    def close(self):
        self.file.close()
        self.socket.close()


def publish(path, tenants, rate, size, report):
    """A process of its own: what Redis acknowledged, and what it did not, goes to the file."""
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    numbers = {}
    unknown = []
    acknowledged = turn = 0
    fill = 'x' * size
    redis = None
    started = time.monotonic()
    lag = 0.0
    while not ended:
        due = int((time.monotonic() - started - lag) * rate) - turn
        if due <= 0:
            time.sleep(0.002)
            continue
        asked = []
        try:
            redis = redis or Redis(path)
            out = []
            for _ in range(min(due, 200)):
                tenant, s = tenants[turn % len(tenants)], (turn // len(tenants)) % STREAMS
                n = numbers[tenant, s] = numbers.get((tenant, s), 0) + 1
                turn += 1
                asked.append((tenant, s, n))
                out.append(Redis.encode('XADD', 'soak:%d' % s, '*', 'tenant_id', tenant, 'event_type', 'n',
                                        'payload', '{"t":"%s","s":%d,"n":%d,"p":"%s"}' % (tenant, s, n, fill)))
            redis.socket.sendall(b''.join(out))
            while asked:
                redis.reply()
                acknowledged += 1
                asked.pop(0)
        except OSError:
            unknown += asked
            redis = None
            before = time.monotonic()
            time.sleep(0.05)
            lag += time.monotonic() - before
    with open(report, 'w') as out:
        out.write('%d\n' % acknowledged)
        for (tenant, s), n in numbers.items():
            out.write('last %s %d %d\n' % (tenant, s, n))
        for tenant, s, n in unknown:
            out.write('unknown %s %d %d\n' % (tenant, s, n))


# --- servers --------------------------------------------------------------------------------------------

def die_with_parent():
    """prctl(PR_SET_PDEATHSIG): nothing outlives this program."""
    os.setsid()
    try:
        import ctypes
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    except (OSError, AttributeError):
        pass


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
StartServers 2
ServerLimit 18
ThreadLimit 64
ThreadsPerChild 64
MaxRequestWorkers 128
MinSpareThreads 1
MaxSpareThreads 192
GracefulShutdownTimeout 20
RaglineRedis unix://%(dir)s/redis.sock
RaglineDrain 2s
%(streams)s
%(extra)s
'''

LOCATION = '''
<Location /%(name)s>
    SetHandler ragline-sse
    Require all granted
    RaglineTenant "%%{req:X-Tenant}"
    RaglineSubscribe %(streams)s
    RaglineHeartbeat 2s
    RaglineRetry 500ms
    RaglineHandoff %(handoff)s
    %(limit)s
</Location>
'''


class Httpd:
    def __init__(self, directory, options):
        self.directory = directory
        lib = subprocess.check_output([options.apxs, '-q', 'LIBEXECDIR'], text=True).strip()
        with socket.socket() as found:
            found.bind(('127.0.0.1', 0))
            self.port = found.getsockname()[1]
        os.mkdir(directory + '/htdocs')
        built_in = subprocess.check_output([options.httpd, '-l'], text=True)
        modules = ['LoadModule %s_module "%s/mod_%s.so"' % (name, lib, name)
                   for name in ('authz_core', 'authz_host', 'headers', 'setenvif')
                   if 'mod_%s.c' % name not in built_in]
        names = ['s%d' % s for s in range(STREAMS)]
        with open(options.module, 'rb') as module:
            limit = 'RaglineReplayLimit 10000000' if b'RaglineReplayLimit' in module.read() else ''
        locations = [('one', 's0', 'auto'), ('three', ' '.join(names), 'auto'), ('pump', ' '.join(names), 'off')]
        text = CONF % {
            'lib': lib, 'modules': '\n'.join(modules), 'module': os.path.abspath(options.module),
            'user': 'User nobody\nGroup nogroup' if os.geteuid() == 0 else '',
            'dir': directory, 'port': self.port, 'extra': options.conf,
            'streams': '\n'.join('RaglineStream s%d soak:%d' % (s, s) for s in range(STREAMS)),
        } + ''.join(LOCATION % {'name': name, 'streams': streams, 'handoff': handoff,
                               'limit': limit}
                    for name, streams, handoff in locations)
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
        def private(pid):
            try:
                with open('/proc/%d/smaps_rollup' % pid) as rollup:
                    return sum(int(line.split()[1]) for line in rollup if line.startswith('Private_'))
            except OSError:
                return 0
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


# --- clients ----------------------------------------------------------------------------------------------

class Client:
    """Comes back with its last id after `retry:`, checks every number."""

    def __init__(self, world, kind, tenant, path, streams):
        self.world, self.kind, self.tenant, self.path, self.streams = world, kind, tenant, path, streams
        self.socket = None
        self.id = None
        self.retry = 0.5
        self.again = 0.0
        self.stalled_until = 0.0
        self.last = [0] * STREAMS
        self.missing = set()
        self.foreign = self.delivered = self.duplicated = self.disordered = self.connects = 0
        self.resets = []
        self.greeted = False
        self.next_act = time.monotonic() + random.uniform(3, 15)

    def connect(self):
        self.connects += 1
        self.buffer = b''
        self.in_head = True
        self.socket = socket.socket()
        self.socket.setblocking(False)
        if self.kind == 'stalled':
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self.socket.connect_ex(('127.0.0.1', self.world.port))
        self.request = ('GET /%s HTTP/1.1\r\nHost: localhost\r\nX-Tenant: %s\r\n%s\r\n' % (
            self.path, self.tenant, 'Last-Event-ID: %s\r\n' % self.id if self.id else '')).encode()
        self.world.selector.register(self.socket, selectors.EVENT_WRITE, self)

    def close(self, delay, reset=False):
        if not self.socket:
            return
        if not self.stalled_until:
            self.world.selector.unregister(self.socket)
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        self.socket.close()
        self.socket = None
        self.stalled_until = 0.0
        self.again = time.monotonic() + delay

    def stall(self, seconds):
        if self.socket and not self.request and not self.stalled_until:
            self.world.selector.unregister(self.socket)
            self.stalled_until = time.monotonic() + seconds

    def tick(self, now):
        if self.stalled_until and now >= self.stalled_until:
            self.stalled_until = 0.0
            self.world.selector.register(self.socket, selectors.EVENT_READ, self)
        if not self.socket and now >= self.again:
            self.connect()
        if now >= self.next_act and self.world.chaos:
            self.next_act = now + random.uniform(3, 15)
            if self.kind == 'cut':
                self.close(0.0, reset=random.random() < 0.5)
            elif self.kind == 'away':
                self.close(random.choice((1, 5, self.world.options.away)) * random.random())
            elif self.kind == 'stalled':
                self.stall(random.uniform(1, 20))

    def on_ready(self):
        try:
            if self.request:
                sent = self.socket.send(self.request)
                self.request = self.request[sent:]
                if not self.request:
                    self.world.selector.modify(self.socket, selectors.EVENT_READ, self)
                return
            # Any size, so that a connection is cut anywhere.
            data = self.socket.recv(random.randint(1, CHUNK) if self.kind == 'cut' else CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b''
        if not data:
            self.close(self.retry * random.uniform(1, 1.2))
            return
        self.buffer += data
        if self.in_head and not self.take_head():
            return
        *frames, self.buffer = self.buffer.split(b'\n\n')
        for frame in frames:
            self.on_frame(frame)

    def take_head(self):
        end = self.buffer.find(b'\r\n\r\n')
        if end < 0:
            return False
        head, self.buffer = self.buffer[:end].lower(), self.buffer[end + 4:]
        if not head.startswith(b'http/1.1 200') or b'transfer-encoding' in head:
            self.world.odd[head.split(b'\r\n')[0].decode()] = self.world.odd.get(head, 0) + 1
        self.in_head = False
        return True

    def on_frame(self, frame):
        event = b''
        data = b''
        for line in frame.split(b'\n'):
            if line.startswith(b'data: '):
                data = line[6:]
            elif line.startswith(b'id: '):
                self.id = line[4:].decode()
            elif line.startswith(b'event: '):
                event = line[7:]
            elif line.startswith(b'retry: '):
                self.retry = int(line[7:]) / 1000
        if event == b'n':
            self.on_number(data)
        elif event == b'connected':
            verdict = VERDICT.search(data)
            text = b'/'.join(part for part in verdict.groups() if part).decode() if verdict else '?'
            self.world.verdicts[text] = self.world.verdicts.get(text, 0) + 1
            if text != ('resumed' if self.greeted else 'new'):
                self.resets.append(text)
            self.greeted = True
        elif event == b'reset':
            self.resets.append('in the stream: ' + data.decode())
        elif event == b'error':
            code = TOLD.search(data)
            code = code.group(1).decode() if code else '?'
            self.world.errors[code] = self.world.errors.get(code, 0) + 1

    def on_number(self, data):
        found = NUMBER.match(data, 1)
        s, n = int(found.group(2)), int(found.group(3))
        self.delivered += 1
        if found.group(1).decode() != self.tenant or s not in self.streams:
            self.foreign += 1
            return
        last = self.last[s]
        if n == last + 1:
            self.last[s] = n
        elif n > last:
            self.missing.update((s, missing) for missing in range(last + 1, n))
            self.last[s] = n
        elif (s, n) in self.missing:
            self.disordered += 1
            self.missing.remove((s, n))
        else:
            self.duplicated += 1

    def has_all(self, truth):
        return all(self.last[s] >= truth.last(self.tenant, s) for s in self.streams)

    def lost(self, truth):
        count = sum(1 for s, n in self.missing if truth.has(self.tenant, s, n))
        for s in self.streams:
            count += sum(1 for n in range(self.last[s] + 1, truth.last(self.tenant, s) + 1)
                         if truth.has(self.tenant, s, n))
        return count


class Truth:
    """What Redis holds at the end."""

    def __init__(self, server):
        self.numbers = {}
        redis = Redis(server.path)
        for s in range(STREAMS):
            after = '-'
            while True:
                entries = redis('XRANGE', 'soak:%d' % s, after, '+', 'COUNT', 5000)
                for _, fields in entries:
                    self.numbers.setdefault((fields[1].decode(), s), set()).add(
                        int(NUMBER.match(fields[5], 1).group(3)))
                if len(entries) < 5000:
                    break
                after = '(' + entries[-1][0].decode()
        redis.close()

    def last(self, tenant, s):
        return max(self.numbers.get((tenant, s), {0}))

    def has(self, tenant, s, n):
        return n in self.numbers.get((tenant, s), ())

    def count(self):
        return sum(len(numbers) for numbers in self.numbers.values())


# --- the run ------------------------------------------------------------------------------------------------

class World:
    def __init__(self, options, directory):
        self.options = options
        self.selector = selectors.DefaultSelector()
        self.verdicts, self.errors, self.odd, self.done = {}, {}, {}, {}
        self.memory = []
        self.chaos = False
        self.later = []  # (when, what): the second half of an action
        self.redis = RedisServer(directory, options.fsync)
        self.redis.wait()
        self.httpd = Httpd(directory, options)
        self.port = self.httpd.port
        self.directory = directory
        self.tenants = ['t%d' % i for i in range(options.tenants)]
        kinds = ('steady', 'cut', 'stalled', 'away')
        paths = (('one', (0,)), ('three', range(STREAMS)), ('three', range(STREAMS)))
        self.clients = []
        for i in range(options.clients):
            path, streams = paths[i % len(paths)]
            kind = kinds[(i // len(paths)) % len(kinds)]
            self.clients.append(Client(self, kind, self.tenants[i % len(self.tenants)], path, streams))
        for i in range(min(8, options.clients // 10)):
            self.clients.append(Client(self, 'pump', self.tenants[i % len(self.tenants)], 'pump', range(STREAMS)))

    def say(self, text):
        print('%7.1f  %s' % (time.monotonic() - self.started, text), flush=True)

    def step(self, seconds):
        until = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            for client in self.clients:
                client.tick(now)
            for key, _ in self.selector.select(0.02):
                if key.fileobj is key.data.socket:
                    key.data.on_ready()
            for item in [item for item in self.later if item[0] <= now]:
                self.later.remove(item)
                item[1]()
            if now >= self.next_sample:
                self.next_sample = now + 5
                self.memory.append((now - self.started,) + self.httpd.memory())
            if now >= until:
                return

    # The actions. Each comes with what is to be done later to undo it.

    def do_redis_kill(self):
        self.redis.kill(signal.SIGKILL)
        self.redis_back()

    def do_redis_restart(self):
        self.redis.kill(signal.SIGTERM)
        self.redis_back()

    def redis_back(self):
        self.busy = True

        def back():
            self.redis.start()
            self.busy = False
        self.later.append((time.monotonic() + random.choice((0, 0.5, 3, 6)) * random.random(), back))

    def do_redis_pause(self):
        self.busy = True
        self.redis.process.send_signal(signal.SIGSTOP)

        def go_on():
            self.redis.process.send_signal(signal.SIGCONT)
            self.busy = False
        self.later.append((time.monotonic() + random.uniform(0.5, 10), go_on))

    def do_redis_cut(self):
        try:
            self.redis.command('CLIENT', 'KILL', 'TYPE', 'normal')
        except OSError:
            pass

    def do_httpd_kill_child(self):
        children = self.httpd.children()
        if children:
            os.kill(random.choice(children), signal.SIGKILL)

    def do_httpd_graceful(self):
        self.httpd.control('graceful')

    def do_stall_many(self):
        for client in random.sample(self.clients, len(self.clients) // 3):
            client.stall(random.uniform(1, 10))

    def do_cut_all(self):
        for client in self.clients:
            client.close(random.uniform(0, 0.5), reset=True)

    def act(self):
        actions = [name for name in dir(self) if name.startswith('do_')]
        if self.options.only:
            actions = ['do_' + name for name in self.options.only.split(',')]
        if self.busy:
            actions = [name for name in actions if not name.startswith('do_redis')]
        if actions:
            name = random.choice(actions)
            self.done[name[3:]] = self.done.get(name[3:], 0) + 1
            self.say(name[3:].replace('_', ' '))
            getattr(self, name)()

    def run(self):
        options = self.options
        self.started = time.monotonic()
        self.next_sample = 0.0
        self.busy = False
        while not all(client.greeted for client in self.clients):
            self.step(0.1)
            if time.monotonic() > self.started + 60:
                raise SystemExit('not all clients could connect: %s %s' % (self.odd, self.errors))
        self.say('%d clients of %d tenants are connected' % (len(self.clients), len(self.tenants)))
        report = self.directory + '/published'
        publisher = os.fork()
        if publisher == 0:
            status = 1
            try:
                publish(self.redis.path, self.tenants, options.rate, options.size, report)
                status = 0
            finally:
                os._exit(status)
        self.chaos = not options.calm
        end = time.monotonic() + options.seconds
        try:
            while time.monotonic() < end:
                self.step(min(random.uniform(*options.every), max(0.1, end - time.monotonic())))
                if self.chaos and time.monotonic() < end - 2:
                    self.act()
        finally:
            os.kill(publisher, signal.SIGCONT)
            while self.later:
                self.step(0.1)
            self.redis.wait()
            os.kill(publisher, signal.SIGTERM)
        _, status = os.waitpid(publisher, 0)
        if status:
            raise SystemExit('the publisher failed')
        self.chaos = False
        truth = Truth(self.redis)
        self.say('the end: waiting for every client to have everything')
        until = time.monotonic() + options.settle
        while time.monotonic() < until and not all(client.has_all(truth) for client in self.clients):
            self.step(0.2)
        for client in self.clients:
            client.close(0)
        self.httpd.stop()
        return self.report(truth, report)

    def report(self, truth, report):
        acknowledged, unknown, last = 0, set(), {}
        for line in open(report):
            words = line.split()
            if words[0] == 'unknown':
                unknown.add((words[1], int(words[2]), int(words[3])))
            elif words[0] == 'last':
                last[words[1], int(words[2])] = int(words[3])
            else:
                acknowledged = int(words[0])
        forgotten = sum(1 for (tenant, s), top in last.items() for n in range(1, top + 1)
                        if not truth.has(tenant, s, n) and (tenant, s, n) not in unknown)
        print()
        print('acknowledged by Redis   %d' % acknowledged)
        print('  of these not there    %d  (acknowledged, and then lost by Redis itself)' % forgotten)
        print('without an answer       %d  (in flight when Redis was killed)' % len(unknown))
        print('in Redis at the end     %d' % truth.count())
        print()
        print('%-10s %8s %9s %10s %6s %10s %12s %7s' % ('clients', 'number', 'connects', 'delivered', 'lost',
                                                       'duplicated', 'out of order', 'resets'))
        failed = forgotten and self.options.fsync == 'always'
        for kind in ('steady', 'cut', 'stalled', 'away', 'pump'):
            some = [client for client in self.clients if client.kind == kind]
            if not some:
                continue
            lost = sum(client.lost(truth) for client in some)
            twice = sum(client.duplicated for client in some)
            disordered = sum(client.disordered for client in some)
            resets = sum(len(client.resets) for client in some)
            print('%-10s %8d %9d %10d %6d %10d %12d %7d' % (
                kind, len(some), sum(client.connects for client in some),
                sum(client.delivered for client in some), lost, twice, disordered, resets))
            foreign = sum(client.foreign for client in some)
            if foreign:
                print('  of these %d for other tenants or of other streams' % foreign)
            failed = failed or lost or twice or disordered or resets or foreign
        for client in self.clients:
            if client.lost(truth) or client.duplicated or client.disordered or client.resets:
                print('  %s %s /%s: lost %d, twice %d, out of order %d, %s' % (
                    client.kind, client.tenant, client.path, client.lost(truth), client.duplicated,
                    client.disordered, client.resets[:3]))
        print()
        print('actions    %s' % self.done)
        print('verdicts   %s' % self.verdicts)
        print('errors     %s  (told to clients)' % self.errors)
        if self.odd:
            print('odd heads  %s' % self.odd)
            failed = True
        self.report_memory()
        crashes = self.httpd.crashes()
        print('crashes    %d' % len(crashes))
        for line in crashes[:10]:
            print('  ' + line)
        failed = bool(failed or crashes)
        print('FAILED' if failed else 'nothing lost, nothing twice, nothing out of order')
        return 1 if failed else 0


    def report_memory(self):
        """Children that were killed or reloaded begin anew: theirs is worth comparing with --only."""
        def median(sizes):
            return sorted(sizes)[len(sizes) // 2]
        print('memory     private, in kB: medians of each tenth of the run')
        print('           %9s %9s %9s %12s %12s' % ('until', 'parent', 'children', 'most of them', 'for each one'))
        tenth = max(1, (len(self.memory) + 9) // 10)
        for at in range(0, len(self.memory), tenth):
            some = self.memory[at:at + tenth]
            print('           %7d s %9d %9d %12d %12d' % (
                some[-1][0], median([one[1] for one in some]), median([one[2] for one in some]),
                max(one[2] for one in some), median([one[2] // max(1, one[3]) for one in some])))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--module', required=True, help='mod_ragline_stream.so')
    parser.add_argument('--httpd', default=shutil.which('apache2') or shutil.which('httpd') or '/usr/sbin/apache2')
    parser.add_argument('--apxs', default=shutil.which('apxs') or shutil.which('apxs2') or 'apxs')
    parser.add_argument('--seconds', type=float, default=30)
    parser.add_argument('--clients', type=int, default=120)
    parser.add_argument('--tenants', type=int, default=12)
    parser.add_argument('--rate', type=float, default=600, help='events a second, all tenants together')
    parser.add_argument('--size', type=int, default=200, help='bytes of filling in each event')
    parser.add_argument('--every', type=float, nargs=2, default=(1, 6), metavar=('MIN', 'MAX'),
                        help='seconds between two actions')
    parser.add_argument('--away', type=float, default=45, help='seconds that some stay away at most')
    parser.add_argument('--settle', type=float, default=60, help='seconds to get everything at the end')
    parser.add_argument('--fsync', default='always', choices=('always', 'everysec'))
    parser.add_argument('--only', help='these actions, with commas: ' + ', '.join(
        name[3:] for name in dir(World) if name.startswith('do_')))
    parser.add_argument('--calm', action='store_true', help='no action at all')
    parser.add_argument('--conf', default='', help='further directives for httpd.conf')
    parser.add_argument('--seed', type=int, help='of the random actions')
    parser.add_argument('--keep', action='store_true', help='keep the directory with the logs')
    options = parser.parse_args()
    random.seed(options.seed)
    directory = tempfile.mkdtemp(prefix='ragline-soak-', dir=os.environ.get('TMPDIR', '/tmp'))
    os.chmod(directory, 0o755)
    world = None
    status = 1
    try:
        world = World(options, directory)
        status = world.run()
    finally:
        if world:
            for process in (world.httpd.process, world.redis.process):
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
                    process.terminate()
                    process.wait()
        if status and not options.keep:
            print('the logs are in %s' % directory)
        elif not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    return status


if __name__ == '__main__':
    sys.exit(main())
