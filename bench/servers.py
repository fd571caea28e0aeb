# SPDX-License-Identifier: Apache-2.0
"""The servers that `run` measures: httpd with the module, Redis, nginx with nchan.

Each is a process of ours, on 127.0.0.1 and a free port, in a directory of its own; stop() ends it by its pid, and
the kernel does if this program dies.
"""
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time

from soak.servers import die_with_parent

HTTPD = '''
%(modules)s
LoadModule ragline_stream_module "%(module)s"
%(user)s
ServerRoot "%(dir)s"
ServerName localhost
PidFile "%(dir)s/httpd.pid"
DefaultRuntimeDir "%(dir)s"
ErrorLog "%(dir)s/error_log"
LogLevel warn
ListenBacklog 4096
Listen 127.0.0.1:%(port)d
Listen 127.0.0.1:%(tls_port)d
%(mpm)s
RaglineRedis redis://127.0.0.1:%(redis)d/0
RaglineStream bench bench
RaglineStream own bench:{tenant}
RaglineMaxConnections %(connections)d
RaglineSubscribe bench
RaglineHeartbeat 30s
<VirtualHost 127.0.0.1:%(tls_port)d>
    SSLEngine on
    SSLCertificateFile "%(dir)s/tls.pem"
    SSLCertificateKeyFile "%(dir)s/tls.key"
    %(tls)s
</VirtualHost>
%(locations)s
<Location "/stats">
    SetHandler ragline-stats
</Location>
%(extra)s
'''

MPM = '''
StartServers %(children)d
ServerLimit %(limit)d
ThreadLimit %(threads)d
ThreadsPerChild %(threads)d
MaxRequestWorkers %(workers)d
MinSpareThreads 1
MaxSpareThreads %(workers)d
'''

# As many processes as others have workers; none is ended.
PREFORK = '''
StartServers %(workers)d
ServerLimit %(workers)d
MaxRequestWorkers %(workers)d
MinSpareServers 1
MaxSpareServers %(workers)d
'''

LOCATION = '''
<Location "/%(name)s">
    SetHandler ragline-%(handler)s
    RaglineTenant "%%{QUERY_STRING}"
    %(lines)s
</Location>
'''

LOCATIONS = (
    ('sse', ''), ('ws', ''), ('group', 'RaglineStart group\n    RaglineReplayLimit 1000000'),
    ('kept', 'RaglineHandoff off'), ('own', 'RaglineSubscribe own'), ('comment', 'RaglineHeartbeat 30s comment'), ('off', 'RaglineHeartbeat off'))

TOKEN = '''
<Location "/%(name)s">
    SetHandler ragline-sse
    AuthType RaglineJWT
    RaglineJWTKey file:%(dir)s/%(name)s.public alg=%(alg)s
    Require valid-user
</Location>
'''

ALGORITHMS = ('HS256', 'RS256', 'ES256')

NGINX = '''
load_module %(module)s;
%(user)s
worker_processes %(workers)d;
daemon off;
pid %(dir)s/nginx.pid;
error_log %(dir)s/error.log warn;
events { worker_connections %(connections)d; multi_accept on; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path %(dir)s/1; proxy_temp_path %(dir)s/2; fastcgi_temp_path %(dir)s/3;
    uwsgi_temp_path %(dir)s/4; scgi_temp_path %(dir)s/5;
    nchan_shared_memory_size 1024M;
    server {
        listen 127.0.0.1:%(port)d backlog=4096 reuseport;
        listen 127.0.0.1:%(tls_port)d ssl backlog=4096 reuseport;
        ssl_certificate %(dir)s/tls.pem;
        ssl_certificate_key %(dir)s/tls.key;
        location = /sse {
            nchan_subscriber eventsource;
            nchan_channel_id $arg_id;
            nchan_subscriber_first_message newest;
        }
        location = /ws {
            nchan_subscriber websocket;
            nchan_channel_id $arg_id;
            nchan_subscriber_first_message newest;
        }
        location = /pub {
            nchan_publisher;
            nchan_channel_id $arg_id;
            nchan_message_buffer_length 1000;
            nchan_message_timeout 30s;
            nchan_deflate_message_for_websocket %(deflate)s;
        }
    }
}
'''


def scheme(location, tls=False):
    """A location tells what is spoken there: of WebSockets is the one that is called so."""
    return ('ws' if location == 'ws' else 'http') + ('s' if tls else '')


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for found in sockets:
            found.bind(('127.0.0.1', 0))
        return [found.getsockname()[1] for found in sockets]
    finally:
        for found in sockets:
            found.close()


def descriptors():
    """As many as we may have; what we start inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (200000, 65536, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
            return wanted
        except (ValueError, OSError):
            pass
    return soft


def per_child(options):
    """Streams that a child of httpd may have."""
    return min(60000, options.descriptors - 500)


def children_for(options, n):
    """Children accept unevenly, the more so while handshakes keep them busy: each may take twice its share."""
    return max(3, -(-2 * n // per_child(options)))


def quiet(*words, **more):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)


def write(path, text, mode=0o644):
    with open(path, 'w') as out:
        out.write(text)
    os.chmod(path, mode)


def ticket_keys(directory):
    with open(directory + '/tickets', 'wb') as out:
        out.write(os.urandom(48))


def certificate(directory):
    quiet('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
          '-subj', '/CN=localhost', '-keyout', directory + '/tls.key', '-out', directory + '/tls.pem')


def redis_server():
    """Debian's redis-tools have it, too: one program that goes by the name it is called by."""
    return shutil.which('redis-server') or shutil.which('redis-check-rdb')


class Server:
    """A process that listens on self.port."""

    def start(self, name, words, patience=30, program=None):
        self.name = name
        self.output = self.directory + '/output'
        with open(self.output, 'ab') as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            executable=program, preexec_fn=die_with_parent)
        end = time.monotonic() + patience
        while time.monotonic() < end and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', self.port)) == 0:
                    return
            time.sleep(0.05)
        self.stop()
        with open(self.output, errors='replace') as log:
            raise SystemExit('%s does not start: %s' % (name, log.read()[-2000:]))

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                # Its session is its own: no other process is in it.
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    @property
    def arguments(self):
        return ['--server', '%s=%d' % (self.name, self.process.pid)]


class Redis(Server):
    def __init__(self, directory):
        self.directory = directory
        [self.port] = free_ports(1)
        self.start('redis', ['redis-server', '--port', str(self.port), '--bind', '127.0.0.1', '--save', '',
                             '--appendonly', 'no', '--dir', directory], program=redis_server())
        self.asking = socket.create_connection(('127.0.0.1', self.port)).makefile('rwb')

    def ask(self, *words):
        """A command; its answer as text or number, if it is one."""
        self.asking.write(b'*%d\r\n' % len(words))
        for word in words:
            self.asking.write(b'$%d\r\n%s\r\n' % (len(word), word.encode()))
        self.asking.flush()
        head = self.asking.readline().decode().rstrip()
        if head.startswith('-'):
            raise SystemExit('%s: %s' % (' '.join(words), head))
        if head.startswith('$'):
            return self.asking.read(int(head[1:]) + 2)[:-2].decode()
        return int(head[1:]) if head.startswith(':') else head

    def info(self, section):
        return dict(line.split(':', 1) for line in self.ask('INFO', section).splitlines() if ':' in line)

    def calls(self):
        """How often each command was called."""
        return {name[8:]: int(re.match(r'calls=(\d+)', text).group(1))
                for name, text in self.info('commandstats').items()}


class Httpd(Server):
    """Ours: with a Redis of its own, unless it is given one."""

    def __init__(self, options, directory, children=1, extra='', tls_extra='', mpm='event', threads=32,
                 modules=(), redis=None):
        self.directory = directory
        self.port, self.tls_port = free_ports(2)
        certificate(directory)
        ticket_keys(directory)
        self.keys(directory)
        built_in = subprocess.check_output([options.httpd, '-l'], text=True)
        lib = subprocess.check_output([options.apxs, '-q', 'LIBEXECDIR'], text=True).strip()
        modules = ['LoadModule %s_module "%s/mod_%s.so"' % (name, lib, name)
                   for name in ('mpm_' + mpm, 'authn_core', 'authz_core', 'authz_user', 'socache_shmcb', 'ssl', *modules)
                   if 'mod_%s.c' % name not in built_in]
        locations = [LOCATION % {'name': name, 'lines': lines, 'handler': 'websocket' if name == 'ws' else 'sse'}
                     for name, lines in LOCATIONS]
        locations += [TOKEN % {'name': alg, 'alg': alg, 'dir': directory} for alg in ALGORITHMS]
        self.redis, self.others = redis or Redis(directory), redis is not None
        try:
            write(directory + '/httpd.conf', HTTPD % {
                'lib': lib, 'modules': '\n'.join(modules), 'module': options.module, 'dir': directory,
                'user': 'User nobody\nGroup nogroup' if os.geteuid() == 0 else '', 'port': self.port,
                'tls_port': self.tls_port, 'mpm': (PREFORK if mpm == 'prefork' else MPM) % {
                    'children': children, 'limit': 4 * children, 'threads': threads, 'workers': threads * children},
                'redis': self.redis.port, 'connections': per_child(options), 'tls': tls_extra % {'dir': directory},
                'locations': ''.join(locations), 'extra': extra})
            self.words = [options.httpd, '-f', directory + '/httpd.conf', '-DFOREGROUND']
            self.begin()
        except BaseException:
            self.stop_redis()
            raise

    def begin(self):
        self.start('httpd', self.words)
        # The children, too, have read where the stream begins.
        time.sleep(1)

    def restart(self):
        """What it had in memory is gone; Redis stays."""
        super().stop()
        self.begin()

    @staticmethod
    def keys(directory):
        secret = os.urandom(32).hex()
        write(directory + '/HS256.private', secret, 0o600)
        write(directory + '/HS256.public', secret, 0o600)
        for alg, kind in (('RS256', ['RSA', '-pkeyopt', 'rsa_keygen_bits:2048']),
                          ('ES256', ['EC', '-pkeyopt', 'ec_paramgen_curve:P-256'])):
            private = '%s/%s.private' % (directory, alg)
            quiet('openssl', 'genpkey', '-algorithm', *kind, '-out', private)
            quiet('openssl', 'pkey', '-in', private, '-pubout', '-out', '%s/%s.public' % (directory, alg))

    def publishing(self, key='bench'):
        return ['--redis', str(self.redis.port), '--key', key]

    def url(self, location='sse', tls=False):
        return '%s://127.0.0.1:%d/%s?%%t' % (scheme(location, tls), self.tls_port if tls else self.port, location)

    def token(self, alg):
        return ['--token', '%s:%s/%s.private' % (alg, self.directory, alg)]

    @property
    def arguments(self):
        return super().arguments + self.redis.arguments

    def stop(self):
        try:
            super().stop()
        finally:
            self.stop_redis()

    def stop_redis(self):
        if not self.others:
            self.redis.stop()


class Nchan(Server):
    def __init__(self, options, directory, workers=1, deflate=False):
        self.directory = directory
        self.port, self.tls_port = free_ports(2)
        certificate(directory)
        write(directory + '/nginx.conf', NGINX % {
            'module': options.nchan, 'dir': directory, 'workers': workers, 'port': self.port,
            'tls_port': self.tls_port, 'connections': min(60000, options.descriptors - 100),
            'deflate': 'on' if deflate else 'off',
            'user': 'user nobody nogroup;' if os.geteuid() == 0 else ''})
        self.start('nginx', [options.nginx, '-p', directory, '-c', directory + '/nginx.conf'])
        time.sleep(0.5)

    def publishing(self):
        return ['--post', 'http://127.0.0.1:%d/pub?id=%%t' % self.port]

    def url(self, location='sse', tls=False):
        return '%s://127.0.0.1:%d/%s?id=%%t' % (scheme(location, tls), self.tls_port if tls else self.port, location)


class Floor(Server):
    """As little as a server can do: bench/floor.c."""

    def __init__(self, options, directory):
        self.directory = directory
        [self.port] = free_ports(1)
        self.start('floor', [options.floor, str(self.port)])

    def publishing(self):
        return ['--post', 'http://127.0.0.1:%d/pub?id=%%t' % self.port]

    def url(self, location='sse'):
        return '%s://127.0.0.1:%d/%s?id=%%t' % (scheme(location), self.port, location)


class SseGateway(Server):
    """The sidecar, on node, as its own Dockerfile runs it. It would listen on all addresses."""

    LISTEN = ('data:text/javascript,import net from "node:net"; const listen = net.Server.prototype.listen;'
              'net.Server.prototype.listen = function (port, ...more) {'
              ' return listen.call(this, {port, host: "127.0.0.1", backlog: 4096}, ...more); };')

    def __init__(self, options, directory, callbacks):
        self.directory = directory
        [self.port] = free_ports(1)
        self.start('node', ['env', '-u', 'RABBITMQ_URL', 'PORT=%d' % self.port, 'HEARTBEAT_INTERVAL_SECONDS=30',
                            'CALLBACK_URL=http://127.0.0.1:%d/callback' % callbacks, 'NODE_ENV=production',
                            'node', '--import', self.LISTEN, options.ssegateway + '/dist/index.js'])

    def publishing(self):
        return []

    def url(self, location):
        return 'http://127.0.0.1:%d/%s?%%t' % (self.port, location)


def find_nchan(nginx):
    """nchan's module, or None."""
    if not nginx:
        return None
    told = subprocess.run([nginx, '-V'], capture_output=True, text=True).stderr
    place = re.search(r'--modules-path=(\S+)', told)
    for directory in ([place.group(1)] if place else []) + ['/usr/lib/nginx/modules', '/usr/lib64/nginx/modules']:
        path = directory + '/ngx_nchan_module.so'
        if os.path.exists(path):
            return path
    return None


def versions(options):
    """What was measured on what."""
    def first(*words, program=None):
        try:
            done = subprocess.run(words, capture_output=True, text=True, executable=program)
            return (done.stdout + done.stderr).splitlines()[0]
        except (OSError, IndexError):
            return ''

    def grep(path, pattern):
        try:
            with open(path) as text:
                return re.search(pattern, text.read(), re.M).group(1)
        except (OSError, AttributeError):
            return 'unknown'

    httpd = re.search(r'Apache/(\S+)', first(options.httpd, '-v'))
    redis = re.search(r'v=(\S+)', first('redis-server', '--version', program=redis_server()))
    nginx = re.search(r'nginx/(\S+)', first(options.nginx, '-v')) if options.nchan else None
    node = first('node', '--version') if options.ssegateway else None
    return '%s. %d cores (%s), %s, kernel %s (%s), httpd %s, Redis %s%s%s.' % (
        time.strftime('%Y-%m-%d'), os.cpu_count(), grep('/proc/cpuinfo', r'^model name\s*: (.*)'),
        grep('/etc/os-release', r'^PRETTY_NAME="?([^"\n]*)'), os.uname().release,
        grep('/proc/sys/net/ipv4/tcp_congestion_control', r'(\w+)'),
        httpd.group(1) if httpd else 'unknown', redis.group(1) if redis else 'unknown',
        ', nginx %s with nchan' % nginx.group(1) if nginx else ', no nchan',
        ', SSEGateway on node ' + node if node else '')

