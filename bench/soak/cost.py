# SPDX-License-Identifier: Apache-2.0
"""What it costs: commands that Redis was asked, processor time, memory. All of it seen from outside."""
import os

from .servers import private
from .writer import COMMANDS

TICK = os.sysconf('SC_CLK_TCK')


def cpu(pid):
    """Seconds; None if there is no such process."""
    try:
        with open('/proc/%d/stat' % pid) as stat:
            words = stat.read().rpartition(')')[2].split()
            return (int(words[11]) + int(words[12])) / TICK
    except OSError:
        return None


class Growing:
    """A sum of figures that begin anew now and then."""

    def __init__(self):
        self.last, self.sum = {}, 0

    def take(self, name, value):
        if value is not None:
            last = self.last.get(name, 0)
            self.sum += value - last if value >= last else value
            self.last[name] = value


class Cost:
    def __init__(self, world):
        self.world = world
        self.commands, self.redis, self.httpd = Growing(), Growing(), Growing()
        self.by_name = {}
        self.memory = {}  # pid: [(when, kB)]

    def take(self):
        """Sums until now: commands by httpd, CPU of Redis, CPU of the children."""
        try:
            [info] = self.world.writer.ask(('INFO', 'commandstats'))
        except OSError:
            info = b''
        for line in info.decode().splitlines():
            if line.startswith('cmdstat_'):
                name, _, rest = line[8:].partition(':')
                if name not in COMMANDS:
                    self.commands.take(name, int(rest.partition(',')[0].partition('=')[2]))
        pid = self.world.redis.process.pid
        self.redis.take(pid, cpu(pid))
        for httpd in self.world.httpds:
            for pid in httpd.children():
                self.httpd.take(pid, cpu(pid))
        return self.commands.sum, self.redis.sum, self.httpd.sum

    def sample_memory(self, when):
        for httpd in self.world.httpds:
            for pid in httpd.children():
                self.memory.setdefault(pid, []).append((when, private(pid)))

    def names(self):
        """The commands of httpd since Redis was started last."""
        return dict(sorted(self.commands.last.items(), key=lambda item: -item[1])[:8])

    def report_memory(self):
        """Of the children that lived longest: what a child holds is comparable only with itself."""
        print('memory     private memory of the children that lived longest, in kB, by seconds of the run.')
        print('           What a child has freed and malloc keeps is in it: an upper bound of what is in use.')
        for pid, samples in sorted(self.memory.items(), key=lambda item: -len(item[1]))[:4]:
            samples = [sample for sample in samples if sample[1]]
            step = max(1, len(samples) // 8)
            print('           %s' % '  '.join('%d: %d' % sample for sample in samples[::step]))
