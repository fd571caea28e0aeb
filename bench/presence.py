# SPDX-License-Identifier: Apache-2.0
"""The row `presence` of `run`: what it costs Redis, and httpd, to know which users are there.

Two nodes with one Redis, once with RaglinePresence and once without. All users come, and stay.
"""
import contextlib
import json
import threading
import time
import urllib.request

WINDOW = 9
# The load clients stay for so long, whichever of them was ready first.
STAY = WINDOW + 20

EXTRA = '''
RaglineStream people people
<Location "/present">
    SetHandler ragline-sse
    RaglineTenant all
    RaglineUser "%%{QUERY_STRING}"
    RaglinePresence %s
</Location>
'''


class Users(threading.Thread):
    """Of one node; their names begin with `letter`."""

    def __init__(self, bench, server, letter):
        super().__init__()
        self.bench, self.server, self.result = bench, server, None
        self.url = server.url('present').replace('?', '?' + letter)
        self.start()

    def run(self):
        n = self.bench.options.connections
        self.result = self.bench.load(self.server, self.url, '--connections', n, '--tenants', n, '--idle', STAY)


def connected(server):
    with urllib.request.urlopen('http://127.0.0.1:%d/stats' % server.port, timeout=10) as answer:
        return json.load(answer)['connections']


def wait_for(what, patience=120):
    """Seconds until it holds."""
    began = time.monotonic()
    while not what():
        if time.monotonic() > began + patience:
            raise SystemExit('presence: not all users are there')
        time.sleep(0.05)
    return time.monotonic() - began


def sum_of(calls):
    return sum(calls.values())


def run(bench, presence):
    """What was measured, by name."""
    n, found = bench.options.connections, {}
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(bench.httpd(extra=EXTRA % presence))
        two = stack.enter_context(bench.httpd(extra=EXTRA % presence, redis=one.redis))
        empty = int(one.redis.info('memory')['used_memory'])
        calls = one.redis.calls()
        users = [Users(bench, server, letter) for server, letter in ((one, 'a'), (two, 'b'))]
        wait_for(lambda: connected(one) + connected(two) == 2 * n)
        if presence != 'off':
            found['late'] = wait_for(lambda: one.redis.ask('ZCARD', 'ragline:presence:users:all') == 2 * n)
            found['told'] = one.redis.ask('XLEN', 'people')
        time.sleep(1)
        before = one.redis.calls()
        found['coming'] = (sum_of(before) - sum_of(calls)) / (2 * n)
        found['bytes'] = (int(one.redis.info('memory')['used_memory']) - empty) / (2 * n)
        time.sleep(WINDOW)
        after = one.redis.calls()
        found['rate'] = (sum_of(after) - sum_of(before)) / WINDOW
        found['scripts'] = (after.get('eval', 0) - before.get('eval', 0)) / WINDOW
        for each in users:
            each.join()
        if not all(each.result for each in users):
            raise SystemExit('presence: the users did not stay')
        idle = [each.result['idle_cores'] for each in users]
        found['cpu'] = [1000 * sum(cores['httpd'] for cores in idle), 1000 * idle[0]['redis']]
    return found


def measure(bench, number):
    n = bench.options.connections
    who = 'two nodes, %s users each: ' % number(n)
    kept, without = run(bench, 'people'), run(bench, 'off')
    bench.line(who + 'commands of Redis a second, all stay (without presence)',
               '%s (%s)' % (number(kept['rate']), number(without['rate'])), '', 'not by users')
    bench.line(who + 'of these, scripts', kept['scripts'], '', '≤ 1', kept['scripts'] <= 1, 2)
    bench.line(who + 'commands of Redis for each user who comes (without)',
               '%s (%s)' % (number(kept['coming']), number(without['coming'])))
    bench.line(who + 'all in the list so long after all are connected, s', kept['late'], digits=2)
    bench.line(who + 'told of', kept['told'], '', number(2 * n), kept['told'] == 2 * n, 0)
    bench.line(who + 'memory of Redis for each, with its event, bytes', kept['bytes'], digits=0)
    bench.line(who + 'all stay: CPU of httpd, of Redis, ms/s (without)',
               '%s, %s (%s, %s)' % tuple(number(value) for value in kept['cpu'] + without['cpu']))
