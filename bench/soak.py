#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether an event is ever lost, doubled or out of order, whatever breaks meanwhile.

Starts a Redis server and an httpd of its own, publishes numbered events, reads them with clients that
come back as browsers do, and breaks things at random: see bench/README.md for what counts. Python's
standard library only. Exit status 0: nothing lost, nothing twice, nothing out of order, no crash.
"""
import argparse
import os
import random
import shutil
import sys
import tempfile

from soak.numbers import Numbers
from soak.promises import Promises
from soak.writer import Writer


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--module', required=True, help='mod_ragline_stream.so')
    parser.add_argument('--httpd', default=shutil.which('apache2') or shutil.which('httpd') or '/usr/sbin/apache2')
    parser.add_argument('--apxs', default=shutil.which('apxs') or shutil.which('apxs2') or 'apxs')
    parser.add_argument('--promises', action='store_true',
                        help='streams are trimmed, deleted from and replaced meanwhile')
    parser.add_argument('--seconds', type=float, default=30)
    parser.add_argument('--clients', type=int, default=120)
    parser.add_argument('--tenants', type=int, default=12)
    parser.add_argument('--rate', type=float, help='events a second, all tenants together (600; --promises: 150)')
    parser.add_argument('--size', type=int, default=200, help='bytes of filling in each event')
    parser.add_argument('--every', type=float, nargs=2, default=(1, 6), metavar=('MIN', 'MAX'),
                        help='seconds between two actions')
    parser.add_argument('--away', type=float, default=45, help='seconds that some stay away at most')
    parser.add_argument('--settle', type=float, default=60, help='seconds to get everything at the end')
    parser.add_argument('--fsync', default='always', choices=('always', 'everysec'))
    parser.add_argument('--only', help='these actions, with commas: ' + ', '.join(Numbers.names()))
    parser.add_argument('--calm', action='store_true', help='no action at all')
    more = parser.add_argument_group('with --promises')
    more.add_argument('--ops', help='only this is done to streams, with commas: ' + ', '.join(
        name[3:] for name in dir(Writer) if name.startswith('op_')))
    more.add_argument('--ops-rate', type=float, default=4, help='how often in a second')
    more.add_argument('--cache', default='4MB', help='RaglineCache of the first server; the second has 1MB')
    more.add_argument('--late', type=float, default=15, help='seconds after which an event is late')
    more.add_argument('--silence', type=float, default=8, help='seconds after which a heartbeat (2 s) is late')
    more.add_argument('--spin-commands', type=float, default=500, help='that are too many in an idle second')
    more.add_argument('--spin-cpu', type=float, default=0.3, help='seconds that are too many in an idle second')
    parser.add_argument('--conf', default='', help='further directives for httpd.conf')
    parser.add_argument('--seed', type=int, help='of the random actions')
    parser.add_argument('--keep', action='store_true', help='keep the directory with the logs')
    options = parser.parse_args()
    options.rate = options.rate or (150 if options.promises else 600)
    random.seed(options.seed)
    directory = tempfile.mkdtemp(prefix='ragline-soak-', dir=os.environ.get('TMPDIR', '/tmp'))
    os.chmod(directory, 0o755)
    world = None
    status = 1
    try:
        world = (Promises if options.promises else Numbers)(options, directory)
        status = world.run()
    finally:
        if world:
            world.end()
        if status and not options.keep:
            print('the logs are in %s' % directory)
        elif not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    return status


if __name__ == '__main__':
    sys.exit(main())
