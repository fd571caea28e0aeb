# SPDX-License-Identifier: Apache-2.0
#
# A child that httpd has forgotten: it starts a new generation and the word to end does not reach
# every child of the old one, which has been seen after children were killed. It knows by itself.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Fcntl qw(O_RDWR O_NONBLOCK);
use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(freeze process_state);
use Ragline::Test;

plan skip_all => 'children of the other MPMs look themselves' if vars('mpm') ne 'event';

my $key = unique('ragline:forgotten');
my $token = token('t', 1);

my $httpd = Ragline::Httpd->new(children => 2, conf => <<"EOF"
RaglineRedis @{[ redis_a()->url ]}
RaglineStream orders $key
RaglineDrain 1s
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
EOF
    . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineHeartbeat 1s')
    . bearer_location('/off', 'RaglineSubscribe orders', 'RaglineHandoff off'))->start;
ok(wait_until(sub { my @children = $httpd->children; @children == 2 }), 'two children');

# Streams in both.
my (@streams, %pids);
ok(wait_until(sub {
    push @streams, map { $httpd->stream($_, token => $token) } '/stream', '/off';
    $_->connected for @streams[-2, -1];
    2 == grep { $_->{connections} > 2 } @{ stats($httpd)->{children} }
}), 'with streams in each');
my @old = $httpd->children;

# The pipe by which httpd tells its children to end: the one that parent and child have from httpd.
sub pipes
{
    my ($pid) = @_;
    return map { [$_, readlink($_) // ''] } glob("/proc/$pid/fd/*");
}

# What is written there while the children are stopped is taken away before they can read it.
my %parents = map { $_->[1] => 1 } pipes($httpd->pid);
my %shared = map { $_->[1] => $_->[0] } grep { $_->[1] =~ /^pipe:/ && $parents{ $_->[1] } } pipes($old[0]);
my @pipes = map { my $handle; sysopen($handle, $_, O_RDWR | O_NONBLOCK) ? $handle : () } values %shared;
ok(scalar(@pipes), 'the pipe by which httpd tells its children to end');
ok(freeze(@old), 'the children do not hear it');
my ($status, $output) = $httpd->control('graceful');
is($status, 0, 'a graceful restart') or diag($output);
my %stolen = map { $_ => '' } 0 .. $#pipes;
sub steal
{
    sysread($pipes[$_], $stolen{$_}, 4096, length $stolen{$_}) for keys %stolen;
    return join '', values %stolen;
}
ok(wait_until(sub { my @all = $httpd->children; length steal() && @all > 2 }),
    'new children are there, and the word for the old ones is gone');
select(undef, undef, undef, 0.2);
steal();
kill('CONT', @old);

is(scalar(grep { $_->wait_end(60) eq 'eof' } @streams), scalar(@streams),
    'the streams of the forgotten children end by themselves');
my @untold = grep { (json_of((($_->events)[-1] // {})->{data} // '{}')->{code} // '') ne 'draining' } @streams;
is(scalar(@untold), 0, 'and each is told to come again') or diag(map { $_->body } @untold);
ok(wait_until(sub {
    my %draining = map { $_->{pid} => $_->{draining} } @{ stats($httpd)->{children} };
    2 == grep { $draining{$_} } @old
}), 'the statistics say that these children drain');
my @said = $httpd->error_log =~ /RS0807: httpd has not told this child/g;
is(scalar(@said), 2, 'so does the log, once for each');
is(scalar(grep { !process_state($_) } @old), 0, 'they are there still: that is for httpd');
ok(wait_until(sub {
    my $stream = $httpd->stream('/stream', token => $token);
    my $first = $stream->take(sub { 1 }) // { event => '' };
    $stream->close;
    $first->{event} eq 'connected'
}), 'who comes again is served by the new ones');
ok(wait_until(sub {
    my $stream = $httpd->stream('/stream', token => $token);
    $stream->take(sub { 1 });
    $stream->close;
    stats($httpd)->{refused}{draining} > 0
}), 'a forgotten child refuses whom it still gets, which is counted');

# Their end, as if httpd had remembered.
syswrite($pipes[$_], $stolen{$_}) for keys %stolen;
ok(wait_until(sub { !grep { process_state($_) } @old }), 'told at last, they end');
$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
