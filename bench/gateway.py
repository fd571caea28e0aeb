# SPDX-License-Identifier: Apache-2.0
"""The row `gateway` of `run`: streams of which a back end decides, and events that are sent to one of them.

Beside it SSEGateway, where --ssegateway names a directory with it, built. The load client is the back end, the
browsers and those who send.
"""
import servers

PUBLISHERS = (1, 50)

EXTRA = '''
MaxKeepAliveRequests 0
<Location "/gateway">
    SetHandler ragline-gateway
    RaglineGatewayCallback http://127.0.0.1:%d/callback
</Location>
<Location "/internal/send">
    SetHandler ragline-gateway-send
    Require all granted
</Location>
'''


def run(bench, server, callbacks):
    n = bench.options.connections
    publishers = [min(count, n) for count in PUBLISHERS]
    try:
        return bench.load(server, server.url('gateway'), '--connections', n, '--tenants', n, '--idle', 3,
                          '--callbacks', callbacks, '--send', 'http://127.0.0.1:%d/internal/send' % server.port,
                          '--publishers', ','.join(map(str, publishers)), '--seconds', bench.options.seconds)
    finally:
        server.stop()


def measure(bench, number):
    n = bench.options.connections
    [callbacks] = servers.free_ports(1)
    # More workers than publishers: httpd ends connections that are kept where it has none left.
    ours = servers.Httpd(bench.options, bench.place(), extra=EXTRA % callbacks, threads=64)
    found = [run(bench, ours, callbacks)]
    if bench.options.ssegateway:
        found.append(run(bench, servers.SseGateway(bench.options, bench.place(), callbacks), callbacks))

    def line(what, value, **more):
        cells = [value(result) for result in found] + ['']
        bench.line('gateway, ' + what, cells[0], other=cells[1], **more)

    line('%s connections: connections a second, each with a callback' % number(n),
         lambda result: result['connect_rate'], digits=0)
    line('%s connections: CPU to set one up, µs' % number(n),
         lambda result: sum(result['connect_cpu_us'].values()))
    line('%s connections: user memory of one, KiB' % number(n),
         lambda result: sum(result['kib_per_connection'].values()), digits=2)
    for index, publishers in enumerate(PUBLISHERS):
        who = '%d publisher%s: ' % (publishers, 's' if publishers > 1 else '')
        step = lambda result: result['steps'][index]
        line(who + 'sends a second', lambda result: step(result)['acknowledged'] / step(result)['seconds'], digits=0)
        line(who + 'CPU of one, µs', lambda result: sum(step(result)['cpu_us_per_delivery'].values()))
        line(who + 'delivery p50 / p99, ms', lambda result: '%s / %s' % tuple(
            number(step(result)['latency_ms'][key], 2) for key in ('p50', 'p99')))
        lost = lambda result: step(result)['events'] - step(result)['delivered']
        line(who + 'lost', lost, budget='0', good=lost(found[0]) == 0, digits=0)
