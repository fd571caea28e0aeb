# SPDX-License-Identifier: Apache-2.0
#
# Each event once, each gap once: while the stream is deleted again and again, for hundreds of
# tenants with little memory, for who comes with an id that this server has not read yet, and for
# who comes back to an endpoint with other streams.
#
# Modes: tenant
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use IO::Socket::INET ();
use POSIX ();
use Time::HiRes ();

use Ragline::Httpd ();
use Ragline::Proc qw(run_dir slurp spew stop_pid);
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'once', tcp => 1, args => ['--appendonly', 'no']);
my %key = map { $_ => stream_key('once', $_) } qw(one two three four);

# Endpoints by path, with the names of their streams; a stream may have another one's key.
sub conf
{
    my ($url, $endpoints, %other) = @_;
    return join('', "RaglineRedis $url\nRaglineDrain 0\n",
        (map { 'RaglineStream ' . $_ . ' ' . ($other{$_} // $key{$_}) . "\n" } qw(one two three)),
        map { bearer_location($_, "RaglineSubscribe $endpoints->{$_}", 'RaglineHeartbeat 1s') }
            sort keys %$endpoints);
}

my %endpoints = ('/one' => 'one', '/two' => 'one two');

sub own { return grep { $_->{event} eq 'n' } $_[0]->events }
sub numbers { return join ' ', map { $_->{data} } own($_[0]) }
sub told { return join ' ', map { json_of($_->{data})->{reason} } grep { $_->{event} eq 'reset' } $_[0]->events }
sub recovery { return join '/', grep { defined } @{ json_of(($_[0]->events)[0]{data}) }{qw(recovery reason)} }
sub key { return key_of($key{ $_[0] }, $_[1]) }

sub reader
{
    my ($httpd, $path, $tenant, $id) = @_;
    my $stream = $httpd->stream($path, token => token($tenant, 1), last_event_id => $id);
    $stream->connected;
    return $stream;
}

sub add
{
    my ($name, $tenant, @numbers) = @_;
    return map { $redis->client->xadd(key($name, $tenant), '*', tenant_id => $tenant, event_type => 'n',
        payload => $_) } @numbers;
}

# --- a stream that is deleted and made again, all the time ------------------------------------------------

{
    my $seed = $ENV{RAGLINE_TEST_SEED} // time;
    srand($seed);
    my $httpd = Ragline::Httpd->new(name => 'deleted', conf => conf($redis->url, \%endpoints))->start;
    my $tenant = unique();
    my @readers = map { reader($httpd, $_, $tenant) } qw(/one /one /two);
    my ($n, $deleted) = (0, 0);
    my $until = Time::HiRes::time() + (full() ? 30 : 5);
    while (Time::HiRes::time() < $until) {
        my $c = $redis->client;
        my $burst = 1 + int rand 60;
        for (1 .. $burst) {
            $n++;
            $c->xadd(key(rand() < 0.8 ? 'one' : 'two', $tenant), '*', tenant_id => $tenant,
                event_type => 'n', payload => $n, sub { });
            if (rand() < 0.02) {
                $deleted++;
                $c->del(key('one', $tenant), sub { });
            }
        }
        $c->wait_all_responses;
        Ragline::SSE::pump(rand() < 0.5 ? 0 : 0.02);
    }
    # Ids are times: what is added in the same millisecond could have an id of before.
    Time::HiRes::sleep(0.02);
    add('one', $tenant, 'end');
    ok(Ragline::SSE->wait_all(\@readers, sub { numbers($_[0]) =~ /end$/ }),
        "$n events, $deleted times deleted: it goes on (RAGLINE_TEST_SEED=$seed)");
    for my $reader (@readers) {
        my %seen;
        is(join(' ', grep { $seen{$_}++ } map { $_->{data} } own($reader)), '', 'nothing comes twice');
        my $resets = () = told($reader) =~ /redis_reset/g;
        cmp_ok($resets, '<=', $deleted, "told $resets times");
        unlike(told($reader), qr/trimmed/, 'of nothing else');
        $reader->close;
    }
    $httpd->stop;
}

# --- a gap that concerns hundreds of tenants, with little memory ------------------------------------------

SKIP: {
    skip 'it is about keys that all share', 1 if mode('tenant');
    my $httpd = Ragline::Httpd->new(name => 'many', processes => 1,
        conf => "RaglineCache 1MB\n" . conf($redis->url, \%endpoints))->start;
    my @tenants = map { unique() } 1 .. 300;
    my @ones = map { $httpd->stream('/one', token => token($_, 1)) } @tenants;
    my @twos = map { $httpd->stream('/two', token => token($_, 1)) } @tenants[0 .. 29];
    ok(Ragline::SSE->wait_all([@ones, @twos], sub { $_[0]->events }), 'all are there');
    my $fill = 'x' x 6000;
    add('one', $_, $fill) for @tenants;
    ok(Ragline::SSE->wait_all([@ones, @twos], sub { own($_[0]) == 1 }), 'RaglineCache is full');
    my $gap = sub {
        my ($name) = @_;
        $redis->client->multi;
        add($name, 'nobody', 1 .. 100);
        $redis->client->xtrim(key($name, 'nobody'), 'MAXLEN', '=', 5);
        return $redis->client->exec->[-2];
    };
    my $last = $gap->('one');
    ok(Ragline::SSE->wait_all([@ones, @twos], sub { told($_[0]) }), 'a gap: all are told');
    # They are behind it by their heartbeats.
    ok(Ragline::SSE->wait_all(\@ones, sub { $_[0]->last_event_id eq $last }), 'and go on');
    is(join(' ', grep { $_ ne 'trimmed' } map { told($_) } @ones, @twos), '', 'once');
    $gap->('two');
    ok(Ragline::SSE->wait_all(\@twos, sub { told($_[0]) eq 'trimmed trimmed' }),
        'a gap of another stream: its readers are told');
    is(join(' ', grep { $_ ne 'trimmed' } map { told($_) } @ones), '', 'and only they');
    for my $i (0 .. 2) {
        for my $stream ($ones[$i], $twos[$i]) {
            $stream->close;
            my $again = reader($httpd, $stream == $ones[$i] ? '/one' : '/two', $tenants[$i],
                $stream->last_event_id);
            ok($again->take('caught_up'), 'one comes back');
            is(recovery($again) . ': ' . numbers($again), 'resumed: ', 'and is not told again');
            $again->close;
        }
    }
    $_->close for @ones, @twos;
    $httpd->stop;
    unlike($httpd->error_log, qr/exit signal/, 'nobody crashed');
}

# --- an id that this server has not read yet ----------------------------------------------------------------

# A process that passes bytes between its port and Redis. While its file is there, answers to the
# connections that follow streams wait.
package Hold;

sub start
{
    my $self = bless { file => Ragline::Proc::run_dir() . "/hold-$$", owner => $$ }, shift;
    my $listen = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', LocalPort => 0)
        or die "no port: $!\n";
    $self->{port} = $listen->sockport;
    $self->{pid} = fork() // die "fork: $!\n";
    if (!$self->{pid}) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM ALRM);
        eval { $self->run($listen) };
        print STDERR "the proxy ended: $@\n";
        POSIX::_exit(1);
    }
    return $self;
}

sub run
{
    my ($self, $listen) = @_;
    my %pairs; # by descriptor of either end
    while (getppid() == $self->{owner}) {
        my $in = '';
        my $hold = -e $self->{file};
        vec($in, fileno($listen), 1) = 1;
        for my $fd (keys %pairs) {
            my $pair = $pairs{$fd};
            vec($in, $fd, 1) = 1 if !($hold && $pair->{follows} && $fd == fileno($pair->{redis}));
        }
        next if select($in, undef, undef, 0.02) <= 0;
        if (vec($in, fileno($listen), 1) && (my $httpd = $listen->accept)) {
            my $other = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $redis->{port});
            $pairs{ fileno $httpd } = $pairs{ fileno $other } = { httpd => $httpd, redis => $other };
        }
        for my $fd (grep { vec($in, $_, 1) } keys %pairs) {
            my $pair = $pairs{$fd} or next;
            my ($from, $to) = $fd == fileno($pair->{redis}) ? @$pair{qw(redis httpd)}
                : @$pair{qw(httpd redis)};
            if (!sysread($from, my $bytes, 65536)) {
                delete $pairs{ fileno $_ }, close($_) for $from, $to;
            }
            else {
                $pair->{follows} ||= $bytes =~ /ragline-(?:reader|watcher|changes)/;
                while (length $bytes) {
                    my $n = syswrite($to, $bytes) or last;
                    substr($bytes, 0, $n, '');
                }
            }
        }
    }
    return;
}

sub hold { Ragline::Proc::spew($_[0]{file}, ''); Time::HiRes::sleep(0.1); return }
sub release { unlink($_[0]{file}); return }
sub DESTROY { my ($self) = @_; Ragline::Proc::stop_pid($self->{pid}, 'KILL') if $$ == $self->{owner}; return }

package main;

{
    my $proxy = Hold->start;
    my $near = Ragline::Httpd->new(name => 'near', conf => conf($redis->url, \%endpoints))->start;
    my $far = Ragline::Httpd->new(name => 'far', processes => 1,
        conf => conf("redis://127.0.0.1:$proxy->{port}/0", \%endpoints))->start;
    for my $path ('/one', '/two') {
        my $tenant = unique();
        # So that it has the tenant's key open.
        my $there = reader($far, $path, $tenant);
        my $stream = reader($near, $path, $tenant);
        add('one', $tenant, 1 .. 3);
        ok(Ragline::SSE->wait_all([$there, $stream], sub { own($_[0]) == 3 }), "$path: three events");
        $proxy->hold;
        add('one', $tenant, 4 .. 10);
        ok($stream->wait(sub { own($_[0]) == 10 }), "$path: ten at one server");
        my @ids = map { $_->{id} } own($stream);
        my %again = map { $_ => reader($far, $path, $tenant, $ids[$_ - 1]) } 2, 5, 10;
        for my $at (sort { $a <=> $b } keys %again) {
            is(recovery($again{$at}), 'resumed', "$path, at $at: resumed by one that is behind");
        }
        is(numbers($there), '1 2 3', "$path: which is true");
        $proxy->release;
        add('one', $tenant, 11);
        ok(Ragline::SSE->wait_all([values %again, $there], sub { numbers($_[0]) =~ /11$/ }),
            "$path: it goes on");
        for my $at (sort { $a <=> $b } keys %again) {
            is(numbers($again{$at}), join(' ', $at + 1 .. 11), "$path, at $at: all of it, once");
            is(told($again{$at}), '', "$path, at $at: nothing is told");
        }
        is(numbers($there), join(' ', 1 .. 11), "$path: who was there, too");
        $_->close for $there, $stream, values %again;
    }
    $_->stop for $near, $far;
}

# --- an endpoint gets other streams -------------------------------------------------------------------------

{
    my $httpd = Ragline::Httpd->new(name => 'changed', children => 2);
    my $tenant = unique();
    my $n = 0;
    my $of = sub { my ($names, %other) = @_; return conf($redis->url, { '/e' => $names }, %other) };
    my $change = sub {
        $httpd->write_conf($_[0]);
        ok($httpd->graceful, 'reloaded');
    };
    $httpd->write_conf($of->('one two'));
    $httpd->start;
    my $stream = reader($httpd, '/e', $tenant);
    my $check = sub {
        my ($conf, $name, $lost, @names) = @_;
        my $id = $stream->last_event_id;
        $stream->close;
        my @missed = map { my $s = $_; map { add($s, $tenant, "$s" . ++$n); "$s$n" } 1, 2 } qw(one two three);
        $change->($conf);
        # A child of before that still takes connections sends them on.
        ok(wait_until(sub { $stream = reader($httpd, '/e', $tenant, $id); recovery($stream) }), "$name: connected");
        ok($stream->take('caught_up'), "$name: caught up") if $lost ne 'unknown';
        is(recovery($stream), $lost eq 'unknown' ? 'reset/unknown' : 'resumed', "$name: the verdict");
        my $want = join '|', @names;
        is(join(' ', sort map { $_->{data} } own($stream)),
            join(' ', sort grep { $want && /^(?:$want)\d/ } @missed), "$name: what was missed");
    };
    my $live = sub {
        my ($name, @names) = @_;
        my @new = map { add($_, $tenant, $_ . ++$n); "$_$n" } @names;
        ok($stream->wait(sub { my $got = numbers($_[0]); !grep { $got !~ /\b$_\b/ } @new }),
            "$name: and live");
    };
    $live->('two streams', 'one', 'two');
    $check->($of->('one two three'), 'one more', '', 'one', 'two');
    $live->('one more', 'one', 'two', 'three');
    $check->($of->('three one two'), 'in another order', '', 'one', 'two', 'three');
    $live->('in another order', 'one', 'two', 'three');
    $check->($of->('one three'), 'one less', '', 'one', 'three');
    $live->('one less', 'one', 'three');
    $check->($of->('one three', three => $key{four}), 'another key', '', 'one');
    $live->('another key', 'one');
    $check->($of->('one'), 'only one', '', 'one');
    $live->('only one', 'one');
    $check->($of->('two three'), 'others', 'unknown');
    $live->('others', 'two');
    $stream->close;
    $httpd->stop;
}

done_testing();
