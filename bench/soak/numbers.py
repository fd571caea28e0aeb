# SPDX-License-Identifier: Apache-2.0
"""Nothing is removed: every client has every number, once, whatever breaks meanwhile."""
import os
import random
import re
import signal
import time

from .redis import Redis
from .servers import Httpd
from .stream import Stream
from .world import World

STREAMS = 3
NUMBER = re.compile(rb'"t":"(\w+)","s":(\d+),"n":(\d+)')

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


def configuration(options):
    names = ['s%d' % s for s in range(STREAMS)]
    with open(options.module, 'rb') as module:
        limit = 'RaglineReplayLimit 10000000' if b'RaglineReplayLimit' in module.read() else ''
    locations = (('one', 's0', 'auto'), ('three', ' '.join(names), 'auto'), ('pump', ' '.join(names), 'off'))
    return ''.join('RaglineStream s%d soak:%d\n' % (s, s) for s in range(STREAMS)) + ''.join(
        LOCATION % {'name': name, 'streams': streams, 'handoff': handoff, 'limit': limit}
        for name, streams, handoff in locations)


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


class Client(Stream):
    """Checks every number."""

    def __init__(self, world, kind, tenant, path, streams):
        super().__init__(world, kind, tenant, path)
        self.streams = streams
        self.last = [0] * STREAMS
        self.missing = set()
        self.foreign = self.duplicated = self.disordered = 0
        self.resets = []
        self.greeted = False

    def on_connected(self, verdict):
        if verdict != ('resumed' if self.greeted else 'new'):
            self.resets.append(verdict)
        self.greeted = True

    def on_frame(self, event, data):
        if event == b'n':
            self.on_number(data)
        elif event == b'reset':
            self.resets.append('in the stream: ' + data.decode())

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


class Numbers(World):
    def __init__(self, options, directory):
        super().__init__(options, directory)
        self.memory = []
        self.next_sample = 0.0
        self.httpd = Httpd(directory, options, self.redis, configuration(options))
        self.httpds = [self.httpd]
        self.port = self.httpd.port
        self.tenants = ['t%d' % i for i in range(options.tenants)]
        kinds = ('steady', 'cut', 'stalled', 'away')
        paths = (('one', (0,)), ('three', range(STREAMS)), ('three', range(STREAMS)))
        for i in range(options.clients):
            path, streams = paths[i % len(paths)]
            kind = kinds[(i // len(paths)) % len(kinds)]
            self.clients.append(Client(self, kind, self.tenants[i % len(self.tenants)], path, streams))
        for i in range(min(8, options.clients // 10)):
            self.clients.append(Client(self, 'pump', self.tenants[i % len(self.tenants)], 'pump', range(STREAMS)))

    def turn(self, now):
        if now >= self.next_sample:
            self.next_sample = now + 5
            self.memory.append((now - self.started,) + self.httpd.memory())

    def run(self):
        options = self.options
        self.started = time.monotonic()
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
