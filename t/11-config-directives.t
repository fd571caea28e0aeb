# SPDX-License-Identifier: Apache-2.0
#
# Every directive by itself: where it may stand, what it takes, and the sentence for what it does
# not take. The list of directives is the module's own; one without a row here fails.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(slurp spew);
use Ragline::Test;

my $secret = $Ragline::Token::SECRET;
my $name_rule = '1 to 64 of A-Z a-z 0-9 . _ @ -';
my $duration_rule = 'is not a duration: write a number with ms, s, min, h or d, as in 30s';
my $size_rule = 'is not a size: write a number with KB, MB or GB, as in 64MB';

# Values that a duration, a size, a number must not have; the last two are below and above its
# range.
sub out_of_range
{
    my ($what, @wrong) = @_;
    return map { [$_, "is out of range: write a $what from"] } @wrong;
}
sub durations { return (['soon', $duration_rule], ['-1s', $duration_rule], ['5something',
    $duration_rule], out_of_range('duration', '999999999999h', @_)) }
sub sizes { return (['big', $size_rule], ['5XB', $size_rule], out_of_range('size', @_)) }
sub numbers { return map { [$_, 'is not a number from'] } @_, 'many', '-1', '5x' }

# in: G the whole server, S server and virtual host, D also <Location> and <Directory>. good:
# accepted (the first one is used in each place). bad: [arguments, a part of the sentence].
my %row = (
    RaglineRedis => { in => 'S',
        good => ['redis://127.0.0.1:6379/0', 'redis://user:p%40ss@[::1]:7000/5',
            'redis://:pw@db.example',
            'unix:///run/redis.sock?db=2', 'unix://:pw@/run/redis.sock',
            'redis://s1 redis://:pw@s2:5000 master=mymaster', 'redis://s1/2 master=a'],
        bad => [['http://127.0.0.1/', 'must begin with redis://, rediss:// or unix://'],
            ['redis://127.0.0.1:99999/',
                'the port in the Redis URL must be a number from 1 to 65535'],
            ['redis://127.0.0.1/x',
                'the database in the Redis URL must be a number from 0 to 9999'],
            ['redis://', 'must name a host'], ['unix://run/redis.sock', 'absolute path'],
            ['redis://justpassword@127.0.0.1', 'must be USER:PASSWORD or :PASSWORD'],
            ['redis://u:%zz@127.0.0.1', 'two hexadecimal digits'], ['', 'a URL is missing'],
            ['redis://s1 redis://s2', 'write master=NAME after them'],
            ['master=a', 'a URL is missing'], ['redis://s1 master=', 'master= must be the last'],
            ['redis://s1 unix:///s master=a', 'asked over TCP'],
            ['redis://s1 redis://s1 master=a', 'stands there twice'],
            ['redis://s1 redis://s2/1 master=a', 'differ in the database']] },
    RaglineRedisAuth => { in => 'S',
        good => ['env:PATH', 'streams env:PATH', '"exec:echo a-password"'],
        bad => [['secret:abcdefg', 'a secret must not stand in the configuration here'],
            ['hunter2', 'write file:/PATH, env:NAME or exec:COMMAND'],
            ['file:relative', 'absolute path'], ['"env:A B"',
                'the name of an environment variable'],
            ['exec:', 'must be followed by a command'],
            ['env:RAGLINE_IS_NOT_SET', 'the environment variable RAGLINE_IS_NOT_SET is not set'],
            ['file:/nonexistent/password', '/nonexistent/password cannot be opened: No such file'],
            ['exec:false', "the secret's command false failed with status 1"]] },
    RaglineRedisPool => { in => 'S',
        good => ['max=5 min=2 idle=30s timeout=1s healthcheck=10s', 'timeout=10ms'],
        bad => [['size=5', 'write max=N, min=N, idle=T, timeout=T or healthcheck=T'], ['max',
            'is not known'],
            ['max=0', 'is not a number from 1 to 10000'], ['min=-1', 'is not a number from 0'],
            ['idle=1ms', 'is out of range'], ['timeout=2min', 'is out of range'],
            ['healthcheck=never', $duration_rule], ['', 'requires at least one argument'],
            ['min=5 max=4', 'min is above max: lower min or raise max']] },
    RaglineRead => { in => 'S', good => ['batch=100 block=1s', 'batch=10000'],
        bad => [['batch=0', 'is not a number from 1 to 10000'], ['block=1ms', 'is out of range'],
            ['count=5', 'write batch=N or block=T']] },
    RaglineStream => { in => 'S',
        good => ['s1 ragline:stream:s1 maxlen=1000 tenant=org type=kind data=body user=who',
            's5 s:{tenant} maxage=7d idle=30d', 's6 s maxage=90min maxlen=5',
            's7 s:{tenant} idle=1h maxage=1h',
            's2 ragline:stream:s2 tenant=literal:main', 's3 ' . 'k' x 159, "s4 k\xc3\xbc"],
        bad => [['s1', 'write NAME KEY'], ['"a b" key', $name_rule], ['s1 key maxlen=many',
            'is not a number'],
            ['s1 key maxlen=0', 'is not a number from 1'], ['s1 key colour=red',
                'write maxlen=N, maxage=T, idle=T, tenant=FIELD'],
            ['s1 key maxage=', 'is not known'], ['s1 key idle=', 'is not known'],
            ['s1 key maxage=0', 'write a duration from 1s to 3650d'],
            ['s1 key:{tenant} idle=0', 'write a duration from 1s to 3650d'],
            (map { ["s1 key maxage=$_->[0]", $_->[1]] } durations('999ms', '3651d')),
            (map { ["s1 key:{tenant} idle=$_->[0]", $_->[1]] } durations('999ms', '3651d')),
            ['s1 key idle=30d', 'idle= is for keys that each tenant has for itself'],
            ['s1 key tenant=literal:main idle=30d', 'put {tenant} into the key, or leave idle= out'],
            ['s1 key:{tenant} idle=1d maxage=25h', 'idle= is shorter than maxage='],
            ['s1 key tenant=literal:a:b', "the literal tenant must be $name_rule"],
            ['s1 ' . 'k' x 160, 'the key must be shorter than 160 characters'],
            ['s1 orders:{tenant} tenant=literal:main', "a key with {tenant} is each tenant's own"],
            ["s1 k\xff", 'the key is not valid UTF-8'],
            ["s1 a\nRaglineStream s1 b",
                'the stream s1 is defined twice: give the second one another name']] },
    RaglineStreamers => { in => 'G', good => ['2'], bad => [numbers( 0, 5)] },
    RaglineMaxConnections => { in => 'G', good => ['1000'], bad => [numbers( 0, 10000001)] },
    RaglineMaxPumps => { in => 'G', good => ['4'], bad => [numbers( 0, 100001)] },
    RaglineCache => { in => 'G', good => ['64MB', '1G', '2097152'], bad => [sizes( '64KB',
        '2000GB')] },
    RaglineMaxMessage => { in => 'G', good => ['512KB'], bad => [sizes( '1', '65MB')] },
    RaglineSendBuffer => { in => 'G', good => ['64KB'], bad => [sizes( '1KB', '17MB')] },
    RaglineDrain => { in => 'G', good => ['5s', '0', '2min'], bad => [durations( '11min', '1h')] },
    RaglineHandoff => { in => 'D', good => ['auto', 'off', 'Off', 'explain'],
        bad => [['maybe', 'write auto, off or explain']] },
    RaglineSubscribe => { in => 'D', good => ['orders', 'orders other'],
        bad => [['nowhere', 'there is no stream nowhere: define it with RaglineStream nowhere KEY'],
            ['orders ' x 9, 'at most 8 streams'], ['', 'requires at least one argument']] },
    RaglineEvents => { in => 'D', good => ['order_* payment', '*', 'e' x 128], bad => [['',
        'requires at least one argument'], map { [$_, 'matches no event type: write 1 to 128 of '
            . 'printable ASCII without spaces'] } '"a b"', "k\xc3\xbc", 'e' x 129] },
    RaglineProfile => { in => 'D', good => ['shop'], bad => [['"a b"', "write $name_rule"],
        ['x' x 65, "write $name_rule"],
        ['a:b', "write $name_rule"]] },
    RaglineHeartbeat => { in => 'D', good => ['45s comment', '30s event', '30s ID', '20s', 'off'],
        bad => [durations( '500ms', '2h'), ['30s loudly',
            'the second argument is event, comment or id']] },
    RaglineChallenge => { in => 'D', good => ['30s', 'off', '1h'], bad => [durations('999ms', '2h')] },
    RaglineReauthorize => { in => 'D', good => ['15min', 'off', '30d'], bad => [durations('999ms', '31d')] },
    RaglineRetry => { in => 'D', good => ['3s', '100ms'], bad => [durations( '99ms', '2h')] },
    RaglineStart => { in => 'D', good => ['new', 'group', 'all', 'last=50', 'since=7d',
        'Since=90'], bad => [
        ['old', 'write new, group, all, last=N or since=T'],
        (map { ["since=$_->[0]", $_->[1]] } durations('999ms', '3651d')),
        ['since=', 'is not a duration'], ['since', 'write new, group, all, last=N or since=T'],
        ['last=5 since=1h', 'last=5 and since=1h are two places to begin at: write one'],
        ['since=1h group', 'since=1h and group are two places to begin at: write one'],
        ['new all last=5', 'takes 1-2 arguments'],
        ['last=0', '"0" is not a number from 1 to'],
        ['last=', 'is not a number'], ['last=x', 'is not a number']] },
    RaglineWires => { in => 'D', good => ['sse', 'ndjson', 'ndjson sse'], bad => [
        ['carrier-pigeon', '"carrier-pigeon" is no wire: write sse, ndjson, poll'],
        ['', 'write one or more of sse, ndjson, poll']] },
    RaglineWebSocketDeflate => { in => 'D', good => ['on', 'off', 'On 1', 'on 4KB', 'on 64MB'], bad => [
        ['maybe', 'write on, on and a size, or off'], ['off 1KB', 'write on, on and a size, or off'],
        ['1KB', 'write on, on and a size, or off'], map { ["on $_->[0]", $_->[1]] } sizes('0', '65MB')] },
    RaglineWebSocketDialect => { in => 'D', good => ['standard', 'ragline', 'Ragline'], bad => [
        ['nchan', 'write standard or ragline'], ['', 'takes one argument']] },
    RaglineWebSocketMaxMessage => { in => 'D', good => ['64KB', '1KB', '16MB'], bad => [
        sizes('1023', '17MB'), ['', 'takes one argument']] },
    RaglineWebSocketPing => { in => 'D', good => ['60s', 'off', 'Off', '1s', '1h'], bad => [
        durations('999ms', '61min'), ['', 'takes one argument']] },
    RaglineGatewayCallback => { in => 'D',
        good => ['http://127.0.0.1:8000/sse/callback', 'https://app.example/cb?secret=x',
            'http://[::1]:8000/', 'http://h'],
        bad => [map({ [$_, 'write a URL such as'] } 'ftp://x/', '/callback', 'http:///x',
            'http://h/#x', '"http://h/a b"', 'http://h:99999/', 'http://h:0/', '"http://a\\\\b/"'),
            ['', 'takes one argument']] },
    RaglineGatewayTimeout => { in => 'D', good => ['5s', '100ms', '60s'], bad => [
        durations('99ms', '61s'), ['', 'takes one argument']] },
    RaglineGatewaySecret => { in => 'D', good => ['env:PATH', '"exec:echo a-secret"'],
        bad => [['secret:abcdefg', 'a secret must not stand in the configuration here'],
            ['hunter2', 'write file:/PATH, env:NAME or exec:COMMAND'],
            [qq("exec:echo K\xc3\xb6ln"), 'the secret has to be printable ASCII'],
            ['', 'takes one argument']] },
    RaglineGatewayCA => { in => 'D', good => ['/etc/passwd'], bad => [
        ['/nowhere/ca.pem', '/nowhere/ca.pem is no file that can be read'],
        ['', 'takes one argument']] },
    RaglineGatewayForwardToken => { in => 'D', good => ['on', 'Off'], bad => [
        ['perhaps', 'must be On or Off']] },
    RaglineGatewayDialect => { in => 'D', good => ['current', '2026-01', '2025-11'], bad => [
        ['2025', 'write current, 2026-01 or 2025-11'], ['', 'takes one argument']] },
    RaglineGatewayRemember => { in => 'G', good => ['1h', 'off', '1s', '7d'], bad => [
        durations('999ms', '8d'), ['', 'takes one argument']] },
    RaglineIdentity => { in => 'D', good => ['%{ragline_query:id}', 'tab-%{REMOTE_USER}'], bad => [
        ['"%{nosuchfunction:x}"', 'does not exist'], ['request_id', 'one identity for everybody'], ['', 'takes one argument']] },
    RaglineDuplicate => { in => 'D', good => ['replace', 'Allow', 'reject'], bad => [
        ['both', 'write replace, allow or reject'], ['', 'takes one argument']] },
    RaglineIdentityKeep => { in => 'D', good => ['5min', 'off', '1s', '30d'], bad => [
        durations('999ms', '31d'), ['', 'takes one argument']] },
    RaglineGatewayLimit => { in => 'G', good => ['concurrent=1', 'waiting=1 concurrent=10000'],
        bad => [['concurrent=0', 'is not a number from 1 to 10000'],
            ['waiting=1000001', 'is not a number from 1 to 1000000'],
            ['100', '"100" is not known: write concurrent=N or waiting=N'],
            ['', 'requires at least one argument']] },
    RaglineAdmin => { in => 'D', good => ['own', 'all', 'All'], bad => [
        ['tenant', 'write own or all'], ['', 'takes one argument']] },
    RaglinePresence => { in => 'D', good => ['off', 'on', 'On', 'orders'], bad => [
        ['nowhere', 'there is no stream nowhere: write off, on, or the name'],
        ['"a b"', 'write off, on, or the name of a stream'], ['', 'takes one argument']] },
    RaglineControl => { in => 'G', good => ['auto', 'on', 'Off'], bad => [
        ['maybe', 'write auto, on or off'], ['', 'takes one argument']] },
    RaglineRevocation => { in => 'G', good => ['closed', 'open', 'Open'], bad => [
        ['maybe', 'write closed or open'], ['', 'takes one argument']] },
    RaglineLimit => { in => 'D', good => ['tenant=1000 user=10', 'tenant=1', 'user=10000000',
            'user=none'], bad => [
        ['', 'takes 1-2 arguments'], ['10', 'write tenant=N, user=N, or both'],
        ['address=3', 'write tenant=N, user=N, or both'], ['user=1 user=2', 'user= is there twice'],
        map { ["user=$_->[0]", $_->[1]] } numbers('0', '10000001')] },
    RaglineReplayLimit => { in => 'D', good => ['1', '50000'], bad => [
        ['0', '"0" is not a number from 1 to'], ['many', 'is not a number']] },
    RaglineDelivery => { in => 'D', good => ['broadcast'], bad => [
        ['twice', 'write broadcast or shared']] },
    RaglineAck => { in => 'D', good => ['socket', 'Socket'], bad => [
        ['server', 'write socket, or client and window=N'], ['', 'takes 1-2 arguments'],
        ['client 5', 'the second argument is window=N'], ['client size=5', 'the second argument is window=N'],
        ['socket window=5', 'the second argument is window=N, behind client'],
        ['client window=0', '"0" is not a number from 1 to'],
        ['client window=1025', 'is not a number from 1 to']] },
    RaglineGroup => { in => 'D', good => ['shop-{tenant}', '{profile}:{tenant}'], bad => [
        ['"a b"', 'a group has 1 to 159 of'], ['""', 'takes one argument'],
        ['x' x 160, 'a group has 1 to 159 of']] },
    RaglineClaimAfter => { in => 'D', good => ['30s', '1h'], bad => [durations('999ms', '25h')] },
    RaglineMaxDeliveries => { in => 'D', good => ['1', '1000'], bad => [
        ['0', '"0" is not a number from 1 to'], ['1001', 'is not a number from 1 to']] },
    RaglineSlowConsumer => { in => 'D', good => ['resume', 'disconnect', 'Disconnect stall=1s',
        'resume stall=1h'], bad => [['drop', 'write resume or disconnect'],
        ['resume 5s', 'the second argument is stall=T'],
        ['resume wait=5s', 'the second argument is stall=T'],
        ['stall=5s', 'write resume or disconnect'], ['', 'takes 1-2 arguments'],
        map { ["resume stall=$_->[0]", $_->[1]] } durations('500ms', '2h')] },
    RaglineTenant => { in => 'D', good => ['main', '"%{REMOTE_USER}"', '"%{ragline_claim:org.id}"',
        '"t-%{env:X}"'],
        bad => [['"a b"', 'is neither a name (1 to 64'], ['*', 'is neither a name'], ['""',
            'takes one argument'],
            ['"%{nosuchfunction:x}"', "Function 'nosuchfunction' does not exist"]] },
    RaglineUser => { in => 'D', good => ['"%{REMOTE_USER}"', 'joe'],
        bad => [['"a b"', 'is neither a name'], ['"%{nosuchfunction:x}"', 'does not exist']] },
    RaglineUserOnly => { in => 'D', good => ['on', 'off'], bad => [['maybe',
        'must be On or Off']] },
    RaglineJWTKey => { in => 'D', good => ["secret:$secret", "secret:$secret alg=HS256 kid=a",
        '"exec:printf %064d 12345689765"'],
        bad => [['', 'write secret:TEXT, env:NAME, file:PATH or exec:CMD'],
            ['plain-secret', 'a secret must begin with what says where it is'],
            ["secret:$secret alg=none", 'only alg=ALG'], ["secret:$secret colour=red",
                'only alg=ALG'],
            ["secret:$secret kid=", 'only alg=ALG'],
            ["secret:$secret kid=" . 'k' x 257, 'kid= is empty, longer than 256 bytes or not UTF-8'],
            ["secret:$secret kid=\xff", 'kid= is empty, longer than 256 bytes or not UTF-8'], ['secret:', 'the secret is empty'],
            ['secret:short',
                'the secret has 5 bytes, and HS256 needs at least 32: make one with: openssl'],
            ["secret:$secret alg=HS512", 'and HS512 needs at least 64'],
            ['secret:' . 'a' x 40, 'consists of very few different characters'],
            ['secret:your-secret-key-change-in-production',
                'is a published example that everybody knows'],
            ["secret:$secret alg=RS256", 'RS256 takes a public key in PEM'],
            ['file:/nonexistent/key', '/nonexistent/key cannot be opened'],
            ['env:RAGLINE_IS_NOT_SET', 'is not set where httpd was started']] },
    RaglineJWTAlg => { in => 'D', good => ['HS256', 'EdDSA'], bad => [['none',
        'write an algorithm such as'],
        ['hs256', 'write an algorithm such as']] },
    RaglineJWTRequire => { in => 'D', good => ['type access', 'org.id 5', 'c' x 255 . ' 5'],
        bad => [['type', 'takes two arguments'],
            ['c' x 256 . ' x', 'the name of a claim has at most 255 bytes']] },
    RaglineJWTLeeway => { in => 'D', good => ['10s', '0'], bad => [durations( '11min', '1h')] },
    RaglineTokenFrom => { in => 'D', good => ['header cookie:token query:token'],
        bad => [['body', 'write header, cookie:NAME or query:NAME'], ['cookie:', 'is not known'],
            ['"cookie:a;b"', 'is not known'], ['query:a=b', 'is not known'], ['',
                'requires at least one argument']] },
    RaglineOrigins => { in => 'D', good => ['https://app.example https://other.example:8443', '*',
        'http://[::1]:8080'],
        bad => [['app.example', 'is not an origin: write https://HOST or https://HOST:PORT'],
            ['https://', 'is not an origin'], ['https://b%C3%BC.example', 'is not an origin'],
            ['https://app.example/', 'leave out the path and the slash at the end'], ['http://a/',
                'leave out the path'],
            ['https://*.example', 'a part of an origin cannot be *'],
            ['https://app.example:443', 'leave out :443'], ['http://app.example:80',
                'leave out :80'],
            ['https://app.example:http', 'the port is not a number'], ['https://u@app.example',
                'is not an origin'], ['https://app.example:1:2', 'the port is not a number'],
            ['http://a:65536', 'the port is not a number'], ['http://[::1', 'is not an origin'],
            ['* https://app.example',
                '* stands for every origin: write it alone, or leave it out']] },
    RaglinePublish => { in => 'D', good => ['orders', 'orders any-tenant'],
        bad => [['nowhere', 'RaglinePublish: there is no stream nowhere'], ['',
            'requires at least one argument']] },
);

my $streams = "RaglineStream orders ragline:stream:orders\n"
    . "RaglineStream other ragline:stream:other\n";

sub configtest
{
    my ($conf) = @_;
    return Ragline::Httpd->new(name => 'directives', conf => $streams . $conf)->configtest;
}

sub refused
{
    my ($name, $conf, $directive, $sentence) = @_;
    my ($status, $output) = configtest($conf);
    isnt($status, 0, "$name: refused");
    like($output, qr/\b$directive\b/, "$name: the message names the directive");
    like($output, qr/\Q$sentence\E/, "$name: and says what to write");
    unlike($output, qr/Syntax OK/, "$name: and nothing else");
    return;
}

sub accepted
{
    my ($name, $conf) = @_;
    my ($status, $output) = configtest($conf);
    ok($status == 0 && $output =~ /Syntax OK/, "$name: accepted") or diag($output);
    return;
}

# --- the module's own list, in which nothing may be without a row -------------------------------

my $httpd = Ragline::Httpd->new(name => 'running', conf => <<"EOF");
<Location /info>
    SetHandler server-info
</Location>
<Directory "\@DOCROOT\@">
    AllowOverride All
</Directory>
<Directory "\@DOCROOT\@/listed">
    AllowOverride None
    AllowOverrideList @{[ sort keys %row ]}
</Directory>
EOF
mkdir($httpd->docroot . '/listed');
$httpd->start;
my $info = $httpd->request(path => '/info?mod_ragline_stream.c')->body;
my %known = map { $_ => 1 } $info =~ /\b(Ragline[A-Z]\w+)\b/g;
ok(keys(%known) > 20, 'the module says which directives it has') or diag($info);
is_deeply([sort keys %row], [sort keys %known], 'each has a row here');

# --- where each may stand, and what it takes ----------------------------------------------------

for my $directive (sort keys %row) {
    my ($in, $good, $bad) = @{ $row{$directive} }{qw(in good bad)};
    my $first = "$directive $good->[0]\n";
    my %place = (
        'a virtual host' => "<VirtualHost *>\n$first</VirtualHost>\n",
        'a <Location>' => "<Location /x>\n$first</Location>\n",
        'a <Directory>' => "<Directory /x>\n$first</Directory>\n",
    );
    my %allowed = (G => [], S => ['a virtual host'],
        D => ['a virtual host', 'a <Location>', 'a <Directory>']);
    # Each alone: a mistake in one must not hide behind another.
    accepted("$directive in the server", $first);
    accepted("$directive in $_", $place{$_}) for @{ $allowed{$in} };
    for my $where (sort keys %place) {
        next if grep { $_ eq $where } @{ $allowed{$in} };
        refused("$directive in $where", $place{$where}, $directive,
            $where =~ /host/ ? 'cannot occur within <VirtualHost> section'
                : "$directive not allowed in");
    }
    refused("$directive in <Limit>", "<Location /x>\n<Limit GET>\n$first</Limit>\n</Location>\n",
        $directive, 'cannot occur within <Limit>') if $in eq 'D';
    accepted("$directive $_", "$directive $_\n") for @$good[1 .. $#$good];
    refused("$directive $_->[0]" =~ s/^(.{60}).*/$1.../sr, "$directive $_->[0]\n", $directive,
        $_->[1])
        for @$bad;
}

# Who may write .htaccess must not choose a tenant.
for my $directive (sort keys %row) {
    spew($httpd->docroot . '/.htaccess', "$directive $row{$directive}{good}[0]\n");
    chmod(0644, $httpd->docroot . '/.htaccess');
    is($httpd->request(path => '/')->status, 500, "$directive in .htaccess is an error");
}
my $log = $httpd->error_log;
like($log, qr/\b$_ not allowed here/, "$_: and the log says why") for sort keys %row;

# Not even where the administrator lists it by name.
chmod(0755, $httpd->docroot . '/listed');
unlink($httpd->docroot . '/.htaccess');
for my $directive (sort keys %row) {
    for my $arguments (@{ $row{$directive}{good} }) {
        spew($httpd->docroot . '/listed/.htaccess', "$directive $arguments\n");
        chmod(0644, $httpd->docroot . '/listed/.htaccess');
        is($httpd->request(path => '/listed/')->status, 500,
            "$directive in .htaccess with AllowOverrideList is an error");
    }
}
spew($httpd->docroot . '/listed/.htaccess', "# nothing\n");
is($httpd->request(path => '/listed/')->status, 404, 'which a .htaccess as such is not');
$log = $httpd->error_log;
for my $directive (sort keys %row) {
    # httpd itself refuses to list those of the server.
    my $sentence = $row{$directive}{in} eq 'D' ? 'cannot occur within htaccess files'
        : 'not allowed here';
    like($log, qr{/listed/.htaccess: $directive $sentence}, "$directive: and the log says why");
}
unlike($log, qr/exit signal/, 'no child crashed');
$httpd->stop;

# --- the defaults, as the reference has them ----------------------------------------------------

my ($source) = slurp('Makefile') =~ /^abs_top_srcdir = (.*)$/m;
my $reference = slurp(($source // '.') . '/docs/DIRECTIVES.md');
my $written = 0;
for my $directive (sort keys %row) {
    my ($default) = $reference =~ /^\#\#\# $directive\n.*?^\| Default: \| ([^\n]*) \|$/ms;
    ok(defined $default, "$directive: the reference has a default") or next;
    next if $default !~ /^`($directive .*)`$/;
    $written++;
    accepted("the default $1", "$1\n");
}
ok($written > 10, 'many have one that can be written');

done_testing();
