# SPDX-License-Identifier: Apache-2.0
"""A few words of Redis' protocol."""
import errno
import socket


class Redis:
    """A blocking connection; any trouble is an OSError."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile('rb')

    @staticmethod
    def encode(*words):
        parts = [b'*%d\r\n' % len(words)]
        for word in words:
            word = word if isinstance(word, bytes) else str(word).encode()
            parts.append(b'$%d\r\n%s\r\n' % (len(word), word))
        return b''.join(parts)

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b'\r\n'):
            raise OSError(errno.ECONNRESET, 'Redis closed the connection')
        kind, rest = line[:1], line[1:-2]
        if kind == b'-':
            raise OSError(errno.EPROTO, rest.decode())
        if kind == b'$':
            size = int(rest)
            return self.file.read(size + 2)[:-2] if size >= 0 else None
        if kind == b'*':
            return [self.reply() for _ in range(int(rest))]
        return rest

    def __call__(self, *words):
        self.socket.sendall(self.encode(*words))
        return self.reply()

    def close(self):
        self.file.close()
        self.socket.close()
