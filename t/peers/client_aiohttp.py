# SPDX-License-Identifier: Apache-2.0
"""client_aiohttp.py TALKS: aiohttp as a client, doing what converse.js does."""
import asyncio
import json
import sys
import urllib.parse

import aiohttp


def tell(talk, *words):
    print('/'.join([talk['label'], *map(str, words)]), flush=True)


class Client:
    def __init__(self, session, talk):
        self.session, self.talk, self.last, self.retry = session, talk, None, 1000

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

    async def talks(self, socket):
        await socket.send_str(json.dumps({'type': 'ping'}))
        await socket.send_str(json.dumps({'type': 'subscribe', 'subscriptions': ['order_*']}))
        while True:
            message = await socket.receive()
            if message.type != aiohttp.WSMsgType.TEXT:
                return message.extra
            self.take(message.data)

    async def connection(self):
        async with self.session.ws_connect(self.url(), protocols=self.talk.get('protocols', ()),
                                           headers=self.talk.get('headers'), compress=15, ssl=False) as socket:
            tell(self.talk, 'open', socket.protocol or '-')
            try:
                reason = await self.talks(socket)
            except ConnectionError as error:
                reason = error
            tell(self.talk, 'closed', socket.close_code, reason)
            return socket.close_code

    async def run(self):
        while await self.connection() != 1008:
            await asyncio.sleep(self.retry / 1000)


async def main():
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*[Client(session, talk).run() for talk in json.loads(sys.argv[1])])

asyncio.run(main())
