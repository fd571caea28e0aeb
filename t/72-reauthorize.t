# SPDX-License-Identifier: Apache-2.0
#
# RaglineReauthorize: streams end after some time, not all at once, and come back without loss, if
# httpd still lets them in.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use Ragline::Events qw(pump);
use Ragline::Httpd ();
use Ragline::Proc qw(spew);
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;
use Ragline::WebSocket ();

my $redis = Ragline::Redis->start(name => 'reauthorize');
my $key = 'ragline:stream:orders';
my @on = ('RaglineSubscribe orders', 'RaglineReauthorize 2s', 'RaglineRetry 300ms');
my $httpd = Ragline::Httpd->new(conf => <<"EOF"
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineDrain 0
EOF
    . bearer_location('/stream', @on)
    . bearer_location('/stays', 'RaglineSubscribe orders')
    . bearer_location('/ruled', @on) =~ s/(Require valid-user)/<RequireAll>\n$1\nRequire expr "! -f '\@ROOT\@\/closed'"\n<\/RequireAll>/r
    . websocket_location('/ws', @on))->start;
my $tenant = unique('reauthorize');

sub there
{
    my ($path, %r) = @_;
    my $class = $path eq '/ws' ? 'Ragline::WebSocket' : 'Ragline::SSE';
    my $stream = $class->open(port => $httpd->port, path => $path, token => token($tenant, 7), %r);
    $stream->take('connected') or diag('is not there');
    return $stream;
}

my $began = Time::HiRes::time();
my $stays = there('/stays');
my $ruled = there('/ruled');
my $ws = there('/ws');
my %stream = map { $_ => there('/stream', wire => $_) } qw(sse ndjson);
my @many = map { there('/stream') } 1 .. 20;
spew($httpd->root . '/closed', '');

my $before = $redis->xadd($key, tenant_id => $tenant, event_type => 'order', payload => '1');
ok($_->take('order'), 'an event') for values %stream;
ok($ws->take('event'), 'an event');

my %end;
while (keys %end < @many && Time::HiRes::time() < $began + 60) {
    pump(0.02);
    $end{$_} //= Time::HiRes::time() - $began for grep { $_->ended } @many;
}
my @ends = sort { $a <=> $b } values %end;
is(scalar @ends, scalar @many, 'all end');
cmp_ok($ends[0] // 0, '>=', 1.5, 'after some time');
cmp_ok($ends[-1] - $ends[0], '>', 0.05, 'and not all at once') or diag("@ends");

for my $wire (sort keys %stream) {
    my $error = json_of(($stream{$wire}->take('error') // {})->{data} // '{}');
    is($error->{code}, 'reauthorize', "$wire: the word");
    is($stream{$wire}->wait_end, 'eof', 'a clean end');
    is($stream{$wire}->retry, 300, 'after which it comes back') if $wire eq 'sse';
}
is($ws->take('error')->{code}, 'reauthorize', 'a WebSocket');
is($ws->wait_close, '1012 reauthorize', 'likewise');

$redis->xadd($key, tenant_id => $tenant, event_type => 'order', payload => '2');
for my $path ('/stream', '/ws') {
    my $again = there($path, last_event_id => $before);
    my @got = map { $again->take(sub { 1 }) } 1 .. 2;
    # Its child may not have read the event yet when it comes: then it is a new one.
    is(join(' ', sort map { $_->{data} =~ /^\d+$/ ? $_->{data} : $again->type_of($_) } @got), '2 caught_up',
        "$path: nothing is lost, and nothing comes twice");
}
is(json_of($ruled->take('error')->{data})->{code}, 'reauthorize', 'who may not come any more ends as well');
is($httpd->request(path => '/ruled', token => token($tenant, 7), head_only => 1, close => 0)->status, 403,
    'and is not let in again');
ok(!$stays->ended, 'others stay');

done_testing();
