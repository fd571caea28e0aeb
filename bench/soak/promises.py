# SPDX-License-Identifier: Apache-2.0
"""Streams are trimmed, deleted from and replaced: every client gets what is there, or is told."""
import collections
import random
import time

from .cost import Cost
from .reader import Reader
from .servers import Httpd
from .world import World
from .writer import OWN, SHARED, Writer

Endpoint = collections.namedtuple('Endpoint', 'name streams lines last group', defaults=('', 0, False))

ENDPOINTS = (
    Endpoint('one', ('s0',)),
    Endpoint('other', ('s1',)),
    Endpoint('three', ('s0', 's1', 's2')),
    Endpoint('pump', ('s0', 's2'), 'RaglineHandoff off'),
    Endpoint('own', ('o',)),
    Endpoint('pair', ('o', 'p')),
    Endpoint('last', ('s1',), 'RaglineStart last=20', 20),
    Endpoint('lasts', ('s0', 's2'), 'RaglineStart last=20', 20),
    Endpoint('lastown', ('o', 'p'), 'RaglineStart last=5', 5),
    Endpoint('all', ('p',), 'RaglineStart all', 1000000),
    Endpoint('group', ('s0', 's1'), 'RaglineStart group', 0, True),
    Endpoint('groupown', ('o',), 'RaglineStart group', 0, True),
)

LOCATION = '''
<Location /%s>
    SetHandler ragline-sse
    Require all granted
    RaglineTenant "%%{req:X-Tenant}"
    RaglineSubscribe %s
    RaglineHeartbeat 2s
    RaglineRetry 500ms
    RaglineReplayLimit 10000000
    %s
</Location>
'''

KINDS = ('steady', 'any id', 'away', 'cut', 'any id', 'stalled')


def configuration(cache):
    return 'RaglineCache %s\n' % cache + ''.join(
        'RaglineStream %s soak:%s\n' % (name, name) for name in SHARED) + ''.join(
        'RaglineStream %s soak:{tenant}:%s\n' % (name, name) for name in OWN) + ''.join(
        LOCATION % (endpoint.name, ' '.join(endpoint.streams), endpoint.lines) for endpoint in ENDPOINTS)


class Promises(World):
    def __init__(self, options, directory):
        super().__init__(options, directory)
        self.tenants = ['t%d' % i for i in range(options.tenants)]
        self.writer = Writer(options, self.redis, self.tenants)
        self.failures, self.soft, self.resets = {}, {}, {}
        self.trouble = []          # when Redis was away: [from, until]
        self.healthy_since = time.monotonic()
        self.writing = False
        self.due = self.next_op = self.next_work = self.next_watch = self.next_sample = 0.0
        self.groups = {}
        self.waits = []
        self.idles = []
        self.httpds = [Httpd(directory + '/a', options, self.redis, configuration(options.cache), 2),
                       Httpd(directory + '/b', options, self.redis, configuration('1MB'), 1)]
        self.cost = Cost(self)
        for i in range(options.clients):
            endpoint = ENDPOINTS[i % len(ENDPOINTS)]
            kind = KINDS[i // len(ENDPOINTS) % len(KINDS)]
            if (endpoint.last or endpoint.group) and random.random() < 0.6:
                kind = 'no id'
            self.clients.append(Reader(self, kind, random.choice(self.tenants), endpoint))

    # --- what clients say ---

    def failed(self, what, client, detail):
        known = self.failures.setdefault(what, [])
        known.append(detail)
        if len(known) <= 5:
            self.say('FAILED: %s: %s\n         %s' % (what, detail, client.about()))
            now = time.monotonic()
            for key in client.keys:
                print('         %s: %s' % (key.name, '; '.join(
                    '%.2f s ago %s' % (now - when, note) for when, note in key.last)))

    def excuse(self, when, seconds):
        """How old may be what a child does not know yet?"""
        for begin, end in self.trouble:
            if begin < when and (end is None or end > when - 10):
                return when - begin + seconds
        return seconds

    def latency(self, client, entry):
        if client.kind == 'steady' and not client.counting:
            self.waits.append(time.monotonic() - entry.at)

    def group_received(self, client):
        known = self.groups.setdefault((client.path, client.tenant), [None] * len(client.keys))
        for k, place in enumerate(client.position):
            known[k] = max(known[k] or place, place)

    def group_begins(self, client, kind):
        """Nothing is left out that came while nobody was there."""
        now = time.monotonic()
        others = [other for other in self.clients if other.path == client.path and other.tenant == client.tenant
                  and other is not client]
        known = self.groups.get((client.path, client.tenant))
        if known and not any(other.socket for other in others):
            since = max(other.left for other in others + [client])
            for key, place, had in zip(client.keys, client.position, known):
                for entry in key.between(client.tenant, had or place, place):
                    if entry.at > since + 1 and not entry.deleted and not key.replaced_since(entry.at):
                        client.fail('the group leaves out', '%s of %s, by %s' % (entry, key.name, kind))
        self.group_received(client)

    # --- Redis is away ---

    def disturb(self):
        now = time.monotonic()
        self.trouble.append([now, None])
        self.healthy_since = now + 1e9

    def do_redis_kill(self):
        self.disturb()
        super().do_redis_kill()

    def do_redis_restart(self):
        self.disturb()
        super().do_redis_restart()

    def do_redis_pause(self):
        self.disturb()
        super().do_redis_pause()

    def do_redis_cut(self):
        self.disturb()
        super().do_redis_cut()

    def is_healthy(self, now):
        if self.busy or not self.writer.ready():
            return False
        if self.trouble and self.trouble[-1][1] is None:
            for one in self.trouble:
                one[1] = one[1] or now
            self.healthy_since = now
        return True

    # --- the run ---

    def turn(self, now):
        if now >= self.next_sample:
            self.next_sample = now + 5
            self.cost.sample_memory(now - self.started)
        if now >= self.next_watch:
            self.next_watch = now + 0.5
            for client in self.clients:
                client.watch(now)
        if not self.writing:
            self.due = now
            return
        if not self.is_healthy(now):
            self.due = now
            return
        count = int((now - self.due) * self.options.rate)
        if count:
            self.due += count / self.options.rate
            self.writer.write(min(count, 200))
        if now >= self.next_op:
            self.next_op = now + random.expovariate(self.options.ops_rate)
            self.writer.act()
        if now >= self.next_work:
            self.next_work = now + random.uniform(0.02, 0.3)
            self.writer.work(now)

    def idle(self, seconds=2.0):
        """Nothing is written and nobody does anything: nor may the servers."""
        chaos, self.chaos, self.writing = self.chaos, False, False
        while self.busy or not self.is_healthy(time.monotonic()):
            self.step(0.5)
        self.step(5)  # what was in the way is over: who has to catch up does so
        before = self.cost.take()
        began = time.monotonic()
        self.step(seconds)
        took = time.monotonic() - began
        commands, redis, httpd = ((b - a) / took for a, b in zip(before, self.cost.take()))
        self.idles.append((commands, redis, httpd))
        if commands > self.options.spin_commands or max(redis, httpd) > self.options.spin_cpu:
            self.failures.setdefault('spin', []).append('')
            self.say('FAILED: spin: in an idle second %d commands, CPU of Redis %.2f s, of httpd %.2f s; %s' % (
                commands, redis, httpd, self.cost.names()))
        self.chaos, self.writing = chaos, True

    def run(self):
        options = self.options
        while not all(client.greeted for client in self.clients):
            self.step(0.1)
            if time.monotonic() > self.started + 60:
                raise SystemExit('not all clients could connect: %s %s' % (self.odd, self.errors))
        self.say('%d clients of %d tenants are connected' % (len(self.clients), len(self.tenants)))
        self.idle()
        before = self.cost.take()
        self.chaos = not options.calm
        end = time.monotonic() + options.seconds
        next_idle = time.monotonic() + 15
        while time.monotonic() < end:
            self.step(min(random.uniform(*options.every), max(0.1, end - time.monotonic())))
            if time.monotonic() > next_idle:
                self.idle()
                next_idle = time.monotonic() + 20
            if self.chaos and time.monotonic() < end - 2:
                self.act()
        self.chaos = self.writing = False
        while self.later or not self.is_healthy(time.monotonic()):
            self.step(0.1)
        after = self.cost.take()
        self.say('the end: waiting for every client to have everything, or to be told')
        until = time.monotonic() + options.settle
        while time.monotonic() < until and any(client.position is None or client.behind() for client in self.clients):
            self.step(0.2)
        for client in self.clients:
            behind = client.behind()
            if behind or client.position is None:
                client.fail('never', str(behind or 'not connected'))
            client.close(0)
        self.writer.check()
        names = self.cost.names()
        for httpd in self.httpds:
            httpd.stop()
        return self.report([b - a for a, b in zip(before, after)], names)

    def report(self, spent, names):
        delivered = sum(client.delivered for client in self.clients)
        print()
        print('written %d, delivered %d, %d connections; done to streams: %s' % (
            self.writer.added, delivered, sum(client.connects for client in self.clients), self.writer.counts))
        print('actions    %s' % self.done)
        print('verdicts   %s' % self.verdicts)
        print('resets     %s  (also within a stream)' % self.resets)
        print('errors     %s  (told to clients)' % self.errors)
        print('by design  %s' % self.soft)
        if self.waits:
            waits = sorted(self.waits)
            print('delay      of events to who is there: median %.0f ms, 99 of 100 %.0f ms, most %.0f ms' % tuple(
                1000 * waits[min(len(waits) - 1, int(len(waits) * part))] for part in (0.5, 0.99, 1)))
        print('cost       per event written: %.2f commands, CPU of Redis %.0f us, of httpd %.0f us; per event delivered: '
              'httpd %.0f us' % (spent[0] / self.writer.added, 1e6 * spent[1] / self.writer.added,
                                 1e6 * spent[2] / self.writer.added, 1e6 * spent[2] / max(1, delivered)))
        for name, k, unit in (('commands', 0, ''), ('Redis', 1, ' s'), ('httpd', 2, ' s')):
            print('idle       %s in a second: %s' % (name, ', '.join(
                '%.*f%s' % (0 if k == 0 else 2, one[k], unit) for one in self.idles)))
        print('commands   %s' % names)
        self.cost.report_memory()
        crashes = [line for httpd in self.httpds for line in httpd.crashes()]
        print('crashes    %d' % len(crashes))
        for line in crashes[:10]:
            print('  ' + line)
        if self.odd:
            print('odd heads  %s' % self.odd)
        for what, details in sorted(self.failures.items()):
            print('%5d times: %s' % (len(details), what))
        failed = bool(self.failures or crashes or self.odd)
        print('FAILED' if failed else 'nothing untold, nothing twice, nothing out of order')
        return 1 if failed else 0
