# SPDX-License-Identifier: Apache-2.0
"""client.py TALKS: Python's `websockets` as a client, doing what converse.js does."""
import asyncio
import json
import sys
import urllib.parse

import websockets

HEADERS = 'additional_headers' if int(websockets.version.version.split('.')[0]) >= 14 else 'extra_headers'


def tell(talk, *words):
    print('/'.join([talk['label'], *map(str, words)]), flush=True)


class Client:
    def __init__(self, talk):
        self.talk, self.last, self.retry = talk, None, 1000

    def url(self):
        if not self.last:
            return self.talk['url']
        return '%s%slast_event_id=%s' % (self.talk['url'], '&' if '?' in self.talk['url'] else '?',
                                         urllib.parse.quote(self.last))

    def take(self, text):
        message = json.loads(text)
        self.last = message.get('id', self.last)
        self.retry = message.get('retry', self.retry)
        if message['type'] == 'event':
            tell(self.talk, message['event_type'], message['data'])
        elif message['type'] == 'connected':
            tell(self.talk, 'connected', message['data']['recovery'])
        else:
            tell(self.talk, message['type'])

    async def connection(self):
        async with websockets.connect(self.url(), subprotocols=self.talk.get('protocols'),
                                      **{HEADERS: self.talk.get('headers')}) as socket:
            tell(self.talk, 'open', socket.subprotocol or '-')
            try:
                await socket.send(json.dumps({'type': 'ping'}))
                await socket.send(json.dumps({'type': 'subscribe', 'subscriptions': ['order_*']}))
                async for text in socket:
                    self.take(text)
            except websockets.ConnectionClosed:
                pass
            tell(self.talk, 'closed', socket.close_code, socket.close_reason)
            return socket.close_code

    async def run(self):
        while await self.connection() != 1008:
            await asyncio.sleep(self.retry / 1000)


async def main():
    await asyncio.gather(*[Client(talk).run() for talk in json.loads(sys.argv[1])])

asyncio.run(main())
