# SPDX-License-Identifier: Apache-2.0
"""What all soaks have: servers, clients, and what breaks."""
import os
import random
import selectors
import signal
import time

from .servers import RedisServer


class World:
    """Actions are methods named do_; each sees to what is to be done later to undo it."""

    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.selector = selectors.DefaultSelector()
        self.verdicts, self.errors, self.odd, self.done = {}, {}, {}, {}
        self.chaos = False
        self.busy = False
        self.later = []  # (when, what): the second half of an action
        self.clients, self.httpds = [], []
        self.started = time.monotonic()
        self.redis = RedisServer(directory, options.fsync)
        self.redis.wait()

    @staticmethod
    def count(what, name):
        what[name] = what.get(name, 0) + 1

    def say(self, text):
        print('%7.1f  %s' % (time.monotonic() - self.started, text), flush=True)

    def step(self, seconds):
        until = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            for client in self.clients:
                client.tick(now)
            for key, _ in self.selector.select(0.02):
                if key.fileobj is key.data.socket:
                    key.data.on_ready()
            for item in [item for item in self.later if item[0] <= now]:
                self.later.remove(item)
                item[1]()
            self.turn(now)
            if now >= until:
                return

    def do_redis_kill(self):
        self.redis.kill(signal.SIGKILL)
        self.redis_back()

    def do_redis_restart(self):
        self.redis.kill(signal.SIGTERM)
        self.redis_back()

    def redis_back(self):
        self.busy = True

        def back():
            self.redis.start()
            self.busy = False
        self.later.append((time.monotonic() + random.choice((0, 0.5, 3, 6)) * random.random(), back))

    def do_redis_pause(self):
        self.busy = True
        self.redis.process.send_signal(signal.SIGSTOP)

        def go_on():
            self.redis.process.send_signal(signal.SIGCONT)
            self.busy = False
        self.later.append((time.monotonic() + random.uniform(0.5, 10), go_on))

    def do_redis_cut(self):
        try:
            self.redis.command('CLIENT', 'KILL', 'TYPE', 'normal')
        except OSError:
            pass

    def do_httpd_kill_child(self):
        children = random.choice(self.httpds).children()
        if children:
            os.kill(random.choice(children), signal.SIGKILL)

    def do_httpd_graceful(self):
        random.choice(self.httpds).control('graceful')

    def do_stall_many(self):
        for client in random.sample(self.clients, len(self.clients) // 3):
            client.stall(random.uniform(1, 10))

    def do_cut_all(self):
        for client in self.clients:
            client.close(random.uniform(0, 0.5), reset=True)

    @classmethod
    def names(cls):
        return [name[3:] for name in dir(cls) if name.startswith('do_')]

    def act(self):
        actions = self.options.only.split(',') if self.options.only else self.names()
        if self.busy:
            actions = [name for name in actions if not name.startswith('redis')]
        if actions:
            name = random.choice(actions)
            self.count(self.done, name)
            self.say(name.replace('_', ' '))
            getattr(self, 'do_' + name)()

    def end(self):
        for server in self.httpds + [self.redis]:
            if server.process.poll() is None:
                server.process.send_signal(signal.SIGCONT)
                server.process.terminate()
                server.process.wait()
