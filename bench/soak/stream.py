# SPDX-License-Identifier: Apache-2.0
"""A client of an event stream, as EventSource is: it comes back with its last id after `retry:`."""
import random
import re
import selectors
import socket
import time

CHUNK = 65536
TOLD = re.compile(rb'"code":"(\w+)"')
VERDICT = re.compile(rb'"recovery":"(\w+)"(?:,"reason":"(\w+)")?')


class Stream:
    """on_frame() is for who derives from this."""

    def __init__(self, world, kind, tenant, path):
        self.world, self.kind, self.tenant, self.path = world, kind, tenant, path
        self.socket = None
        self.id = None
        self.retry = 0.5
        self.again = 0.0
        self.stalled_until = 0.0
        self.heard = 0.0
        self.delivered = self.connects = 0
        self.next_act = time.monotonic() + random.uniform(3, 15)

    def port(self):
        return self.world.port

    def connect(self):
        self.connects += 1
        self.buffer = b''
        self.in_head = True
        self.socket = socket.socket()
        self.socket.setblocking(False)
        if self.kind == 'stalled':
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self.socket.connect_ex(('127.0.0.1', self.port()))
        self.request = ('GET /%s HTTP/1.1\r\nHost: localhost\r\nX-Tenant: %s\r\n%s\r\n' % (
            self.path, self.tenant, 'Last-Event-ID: %s\r\n' % self.id if self.id else '')).encode()
        self.world.selector.register(self.socket, selectors.EVENT_WRITE, self)

    def close(self, delay, reset=False):
        if not self.socket:
            return
        if not self.stalled_until:
            self.world.selector.unregister(self.socket)
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        self.socket.close()
        self.socket = None
        self.stalled_until = 0.0
        self.again = time.monotonic() + delay

    def stall(self, seconds):
        if self.socket and not self.request and not self.stalled_until:
            self.world.selector.unregister(self.socket)
            self.stalled_until = time.monotonic() + seconds

    def tick(self, now):
        if self.stalled_until and now >= self.stalled_until:
            self.stalled_until = 0.0
            self.world.selector.register(self.socket, selectors.EVENT_READ, self)
        if not self.socket and now >= self.again:
            self.connect()
        if now >= self.next_act and self.world.chaos:
            self.next_act = now + random.uniform(3, 15)
            self.act()

    def act(self):
        if self.kind == 'cut':
            self.close(0.0, reset=random.random() < 0.5)
        elif self.kind == 'away':
            self.close(random.choice((1, 5, self.world.options.away)) * random.random())
        elif self.kind == 'stalled':
            self.stall(random.uniform(1, 20))

    def on_ready(self):
        try:
            if self.request:
                sent = self.socket.send(self.request)
                self.request = self.request[sent:]
                if not self.request:
                    self.world.selector.modify(self.socket, selectors.EVENT_READ, self)
                return
            # Any size, so that a connection is cut anywhere.
            data = self.socket.recv(random.randint(1, CHUNK) if self.kind == 'cut' else CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b''
        if not data:
            self.close(self.retry * random.uniform(1, 1.2))
            return
        self.heard = time.monotonic()
        self.buffer += data
        if self.in_head and not self.take_head():
            return
        *frames, self.buffer = self.buffer.split(b'\n\n')
        for frame in frames:
            self.take_frame(frame)

    def take_head(self):
        end = self.buffer.find(b'\r\n\r\n')
        if end < 0:
            return False
        head, self.buffer = self.buffer[:end].lower(), self.buffer[end + 4:]
        if not head.startswith(b'http/1.1 200') or b'transfer-encoding' in head:
            self.world.count(self.world.odd, head.split(b'\r\n')[0].decode())
        self.in_head = False
        return True

    def take_frame(self, frame):
        event = b''
        data = b''
        for line in frame.split(b'\n'):
            if line.startswith(b'data: '):
                data = line[6:]
            elif line.startswith(b'id: '):
                self.id = line[4:].decode()
            elif line.startswith(b'event: '):
                event = line[7:]
            elif line.startswith(b'retry: '):
                self.retry = int(line[7:]) / 1000
        if event == b'connected':
            verdict = VERDICT.search(data)
            text = b'/'.join(part for part in verdict.groups() if part).decode() if verdict else '?'
            self.world.count(self.world.verdicts, text)
            self.on_connected(text)
        elif event == b'error':
            code = TOLD.search(data)
            self.world.count(self.world.errors, code.group(1).decode() if code else '?')
        elif event:
            self.on_frame(event, data)
