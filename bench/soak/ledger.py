# SPDX-License-Identifier: Apache-2.0
"""What became of every entry: the truth that clients are checked against.

One program writes and checks, so the ledger is never behind what a client can have heard. Ids only grow
('*', or above the newest), also where a stream is replaced: a position is an id.
"""
import bisect
import time

NEVER = (0, 0)


class Entry:
    __slots__ = ('id', 'tenant', 'n', 'at', 'live', 'deleted', 'fate', 'gone_at', 'back_at')

    def __init__(self, id, tenant, n):
        self.id, self.tenant, self.n = id, tenant, n
        self.at = time.monotonic()
        self.live = True
        self.deleted = False  # by XDEL, ever
        self.fate = self.gone_at = None
        self.back_at = self.at  # when it came to be there: again, with a copy

    def __str__(self):
        return '%d-%d (%s, %s%s)' % (self.id + (self.tenant, 'there' if self.live else self.fate,
                                                ' %.1f s ago' % (time.monotonic() - self.gone_at)
                                                if self.gone_at else ''))


class Key:
    def __init__(self, name, tenant=None):
        self.name, self.tenant = name, tenant
        self.live = []
        self.own = {}          # tenant: every entry it ever had, in order; its n-th is numbered n
        self.ids = {}          # the ids of those
        self.top = NEVER       # last-generated-id
        self.whole = True      # nothing was ever removed from what it holds now
        self.highest = {}      # fate: the highest id that it ever befell
        self.removals = 0      # that and replacements, counted
        self.removed_at = 0.0
        self.replaced = []     # when, the last times
        self.copied = NEVER    # up to here it may be a copy: an id may be from before or after it
        self.copy = None       # what the copy of it held, and its newest id
        self.worker_until = 0.0
        self.worked_off = 0.0  # when nothing was left, and the newest one was deleted
        self.last = []         # what was done to it, for reports

    def note(self, text):
        self.last = self.last[-11:] + [(time.monotonic(), text)]

    def number(self, tenant):
        return len(self.own.setdefault(tenant, [])) + 1

    def add(self, id, tenant):
        own = self.own.setdefault(tenant, [])
        entry = Entry(id, tenant, len(own) + 1)
        own.append(entry)
        self.ids.setdefault(tenant, []).append(id)
        self.live.append(entry)
        self.top = max(self.top, id)
        return entry

    def first(self):
        return self.live[0].id if self.live else None

    def gone(self, entries, fate):
        now = time.monotonic()
        for entry in entries:
            entry.live = False
            entry.fate, entry.gone_at = fate, now
            entry.deleted |= fate == 'XDEL'
            self.highest[fate] = max(self.highest.get(fate, NEVER), entry.id)
        if entries:
            self.whole = False
            self.removals += 1
            self.removed_at = now

    def trim(self, count):
        """So many of the oldest ones."""
        self.gone(self.live[:count], 'trimmed')
        del self.live[:count]

    def delete(self, entries):
        self.gone([entry for entry in entries if entry.live], 'XDEL')
        self.live = [entry for entry in self.live if entry.live]
        if entries and not self.live and entries[-1].id == self.top:
            self.worked_off = time.monotonic()

    def state(self):
        return list(self.live), self.top, self.whole

    def replace(self, state):
        """By what state() said once, or by nothing."""
        live, top, whole = state or ([], NEVER, True)
        keep = {id(entry) for entry in live}
        self.gone([entry for entry in self.live if id(entry) not in keep], 'lost')
        for entry in live:
            if not entry.live:
                entry.live, entry.back_at = True, time.monotonic()
        self.live, self.top, self.whole = list(live), top, whole
        self.copied = max(self.copied, top)
        self.removals += 1
        self.removed_at = time.monotonic()
        self.replaced = self.replaced[-99:] + [self.removed_at]

    def between(self, tenant, after, until):
        """The tenant's entries of these ids, from the first that is above `after`."""
        ids = self.ids.get(tenant, [])
        return self.own.get(tenant, [])[bisect.bisect_right(ids, after):bisect.bisect_right(ids, until)]

    def next(self, tenant, after):
        """Its first one above that which was not deleted; or None."""
        own = self.own.get(tenant, [])
        for i in range(bisect.bisect_right(self.ids.get(tenant, []), after), len(own)):
            if not own[i].deleted:
                return own[i]
        return None

    # What may be said of it.

    def replaced_since(self, when):
        return bool(self.replaced) and self.replaced[-1] > when

    def replaced_between(self, begin, end):
        return any(begin <= when <= end for when in self.replaced)

    def why_reset(self, position, since):
        """Whether a reset is right for who has had this position since then: 'gap', 'replaced'; where one
        that cannot know may say so: 'of before' (an id of a copy), 'deleted' (nothing above was removed
        but by XDEL), 'cannot know' (nothing above was removed at all, but something below); or None: it is
        wrong."""
        if self.replaced_since(since):
            return 'replaced'
        if max(self.highest.get('trimmed', NEVER), self.highest.get('lost', NEVER)) > position:
            return 'gap'
        if position <= self.copied:
            return 'of before'
        ahead = self.live[0].id > position if self.live else self.top > position
        if self.whole or not ahead:
            return None
        return 'deleted' if self.highest.get('XDEL', NEVER) > position else 'cannot know'


# The ids that clients get.

def decode(text, count):
    """The positions in so many streams: see src/proto/rs_cursor.h. Applications must not do that."""
    if count == 1:
        ms, seq = text.split('-')
        return [(int(ms), int(seq))]
    positions = []
    for part in text[1:].split('.'):
        ms, _, seq = part[4:].partition('-')
        positions.append((int(ms, 36), int(seq or '0', 36)))
    return positions
