# SPDX-License-Identifier: Apache-2.0
"""The row `threads` of `run`: what a stream keeps of httpd while it is open.

Connections are opened by this program itself, since the load client does not speak HTTP/2.
"""
import json
import os
import socket
import ssl
import time

import http2

KINDS = (('plain', 'sse', False), ('TLS', 'sse', True), ('HTTP/2', 'sse', True), ('RaglineHandoff off', 'kept', False))
# These stay with their workers.
KEPT = ('HTTP/2', 'RaglineHandoff off')
MPMS = ('event', 'worker', 'prefork')


def tree(pid):
    """A process and all that it started."""
    found = [pid]
    for thread in os.listdir('/proc/%d/task' % pid):
        try:
            with open('/proc/%d/task/%s/children' % (pid, thread)) as children:
                for child in children.read().split():
                    found += tree(int(child))
        except OSError:
            pass
    return found


def use(server):
    """Threads and KiB (proportional set size) of all processes of a server."""
    threads = kib = 0
    for pid in tree(server.process.pid):
        try:
            threads += len(os.listdir('/proc/%d/task' % pid))
            with open('/proc/%d/smaps_rollup' % pid) as rollup:
                kib += sum(int(line.split()[1]) for line in rollup if line.startswith('Pss:'))
        except OSError:
            pass
    return threads, kib


def connect(server, kind, tls):
    port = server.tls_port if tls else server.port
    connection = socket.create_connection(('127.0.0.1', port), timeout=60)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(['h2' if kind == 'HTTP/2' else 'http/1.1'])
        connection = context.wrap_socket(connection, server_hostname='localhost')
    return connection


def open_stream(server, kind, location, tls):
    """Until it has its first event."""
    connection = connect(server, kind, tls)
    path = '/%s?t0' % location
    if kind == 'HTTP/2':
        http2.ask(connection, path)
    else:
        connection.sendall(b'GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n' % path.encode())
    got = b''
    while b'event: connected' not in got:
        more = connection.recv(65536)
        if not more or b'event: error' in got:
            raise SystemExit('%s: no stream: %r' % (kind, got[-300:]))
        got += more
    return connection


def kept(server):
    """Workers that are kept, as ragline-stats has it."""
    connection = connect(server, 'plain', False)
    connection.sendall(b'GET /stats HTTP/1.0\r\n\r\n')
    got = b''.join(iter(lambda: connection.recv(65536), b''))
    connection.close()
    return json.loads(got.split(b'\r\n\r\n', 1)[1])['pumps']['open']


def measure_one(bench, mpm, kind, location, tls, n):
    """Workers kept, threads started, KiB more for a stream; KiB of all before, for a worker."""
    # Streams that keep a worker get half of httpd's, over HTTP/2 three fifths of those of mod_http2.
    workers = 2 * n + 20 if kind in KEPT else 8
    with bench.httpd(mpm=mpm, threads=workers, modules=('http2',) if kind == 'HTTP/2' else (),
                     extra='Protocols h2 http/1.1\nH2MaxWorkers %d\n' % workers if kind == 'HTTP/2' else '') as server:
        # What workers have at hand for whoever comes next is no stream's that has left them.
        for _ in range(1 if kind in KEPT else 25 * workers):
            open_stream(server, kind, location, tls).close()
        time.sleep(2)
        keeps, (threads, kib) = kept(server), use(server)
        streams = [open_stream(server, kind, location, tls) for _ in range(n)]
        time.sleep(1)
        more_threads, more_kib = use(server)
        keeps = kept(server) - keeps
        for stream in streams:
            stream.close()
    return keeps, more_threads - threads, (more_kib - kib) / n, kib / workers


def measure(bench):
    for mpm in MPMS:
        # Of prefork's processes each has an engine.
        n = min(50 if mpm == 'prefork' else 100, bench.options.connections)
        for kind, location, tls in KINDS:
            who = '%d streams, %s, %s: ' % (n, mpm, kind)
            if kind == 'HTTP/2' and mpm == 'prefork':
                bench.line(who + 'mod_http2 does not run with it', '')
                continue
            keeps, threads, kib, before = measure_one(bench, mpm, kind, location, tls, n)
            if mpm == 'prefork':
                bench.line(who + 'processes kept / KiB more a stream / KiB that a process has', '%d / %.1f / %.0f' % (
                    keeps, kib, before))
            else:
                bench.line(who + 'threads kept / threads started / KiB more a stream', '%d / %d / %.1f' % (
                    keeps, threads, kib))
