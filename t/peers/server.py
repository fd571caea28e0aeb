# SPDX-License-Identifier: Apache-2.0
"""server.py PORT MOST: a server by Python's `websockets` that does what server.js does."""
import asyncio
import json
import sys

import websockets


def answer(text):
    try:
        message = json.loads(text)
    except ValueError:
        return {'type': 'error', 'message': 'Invalid JSON message'}
    if message['type'] == 'ping':
        return {'type': 'pong'}
    return {'type': 'error', 'message': 'Unknown message type: ' + message['type']}


async def serve(socket, *_):
    try:
        await socket.send('{"type":"connected"}')
        async for text in socket:
            if isinstance(text, bytes):
                await socket.close(1003)
            else:
                await socket.send(json.dumps(answer(text), ensure_ascii=False))
    except websockets.ConnectionClosed:
        pass


async def main():
    async with websockets.serve(serve, '127.0.0.1', int(sys.argv[1]), max_size=int(sys.argv[2]),
                                ping_interval=None):
        await asyncio.Future()

asyncio.run(main())
