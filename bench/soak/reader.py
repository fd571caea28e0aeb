# SPDX-License-Identifier: Apache-2.0
"""A client that holds the server to what docs/RELIABILITY.md promises."""
import collections
import random
import re
import time

from .ledger import decode
from .stream import Stream
from .writer import text

NUMBER = re.compile(rb'{"k":"([^"]+)","t":"(\w+)","n":(\d+),')
REPLAYED = re.compile(rb'"replayed":(\d+)')
REASON = re.compile(rb'"reason":"(\w+)"')
HELD = 400   # ids that a client keeps, of all it ever had
JUST_NOW = 5  # seconds within which not every child has noticed what happened to a stream


class Held:
    """An id, and when it was had; `told`: of a reset, with what had been removed by then, and where its streams ended."""
    __slots__ = ('id', 'at', 'told')

    def __init__(self, id, at, told):
        self.id, self.at, self.told = id, at, told


class Reader(Stream):
    def __init__(self, world, kind, tenant, endpoint):
        super().__init__(world, kind, tenant, endpoint.name)
        self.endpoint = endpoint
        self.keys = [world.writer.key(name, tenant) for name in endpoint.streams]
        self.httpd = None
        self.held = []
        self.mine = None       # the Held of self.id
        self.greeted = False
        self.position = None
        self.stall_from = self.stall_to = self.left = 0.0

    # --- connecting ---

    def port(self):
        self.httpd = random.choice(self.world.httpds)
        return self.httpd.port

    def connect(self):
        if self.kind == 'any id' and self.held and self.world.chaos and random.random() < 0.5:
            self.mine = random.choice(self.held)
        elif self.kind == 'no id' and (self.world.chaos or not self.mine):
            self.mine = None
        self.id = self.mine.id if self.mine else None
        self.brought = self.mine
        self.position = None
        self.here = time.monotonic()
        self.heard = self.here
        self.events = 0
        self.told = []         # when, in this connection
        self.frames = collections.deque(maxlen=12)
        self.counting = True
        self.calm = [key.removals for key in self.keys]
        self.there = [sum(1 for entry in key.live if entry.tenant == self.tenant)
                      for key in self.keys] if self.endpoint.last else None
        super().connect()

    def close(self, delay, reset=False):
        if self.socket:
            self.left = time.monotonic()
        super().close(delay, reset)

    def act(self):
        if self.kind == 'any id':
            self.close(random.choice((0, 0.1, 3)) * random.random())
        elif self.kind == 'no id':
            self.close(random.choice((0, 3, self.world.options.away)) * random.random())
        else:
            super().act()

    def stall(self, seconds):
        if self.socket and not self.request and not self.stalled_until:
            self.stall_from = time.monotonic()
            self.stall_to = self.stall_from + seconds
        super().stall(seconds)

    def sent_at(self):
        """Not later than now; what was sent while we did not read is older."""
        now = time.monotonic()
        return self.stall_from if now < self.stall_to + JUST_NOW else now

    # --- what is wrong ---

    def fail(self, what, detail):
        self.world.failed(what, self, detail)

    def about(self):
        return '%s %s /%s at %s, brought %s; %s' % (
            self.kind, self.tenant, self.path, self.httpd.directory[-1], self.brought and ' '.join(
                map(text, decode(self.brought.id, len(self.keys)))), '; '.join(self.frames))

    # --- frames ---

    def hold(self, told=False):
        """self.id is a new one."""
        self.mine = Held(self.id, self.sent_at(), [(key.removals, key.top) for key in self.keys] if told else None)
        if len(self.held) < HELD:
            self.held.append(self.mine)
        elif random.random() < 0.2 or told:
            self.held[random.randrange(HELD)] = self.mine

    def moved(self, event=None, forgiven=False):
        """To the position of self.id, by the event of one stream; the rest that is between is missing."""
        before, self.position = self.position, decode(self.id, len(self.keys))
        for k, key in enumerate(self.keys):
            if before is None or forgiven:
                continue
            if self.position[k] < before[k]:
                self.fail('the position goes back', '%s to %s' % (text(before[k]), text(self.position[k])))
                continue
            for entry in key.between(self.tenant, before[k], self.position[k]):
                if entry is not event and not entry.deleted:
                    self.missing(key, entry, before[k])
        if before is None or forgiven or before != self.position:
            self.hold(told=forgiven)
        elif self.id != self.mine.id:
            self.mine = Held(self.id, self.sent_at(), self.mine.told)

    def missing(self, key, entry, before):
        if entry.fate == 'lost' and any(entry.gone_at <= when for when in self.told):
            return
        # Trimmed, then its stream was replaced, and that was told: the position went back over what it may have had.
        if entry.fate and not entry.live and any(key.replaced_between(entry.gone_at, when) for when in self.told):
            return
        if entry.live and entry.back_at != entry.at and entry.back_at > self.sent_at() - JUST_NOW:
            return  # put back since that was sent
        if entry.fate == 'trimmed' and not entry.live and key.worked_off >= entry.gone_at:
            self.world.count(self.world.soft, 'untold: trimmed, and then all that was left was deleted')
            return
        # Its child has read it, and so knows of the loss.
        seen = self.here < entry.at and entry.gone_at and self.world.excuse(entry.gone_at, 2) < entry.gone_at - entry.at
        if key.replaced_since(entry.at) and not entry.live and not seen:
            self.world.count(self.world.soft, 'untold: lost with a stream that was replaced')
            return
        self.fail('untold hole', '%s of %s, after %s' % (entry, key.name, text(before)))

    def frame(self, what):
        self.frames.append('%s %s' % (what, ' '.join(map(text, decode(self.id, len(self.keys))))))

    def on_connected(self, verdict):
        self.frame(verdict)
        self.greeted = True
        self.heard = time.monotonic()
        brought = decode(self.brought.id, len(self.keys)) if self.brought else None
        kind, _, reason = verdict.partition('/')
        self.position = brought
        if kind == 'reset':
            if brought:
                self.on_reset(reason, brought, self.brought.at, 'connected')
            self.told.append(time.monotonic())
            self.moved(forgiven=True)
            if reason == 'trimmed' and brought and any(a < b for a, b in zip(self.position, brought)):
                self.fail('the position goes back', 'by connected, to %s' % self.id)
        else:
            if (kind == 'resumed') != bool(brought) and not self.endpoint.group:
                self.fail('verdict', verdict)
            self.moved()
            if self.endpoint.group and not brought:
                self.world.group_begins(self, kind)

    def on_frame(self, event, data):
        if self.position is None:
            self.fail('no connected before', event.decode())
            return
        self.frame(event.decode())
        if event == b'n':
            self.on_event(data)
        elif event == b'reset':
            reason = REASON.search(data).group(1).decode()
            # Where it is served from and where the client is, is not the same while it is behind.
            self.on_reset(reason, self.position, self.told[-1] if self.told else
                          self.brought.at if self.brought else self.here, 'in the stream')
            self.told.append(time.monotonic())
            self.moved(forgiven=True)
        elif event == b'caught_up':
            self.on_caught_up(int(REPLAYED.search(data).group(1)))
        else:
            self.moved()

    def on_event(self, data):
        name, tenant, n = NUMBER.match(data).groups()
        k = next((k for k, key in enumerate(self.keys) if key.name == name.decode()), None)
        if tenant.decode() != self.tenant or k is None:
            self.fail('foreign', data[:80].decode())
            return
        self.delivered += 1
        self.events += 1
        entry = self.keys[k].own[self.tenant][int(n) - 1]
        self.world.latency(self, entry)
        if entry.id <= self.position[k]:
            self.fail('twice or out of order', '%s of %s, at %s' % (entry, name.decode(), text(self.position[k])))
        self.moved(event=entry)
        if self.position[k] != entry.id:
            self.fail('the id of an event is another', '%s: %s' % (entry, self.id))
        if self.endpoint.group:
            self.world.group_received(self)

    def on_reset(self, reason, position, since, where):
        self.world.count(self.world.resets, reason)
        since = min(since, self.sent_at())
        detail = '%s %s, position %s; %s' % (reason, where, ' '.join(map(text, position)), '; '.join(
            '%s %s to %s, %d there, %sremoved %.1f s ago' % (
                key.name, key.first() and text(key.first()), text(key.top), len(key.live),
                'whole, ' if key.whole else '', time.monotonic() - key.removed_at) for key in self.keys))
        if reason not in ('trimmed', 'redis_reset'):
            self.fail('reason', detail)
            return
        whys = [key.why_reset(place, since - self.world.excuse(since, JUST_NOW))
                for key, place in zip(self.keys, position)]
        if reason == 'redis_reset' and not any(
                why in ('replaced', 'of before') or key.copied >= place
                for why, key, place in zip(whys, self.keys, position)):
            self.fail('redis_reset, and it was not replaced', detail)
        elif not any(whys):
            self.fail('reset, and nothing is missing', detail)
        elif not set(whys) & {'replaced', 'gap'}:
            self.world.count(self.world.soft, 'told, and none was trimmed: ' + ', '.join(sorted(set(filter(None, whys)))))
        if where == 'connected' and self.brought.told and self.is_again(reason, position):
            self.fail('told twice', detail)

    def is_again(self, reason, position):
        """Nothing was removed since it was told, nor is anything missing; and it has caught up since, if of a loss."""
        for key, place, (removals, top) in zip(self.keys, position, self.brought.told):
            if key.removals != removals or (key.live and key.live[0].id > place and not key.whole):
                return False
            if reason == 'redis_reset' and (place < top or self.is_end_of_copy(key, place, top)):
                return False
        return True

    @staticmethod
    def is_end_of_copy(key, place, top):
        """It stood where a copy of before ends, below what was lost, and something has come since: a child that
        read that before it found the loss does not know where the copy ended."""
        return place <= key.copied and place < key.highest.get('lost', place) and top < key.top

    def on_caught_up(self, replayed):
        self.moved()
        if not self.counting:
            self.fail('caught_up twice', '')
        self.counting = False
        if replayed != self.events:
            self.fail('replayed', '%d, and %d came' % (replayed, self.events))
        if self.endpoint.last and not self.brought and self.calm == [key.removals for key in self.keys] \
                and all(time.monotonic() - key.removed_at > self.world.excuse(self.here, JUST_NOW) for key in self.keys):
            # The newest ones may come right after this.
            newer = sum(len(key.between(self.tenant, place, key.top)) for key, place in zip(self.keys, self.position))
            if replayed + newer >= min(sum(self.there), self.endpoint.last):
                return
            if self.told:
                self.world.count(self.world.soft, 'fewer than RaglineStart asks for, and told so')
            else:
                self.fail('last=N', '%d came, of %s' % (replayed, self.there))

    # --- all the time ---

    def watch(self, now):
        """That nothing takes too long. Who stalls has only himself to blame."""
        options = self.world.options
        if not self.socket or self.stalled_until or self.position is None:
            return
        if now - self.heard > options.silence:
            self.fail('no heartbeat', '%.1f s' % (now - self.heard))
            self.heard = now
        if min(now - self.here, now - self.world.healthy_since) < options.late or self.kind in ('stalled', 'cut'):
            return
        behind = self.behind()
        if behind and now - behind.at > options.late:
            self.fail('late', '%s, for %.1f s' % (behind, now - behind.at))
            self.here = now

    def behind(self):
        """What it should have, or be told of; or None."""
        for key, place in zip(self.keys, self.position or ()):
            entry = key.next(self.tenant, place)
            if entry and not (entry.fate and not entry.live and key.replaced_since(entry.at)):
                return entry
        return None
