# SPDX-License-Identifier: Apache-2.0
"""The row `reload` of `run`: everybody comes back after a graceful restart."""
import servers

# The default, which is what the servers of this program have.
DRAIN = 10


def measure(bench, name, tls_extra, tls=False):
    n = 2 * bench.options.connections
    children = servers.children_for(bench.options, n)
    with bench.httpd(children=children, tls_extra=tls_extra) as server:
        result = bench.load(server, server.url(tls=tls), '--connections', n, '--reload', 1, '--rates', 2, '--readers',
                            1 + n // (bench.options.descriptors - 500), '--seconds', bench.options.seconds)
    told = result['reload']
    cores, calm = told['cores']['httpd'], told['cores_before']['httpd']
    drained = cores[:DRAIN + 2]
    who = '%d streams%s, httpd -k graceful, %d children: ' % (n, name, children)
    bench.line(who + 'came back', told['returned'], '', '%d' % n, told['returned'] == n, 0)
    bench.line(who + 'events lost / twice or out of order', '%d / %d' % (
        told['expected'] - told['delivered'], result['repeated']), '', '0 / 0',
        told['expected'] == told['delivered'] and not result['repeated'])
    bench.line(who + 'the last is back after, s', told['seconds'], '', 'RaglineDrain %d s' % DRAIN)
    if tls:
        bench.line(who + 'of them with a resumed session, %', 100 * told['resumed'] / max(1, told['returned']))
    bench.line(who + 'attempts that were refused / failed', '%d / %d' % (told['refused'], told['failed']))
    bench.line(who + 'CPU of httpd, cores: before / the next %d s, mean / a second at most' % (DRAIN + 2), '%.2f / %.2f / %.2f' % (
        sum(calm) / max(1, len(calm)), sum(drained) / max(1, len(drained)), max(cores)))
    bench.line(who + 'second by second', ' '.join('%.2f' % each for each in cores))
