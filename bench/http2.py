# SPDX-License-Identifier: Apache-2.0
"""As much of HTTP/2 as it takes to ask for one stream: what comes back is for whoever looks for it in the bytes."""
import struct

# SETTINGS and HEADERS, and the flags of a request without a body.
SETTINGS, HEADERS, END_STREAM, END_HEADERS = 4, 1, 1, 4


def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] + struct.pack('>BBI', kind, flags, stream) + payload


def literal(name, value):
    """A field that is in no table, neither of its strings compressed."""
    return b'\x00' + bytes([len(name)]) + name + bytes([len(value)]) + value


def ask(connection, path):
    """Its SETTINGS are never acknowledged, which no server waits for."""
    fields = [(b':method', b'GET'), (b':scheme', b'https'), (b':authority', b'localhost'), (b':path', path.encode())]
    connection.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(SETTINGS, 0, 0) + frame(
        HEADERS, END_STREAM | END_HEADERS, 1, b''.join(literal(*field) for field in fields)))
