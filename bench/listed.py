# SPDX-License-Identifier: Apache-2.0
"""The row `listed` of `run`: who is connected is listed over and over, page by page. Whom does that hold up?"""
import json
import threading
import time
import urllib.request

import servers

EXTRA = '''
<Location "/admin">
    SetHandler ragline-admin
    RaglineAdmin all
    Require expr "%{REMOTE_ADDR} == '127.0.0.1'"
</Location>
'''


class Reader(threading.Thread):
    """Reads the list from its beginning to its end, and again, until it is told to stop."""

    def __init__(self, server, n):
        super().__init__()
        self.url = 'http://127.0.0.1:%d/admin/connections?limit=1000' % server.port
        # Of those that had everybody: seconds, and of all their pages.
        self.n, self.over, self.lists, self.pages = n, False, [], []
        self.start()

    def page(self, after):
        began = time.monotonic()
        with urllib.request.urlopen(self.url + ('&after=' + after if after else ''), timeout=60) as answer:
            page = json.load(answer)
        return page, time.monotonic() - began

    def run(self):
        while not self.over:
            ids, times, after = set(), [], ''
            while after is not None:
                page, took = self.page(after)
                ids.update(connection['id'] for connection in page['connections'])
                times.append(took)
                after = page['next']
            if len(ids) == self.n:
                self.lists.append(sum(times))
                self.pages += times


def run(bench, n, listed):
    children = servers.children_for(bench.options, n)
    arguments = ['--connections', n, '--readers', 1 + (n + 2000) // bench.options.descriptors, '--rates', 1,
                 '--seconds', bench.options.seconds, '--again', 1]
    with bench.httpd(children=children, extra=EXTRA) as server:
        reader = Reader(server, n) if listed else None
        try:
            return bench.load(server, server.url('sse'), *arguments), reader
        finally:
            if reader:
                reader.over = True
                reader.join()


def measure(bench, number):
    n = bench.options.connections * 10
    (quiet, _), (result, reader) = run(bench, n, False), run(bench, n, True)
    if not reader.lists:
        raise SystemExit('listed: no list had all of them')
    who = '%s connections, listed all the time: ' % number(n)
    step, before = result['steps'][0], quiet['steps'][0]
    bench.line(who + 'lists with each of them, once', len(reader.lists), digits=0)
    bench.line(who + 'a list of %d pages, s (the longest)' % (len(reader.pages) // len(reader.lists)), '%s (%s)' % (
        number(sum(reader.lists) / len(reader.lists), 2), number(max(reader.lists), 2)))
    bench.line(who + 'a page, ms (the longest)', '%s (%s)' % (
        number(1000 * sum(reader.pages) / len(reader.pages)), number(1000 * max(reader.pages))))
    for key, text in (('first_ms', 'first subscriber'), ('last_ms', 'last subscriber')):
        bench.line(who + text + ' p50 / p99, ms (without)', '%s / %s (%s / %s)' % tuple(
            number(each[key][part]) for each in (step, before) for part in ('p50', 'p99')))
    bench.line(who + 'connections a second (without)', '%s (%s)' % (
        number(result['connect_rate'], 0), number(quiet['connect_rate'], 0)))
    lost = step['expected'] - step['delivered']
    bench.line(who + 'lost', lost, '', '0', lost == 0, 0)
