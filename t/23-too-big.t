# SPDX-License-Identifier: Apache-2.0
#
# An entry over RaglineMaxMessage is not sent, and whoever would have got it is told so in its place:
# live, in a replay from memory, and in one from Redis.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'big');
my %key = map { $_ => "big:$_" } qw(one two main);
my $httpd = Ragline::Httpd->new(name => 'big', conf => join '', <<"EOF",
RaglineRedis @{[ $redis->url ]}
RaglineMaxMessage 1KB
RaglineDrain 0
RaglineStream one $key{one}
RaglineStream two $key{two}
RaglineStream main $key{main} tenant=literal:main
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
<Location /main>
    SetHandler ragline-sse
    Require all granted
    RaglineTenant main
    RaglineSubscribe main
</Location>
EOF
    bearer_location('/one', 'RaglineSubscribe one'),
    bearer_location('/both', 'RaglineSubscribe one two'),
    bearer_location('/some', 'RaglineSubscribe one', 'RaglineEvents wanted reset'),
    bearer_location('/mine', 'RaglineSubscribe one', 'RaglineUserOnly on'))->start;

my ($tenant, $stranger) = (unique(), unique());
my ($small, $big) = ('{}', '{"p":"' . 'x' x 1024 . '"}');

sub add
{
    my ($type, $payload, $user, $key) = @_;
    return $redis->xadd($key // $key{one}, tenant_id => $tenant, event_type => $type,
        payload => $payload, defined $user ? (user_id => $user) : ());
}

# What came, as one word each.
sub came
{
    my ($stream) = @_;
    return join ' ', map {
        my $json = json_of($_->{data});
        $_->{event} eq 'reset' ? "reset/$json->{reason}"
            : $_->{event} eq 'caught_up' ? "caught_up/$json->{replayed}" : $_->{event}
    } grep { $_->{event} !~ /^(?:connected|heartbeat)$/ } $stream->events;
}

sub has_come
{
    my ($name, $stream, $want) = @_;
    my $last = (split / /, $want)[-1];
    $stream->wait(sub { came($stream) =~ /\Q$last\E$/ });
    return is(came($stream), $want, $name);
}

sub skipped { return stats_stream(stats($httpd), $_[0])->{skipped}{too_big} }

my %readers = (one => ['/one', 1], both => ['/both', 1], some => ['/some', 1], mine => ['/mine', 1],
    other => ['/mine', 2]);
my %want = (
    one => 'first reset/too_big reset/too_big reset/too_big reset/too_big last',
    both => 'first reset/too_big reset/too_big reset/too_big reset/too_big last',
    some => 'reset/too_big',
    mine => 'first reset/too_big reset/too_big reset/too_big last',
    other => 'first reset/too_big reset/too_big reset/too_big last',
);
my %stream = map { $_ => $httpd->stream($readers{$_}[0], token => token($tenant, $readers{$_}[1])) }
    sort keys %readers;
my $strange = $httpd->stream('/one', token => token($stranger, 1));
my %start = map { $_ => $stream{$_}->connected->{id} } keys %stream;
$strange->connected;

# --- live ---------------------------------------------------------------------------------------

my $first = add('first', $small);
my @big = (add('wanted', $big), add('unwanted', $big), add('unwanted', $big, 1),
    add('unwanted', $big, 2));
add('last', $small);
has_come("$_: live", $stream{$_}, $want{$_}) for sort keys %stream;
{
    my @told = grep { $_->{event} eq 'reset' } $stream{one}->events;
    is_deeply([map { $_->{id} } @told], \@big, 'the id is that of the entry');
    is(scalar(grep { $_->{data} ne '{"reason":"too_big"}' } @told), 0, 'the data is the reason');
}
is(skipped('one'), 4, 'each is counted');
# What was sent is counted a moment later.
ok(wait_until(sub { stats_stream(stats($httpd), 'one')->{delivered} >= 8 }), 'what was delivered, too');
is(stats_stream(stats($httpd), 'one')->{delivered}, 8, 'and not as delivered');
{
    my %said;
    $said{$_}++ for $httpd->error_log =~ /\[pid (\d+)[^\n]* RS0301/g;
    is(join(' ', map { $said{$_} } keys %said), join(' ', (1) x keys %said),
        'the log has the first, of each process');
    cmp_ok(scalar(keys %said), vars('mpm') eq 'prefork' ? '>=' : '==', 1, 'that reads');
}
add('alone', $big, undef, $key{two});
ok($stream{both}->wait(sub { came($_[0]) eq "$want{both} reset/too_big" }), 'of another stream');
add('end', $small, undef, $key{two});
$stream{both}->take('end');

# --- coming back --------------------------------------------------------------------------------

my $other_id = ($stream{both}->events)[2]{id};
my %back = (
    one => 'reset/too_big reset/too_big reset/too_big reset/too_big last caught_up/1',
    both => 'reset/too_big reset/too_big reset/too_big reset/too_big last reset/too_big end '
        . 'caught_up/2',
    some => 'reset/too_big caught_up/0',
    mine => 'reset/too_big reset/too_big reset/too_big last caught_up/1',
    other => 'reset/too_big reset/too_big reset/too_big last caught_up/1',
);
# Where each comes back from: before the first of them.
my %from;
for my $name (keys %stream) {
    my ($event) = grep { $_->{event} eq 'first' } $stream{$name}->events;
    $from{$name} = $event ? $event->{id} : $start{$name};
}

sub come_back
{
    my ($where) = @_;
    $redis->all_read;
    for my $name (sort keys %readers) {
        my ($path, $user) = @{ $readers{$name} };
        my $again = $httpd->stream($path, token => token($tenant, $user),
            last_event_id => $from{$name});
        is($again->connected->{json}{recovery}, 'resumed', "$name, $where: resumed");
        has_come("$name, $where: the same", $again, $back{$name});
        $again->close;
    }
    for my $case (['/one', $big[3], 'last caught_up/1'],
        ['/both', $other_id, 'reset/too_big reset/too_big reset/too_big last reset/too_big end '
            . 'caught_up/2']) {
        my $again = $httpd->stream($case->[0], token => token($tenant, 1),
            last_event_id => $case->[1]);
        has_come("$case->[0], $where: not told again who has its id", $again, $case->[2]);
        $again->close;
    }
    return;
}
come_back('from memory');
$_->close for values %stream;
is(came($strange), '', 'another tenant hears nothing of it');
$strange->close;
$httpd->stop;
$httpd->start;
come_back('from Redis');

# --- whose is it? ---------------------------------------------------------------------------------

{
    my $stream = $httpd->stream('/one', token => token($tenant, 1));
    my $main = $httpd->stream('/main');
    $_->connected for $stream, $main;
    my $before = skipped('one');
    $redis->xadd($key{one}, event_type => 'x', payload => qq({"tenant_id":"$tenant",)
        . '"p":"' . 'x' x 1024 . '"}');
    add('end', $small);
    has_come('a tenant that stands only in data that is too large is not looked for', $stream,
        'end');
    is(skipped('one'), $before + 1, 'it is counted');
    $redis->xadd($key{main}, event_type => 'x', payload => $big);
    has_come('a stream that is one tenant\'s needs no field', $main, 'reset/too_big');
    $_->close for $stream, $main;
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
