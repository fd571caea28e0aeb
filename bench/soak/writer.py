# SPDX-License-Identifier: Apache-2.0
"""Who writes, trims, deletes and replaces, and enters it in the ledger."""
import random
import time

from .ledger import Key
from .redis import Redis

SHARED = ('s0', 's1', 's2')
OWN = ('o', 'p')
COMMANDS = ('xadd', 'xtrim', 'xdel', 'copy', 'rename', 'restore', 'dump', 'del', 'multi', 'exec', 'info', 'ping',
            'client|kill')


def parse(id):
    ms, seq = id.split(b'-')
    return int(ms), int(seq)


def text(id):
    return '%d-%d' % id


class Writer:
    def __init__(self, options, redis, tenants):
        self.options, self.server, self.tenants = options, redis, tenants
        self.redis = None
        self.keys = {name: Key('soak:' + name) for name in SHARED}
        for tenant in tenants:
            for name in OWN:
                self.keys[name, tenant] = Key('soak:%s:%s' % (tenant, name), tenant)
        self.all = list(self.keys.values())
        self.added = 0
        self.counts = {}
        self.ops = [name for name in dir(self) if name.startswith('op_')]
        if options.ops:
            self.ops = ['op_' + name for name in options.ops.split(',')]

    def key(self, name, tenant):
        return self.keys[name] if name in self.keys else self.keys[name, tenant]

    # One at a time, each with its answer: what Redis did is known whatever happens to it later.

    def ask(self, *commands):
        for attempt in (0, 1):
            try:
                self.redis = self.redis or Redis(self.server.path)
                if attempt or self.redis('PING'):
                    break
            except OSError:  # CLIENT KILL, or a restart
                self.redis = None
                if attempt:
                    raise
        self.redis.socket.sendall(b''.join(Redis.encode(*words) for words in commands))
        return [self.redis.reply() for _ in commands]

    def ready(self):
        try:
            return self.ask(('PING',)) == [b'PONG']
        except OSError:
            return False

    def transaction(self, *commands):
        return self.ask(('MULTI',), *commands, ('EXEC',))[-1]

    def word(self, key, id, tenant, n, size):
        return ('XADD', key.name, id, 'tenant_id', tenant, 'event_type', 'n', 'payload',
                '{"k":"%s","t":"%s","n":%d,"p":"%s"}' % (key.name, tenant, n, 'x' * size))

    def whose(self, key, count, tenant=None):
        """Tenants for so many entries; also some that nobody reads, to fill caches."""
        if key.tenant or tenant:
            return [key.tenant or tenant] * count
        return [random.choice(self.tenants) if random.random() < 0.8 else 'f%d' % random.randrange(30)
                for _ in range(count)]

    def words(self, key, tenants, size, ids=None):
        numbers = {}
        words = []
        for i, tenant in enumerate(tenants):
            n = numbers[tenant] = numbers.get(tenant, key.number(tenant) - 1) + 1
            words.append(self.word(key, text(ids[i]) if ids else '*', tenant, n, size))
        self.added += len(tenants)
        return words

    @staticmethod
    def enter(key, tenants, replies):
        return [key.add(parse(reply), tenant) for tenant, reply in zip(tenants, replies)]

    def next_ids(self, key, count):
        """For a MULTI that names them: as '*' would, and above all that there ever was."""
        top = max([key.top] + list(key.highest.values()))
        ms, seq = max((int(time.time() * 1000), 0), (top[0], top[1] + 1))
        return [(ms, seq + i) for i in range(count)]

    def add(self, key, count, size=None):
        tenants = self.whose(key, count)
        size = random.choice((20, 200, 1000)) if size is None else size
        self.enter(key, tenants, self.ask(*self.words(key, tenants, size)))

    def write(self, count):
        """What comes all the time."""
        for _ in range(count):
            self.add(self.choose(), 1)

    def choose(self):
        return random.choice(self.all if random.random() < 0.4 else self.all[:len(SHARED)])

    def work(self, now):
        """Workers that delete what they have done."""
        for key in self.all:
            if now < key.worker_until:
                self.delete(key, [entry for entry in key.live if now - entry.at > 0.05][-200:])

    def act(self):
        key = self.choose()
        name = random.choice(self.ops)
        if name in ('op_replace', 'op_older_copy', 'op_lose_tail') and key.name == 'soak:s0':
            return  # never replaced: there all promises hold
        self.counts[name[3:]] = self.counts.get(name[3:], 0) + 1
        key.note(name[3:])
        time.sleep(0.002)  # a millisecond later than what it may make forgotten: ids only grow
        getattr(self, name)(key)

    def delete(self, key, entries):
        if entries:
            [count] = self.ask(('XDEL', key.name) + tuple(text(entry.id) for entry in entries))
            assert int(count) == len(entries), (key.name, count, len(entries))
            key.note('XDEL of %d, %s to %s' % (len(entries), text(entries[0].id), text(entries[-1].id)))
            key.delete(entries)

    def trimmed(self, key, count, reply):
        assert int(reply) == count, (key.name, reply, count)
        key.note('trimmed %d of %d' % (count, len(key.live)))
        key.trim(count)

    # What may happen to a stream.

    def op_burst(self, key):
        self.add(key, random.choice((2, 20, 200)))

    def op_large(self, key):
        self.add(key, 10, random.choice((8000, 100000, 300000)))

    def op_fill(self, key):
        """Other tenants' entries, to fill the cache."""
        key = self.keys[random.choice(SHARED)]
        tenants = ['f%d' % (i % 30) for i in range(60)]
        self.enter(key, tenants, self.ask(*self.words(key, tenants, 20000)))

    def op_trim(self, key):
        keep = random.choice((0, 1, 3, 10, len(key.live) // 2))
        [reply] = self.ask(('XTRIM', key.name, 'MAXLEN', '=', keep))
        self.trimmed(key, max(0, len(key.live) - keep), reply)

    def op_trim_below(self, key):
        if key.live:
            i = random.choice((0, len(key.live) // 2, len(key.live) - 1))
            [reply] = self.ask(('XTRIM', key.name, 'MINID', '=', text(key.live[i].id)))
            self.trimmed(key, i, reply)

    def op_delete_one(self, key):
        if key.live:
            self.delete(key, [random.choice((key.live[0], key.live[-1], random.choice(key.live)))])

    def op_delete_some(self, key):
        self.delete(key, sorted(random.sample(key.live, min(len(key.live), random.randint(2, 5))),
                                key=lambda entry: entry.id))

    def op_worker(self, key):
        key.worker_until = time.monotonic() + random.uniform(1, 6)

    def op_add_and_trim(self, key):
        count, keep = random.choice(((5, 2), (20, 0), (50, 3), (300, 10)))
        tenants = self.whose(key, count)
        replies = self.transaction(*self.words(key, tenants, 100), ('XTRIM', key.name, 'MAXLEN', '=', keep))
        self.enter(key, tenants, replies)
        self.trimmed(key, max(0, len(key.live) - keep), replies[-1])

    def op_add_and_delete(self, key):
        count = random.choice((1, 1, 2, 10))
        tenants, ids = self.whose(key, count), self.next_ids(key, count)
        chosen = sorted(random.sample(ids, random.choice((1, count))))
        replies = self.transaction(*self.words(key, tenants, 50, ids), ('XDEL', key.name) + tuple(map(text, chosen)))
        entries = self.enter(key, tenants, replies)
        assert int(replies[-1]) == len(chosen)
        key.note('added %d from %s, XDEL of %d from %s' % (count, text(ids[0]), len(chosen), text(chosen[0])))
        key.delete([entry for entry in entries if entry.id in chosen])

    def op_replace(self, key):
        """DEL and new entries, at once or later."""
        count = random.choice((0, 1, 5, 50))
        tenants = self.whose(key, count)
        replies = self.transaction(('DEL', key.name), *self.words(key, tenants, 50))
        key.replace(None)
        self.enter(key, tenants, replies[1:])
        key.note('replaced by %d new entries' % count)

    def op_copy(self, key):
        """For later."""
        if key.live:
            self.ask(('COPY', key.name, key.name + ':copy', 'REPLACE'))
            key.copy = key.state()

    def op_older_copy(self, key):
        if not key.copy:
            return
        how = random.choice(('COPY', 'RENAME', 'RESTORE'))
        if how == 'RENAME':
            self.ask(('RENAME', key.name + ':copy', key.name))
        elif how == 'COPY':
            self.ask(('COPY', key.name + ':copy', key.name, 'REPLACE'))
        else:
            [dump] = self.ask(('DUMP', key.name + ':copy'))
            self.ask(('RESTORE', key.name, 0, dump, 'REPLACE'))
        key.replace(key.copy)
        key.note('%s of a copy that ends with %s' % (how, text(key.top)))
        if how == 'RENAME':
            key.copy = None

    def op_lose_tail(self, key):
        """What is written after a copy of it was made is lost: at once, or when it has been read."""
        if not key.live:
            return
        self.ask(('COPY', key.name, key.name + ':tail', 'REPLACE'))
        state = key.state()
        count = random.choice((1, 5, 50))
        self.add(key, count, 50)
        if random.random() < 0.5:
            time.sleep(0.05)
        self.ask(('RENAME', key.name + ':tail', key.name))
        key.replace(state)
        key.note('the last %d lost, it ends with %s' % (count, text(key.top)))
        time.sleep(0.002)
        if random.random() < 0.5:
            self.add(key, random.choice((1, 20)))

    def check(self):
        """That the ledger is right."""
        for key in self.all:
            [entries] = self.ask(('XRANGE', key.name, '-', '+'))
            there = [parse(id) for id, _ in entries]
            assert there == [entry.id for entry in key.live], key.name
