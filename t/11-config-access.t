# SPDX-License-Identifier: Apache-2.0
#
# What comes of the sections together, for somebody who brings nothing: `apachectl configtest` says
# who can open an endpoint without being asked, what lets nobody in, and which URLs are none.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Test;

my $streams = "RaglineStream orders ragline:stream:orders\n";
my $key = "RaglineJWTKey secret:$Ragline::Token::SECRET\n";
my $sse = "SetHandler ragline-sse\nRaglineSubscribe orders\n";
my $main = "RaglineTenant main\n";
my $jwt = "AuthType RaglineJWT\n";
my $valid = "Require valid-user\n";
my $granted = "Require all granted\n";
my $words = qr/RS06\d\d/;

sub section { my ($tag, @in) = @_; return "<$tag>\n" . join('', @in) . '</' . ($tag =~ /^(\w+)/)[0]
    . ">\n" }
sub host { my ($port, $name, @in) = @_; return section("VirtualHost *:$port", "ServerName $name\n",
    @in) }
sub location { my ($path, @in) = @_; return section("Location $path", @in) }

# What is said, without where and when.
sub said
{
    my (@conf) = @_;
    my ($status, $output) = Ragline::Httpd->new(name => 'access', conf => join '', $streams, @conf)
        ->configtest;
    return ($status, $output, $output =~ /$words: (?:\S+ line \d+: )?(.*)/g);
}

sub fine
{
    my ($name, @conf) = @_;
    my ($status, $output, @said) = said(@conf);
    ok($status == 0 && !@said, "fine: $name") or diag($output);
    return;
}

# One sentence, and a refusal or not.
sub one
{
    my ($refused, $name, $sentence, @conf) = @_;
    my ($status, $output, @said) = said(@conf);
    ok(@said == 1 && index($said[0], $sentence) >= 0 && ($status ? 1 : 0) == $refused,
        ($refused ? 'wrong' : 'warned') . ": $name") or diag("status $status\n$output");
    return;
}
sub wrong { return one(1, @_) }
sub warned { return one(0, @_) }

# --- open by accident ---------------------------------------------------------------------------

my $unasked = 'everybody is let in without being asked who it is, so Require valid-user';
wrong('Require all granted beside it', "<Location /x>: $unasked", location('/x', $sse, $key, $jwt,
    $valid, $granted));
wrong('... before it', $unasked, location('/x', $sse, $key, $jwt, $granted, $valid));
wrong('... with a tenant for all', $unasked, location('/x', $sse, $main, $key, $jwt, $granted,
    $valid));
wrong('... of another module', $unasked, location('/x', $sse, $main, "AuthType Basic\n", $granted,
    $valid));
wrong("... at ragline-$_", $unasked, location('/x', "SetHandler ragline-$_\n", $key, $jwt, $granted,
    $valid)) for 'stats', 'health';
wrong('... to publish', $unasked, location('/x', "SetHandler ragline-publish\n",
    "RaglinePublish orders any-tenant\n", $key, $jwt, $granted, $valid));
wrong('... in <RequireAny>', $unasked, location('/x', $sse, $key, $jwt, section('RequireAny', $granted,
    section('RequireAll', $valid, "Require ragline-claim a b\n"))));
wrong('... in <RequireNone>', 'so Require ragline-claim role guest', location('/x', $sse, $key, $jwt,
    section('RequireAll', $granted, section('RequireNone', "Require ragline-claim role guest\n"))));
wrong('Require not, beside it', 'so Require not ragline-claim role guest', location('/x', $sse, $key,
    $jwt, section('RequireAll', $granted, "Require not ragline-claim role guest\n")));
wrong('... for the method of streams', $unasked, location('/x', $sse, $key, $jwt, $valid,
    "Require method GET\n"));
fine('... for another one', location('/x', $sse, $key, $jwt, $valid, "Require method POST\n"));
wrong('... for that of publishing', $unasked, location('/x', "SetHandler ragline-publish\n",
    "RaglinePublish orders\n", $key, $jwt, $valid, "Require method POST\n"));
wrong('... by a pattern', "<LocationMatch ^/x/>: $unasked", section('LocationMatch ^/x/', $sse, $key,
    $jwt, $valid, $granted, "RaglineProfile x\n"));
wrong('... in an <If>', "<If> in <Location /x>: $unasked", location('/x', section('If "true"', $sse,
    $key, $jwt, $valid, $granted)));
wrong('... around an <If>', "<If> in <Location /x>: $unasked", location('/x', $jwt, $valid, $granted,
    section('If "true"', $sse, $key)));
wrong('... by AuthMerging', $unasked, location('/x', $jwt, $key, $valid), location('/x/y', $sse,
    "AuthMerging Or\n", $granted));
fine('a Require of the section above, which is replaced', location('/x', $key, $jwt, $granted),
    location('/x/y', $sse, $valid));
fine('Require all granted and then more', location('/x', $sse, $key, $jwt, section('RequireAll',
    $granted, $valid)));
fine('addresses and tokens', location('/x', $sse, $key, $jwt, $valid, "Require local\n"));
fine('all but some addresses, with a token', location('/x', $sse, $key, $jwt, section('RequireAll',
    $valid, "Require not ip 10.0.0.1\n")));
wrong('<Limit> for other methods', 'everybody is let in', location('/x', $sse, $key, $jwt,
    section('Limit POST', $valid)), location('/x', $granted), location('/x', "AuthMerging And\n",
    section('Limit GET', $granted, $valid)));
wrong('only <Limit> for other methods', 'AuthType RaglineJWT asks nobody for a token', location('/x',
    $sse, $key, $jwt, section('Limit POST', $valid)));
fine('<LimitExcept>', location('/x', $sse, $key, $jwt, section('LimitExcept POST', $valid)));

# A section that comes later replaces the Require of one that is more exact, too.
{
    my @guarded = ($sse, $main, $key, $jwt, $valid);
    my $undone = '<Location /x>: Require valid-user (line';
    warned("a Require that $_->[0] undoes", $undone, location('/x', @guarded), section(@{$_}[1, 2]))
        for ['the whole host', 'Location /', $granted], ['the same path', 'Location /x', $granted],
        ['an address', 'Location /', "Require ip 10.0.0.0/8\n"],
        ['a pattern', 'LocationMatch ^/(x|y)', $granted], ['another one', 'Location /x*', $granted];
    warned("... of the main server, $_", $undone, location('/x', @guarded), host(80, 'a',
        location($_, $granted))) for '/', '/x';
    warned('... of another module', $undone, location('/x', $sse, $main, "AuthType Basic\n", $valid),
        location('/', $granted));
    wrong('... with the tenant of a token', $undone, location('/x', $sse, $key, $jwt, $valid),
        location('/', $granted));
    fine('... before it', location('/', $granted), location('/x', @guarded));
    fine('... further down', location('/x', @guarded), location('/x/y', $granted));
    fine('... further down by a pattern', location('/x', @guarded), section('LocationMatch ^/x/y',
        $granted), location('/x/y', "RaglineRetry 1s\n"));
    fine('... and is done again', location('/x', @guarded), location('/', $granted), location('/x',
        $valid));
    fine('... with AuthMerging', location('/x', @guarded), location('/', "AuthMerging And\n",
        "Require local\n"));
}

wrong('a site with one tenant, without Require and AuthType', '<Location /x>: RaglineJWTKey asks '
    . 'nobody for a token, since there is no Require, so everybody may read these events: add AuthType '
    . 'RaglineJWT and Require valid-user', location('/x', $sse, $main, $key,
    "RaglineTokenFrom cookie:t\n"));
wrong('... without Require', 'AuthType asks nobody for a token, since there is no Require, so everybody '
    . 'may read these events: add Require valid-user', location('/x', $sse, $main, $key, $jwt));
wrong('... of another module', 'AuthType asks nobody for a user', location('/x', $sse, $main,
    "AuthType Basic\n"));
warned('... with nothing', 'no Require says who may read these events, so everybody may: add one '
    . '(Require all granted if that is meant)', location('/x', $sse, $main));
warned('... in a host with a key', 'no Require says', $key, location('/x', $sse, $main));
warned('... by a pattern', 'no Require says', section('LocationMatch ^/x/', $sse, $main,
    "RaglineProfile x\n"));
fine('... which is meant', location('/x', $sse, $main, $granted));
fine('... guarded above', location('/x', "Require local\n"), location('/x/y', $sse, $main));
fine('... guarded by a pattern', section('LocationMatch ^/x', "Require local\n"), location('/x/y',
    $sse, $main));
fine('... guarded in all of the host', location('/', "Require local\n"), section('LocationMatch ^/x/',
    $sse, $main, "RaglineProfile x\n"));
fine('a tenant that only some have', location('/x', $sse, "RaglineTenant %{SSL_CLIENT_S_DN_O}\n"));
warned('statistics', 'no Require says who may see the statistics', location('/s',
    "SetHandler ragline-stats\n"));
wrong('statistics with a key', 'so everybody may see the statistics', location('/s',
    "SetHandler ragline-stats\n", $key));
my $gateway = "SetHandler ragline-gateway\nRaglineGatewayCallback http://127.0.0.1:1/\n";
fine('a gateway, whose back end decides', location('/g', $gateway));
wrong('sends to it', 'no Require says who may send to every connection, so everybody may: add one',
    location('/send', "SetHandler ragline-gateway-send\n"));
fine('... that were meant', location('/send', "SetHandler ragline-gateway-send\n", $granted));
for my $case (["SetHandler ragline-gateway-send\n", 'send to every connection'],
    ["SetHandler ragline-publish\nRaglinePublish s\n" . $main, 'publish']) {
    my ($handler, $what) = @$case;
    my @at = ("RaglineStream s s\n", '/p', $handler);
    my $at = sub { my ($first, @place) = @at; return ($first, location(@place, @_)) };
    wrong("$_ for another method", "everybody may $what, since no Require is for POST",
        $at->(section($_, "Require local\n"))) for 'Limit GET', 'LimitExcept POST';
    fine('for this one', $at->(section('Limit POST', "Require local\n")));
    fine('and one for all', $at->("Require local\n", section('Limit GET', $granted)));
}
fine("a gateway's health", location('/readyz', "SetHandler ragline-gateway-health\n"));
fine('health', location('/h', "SetHandler ragline-health\n"));
warned('AuthType, and Require all granted', 'AuthType RaglineJWT asks nobody for a token', location('/x',
    $sse, $main, $key, $jwt, $granted));
fine('... of a section below', location('/x', $key, $jwt, $valid), location('/x/y', $sse, $main,
    $granted));
wrong('an expression that does not ask for the user', 'AuthType RaglineJWT asks nobody for a token',
    location('/x', $sse, $key, $jwt, "Require expr \"%{ragline_claim:plan} == 'pro'\"\n"));
fine('... that does', location('/x', $sse, $key, $jwt,
    "Require expr \"-n %{REMOTE_USER} && %{ragline_claim:plan} == 'pro'\"\n"));

# --- closed by accident ---------------------------------------------------------------------------

my $no_type = 'Require valid-user needs a user, and without AuthType nobody finds out who it is, so every '
    . 'request is answered 500: add AuthType';
wrong('a key, and no AuthType', $no_type, location('/x', $sse, $main, $key, $valid));
warned('a Require, and no AuthType', $no_type, location('/x', $sse, $main, $valid));
warned('... of statistics', $no_type, location('/x', "SetHandler ragline-stats\n", $valid));
fine('AuthType above', location('/', "AuthType Basic\n"), location('/x', $sse, $main, $valid));
{
    my ($status, $output) = said(location('/x', $sse, $main, $key, $jwt, section('RequireAll',
        "Require not ragline-claim a b\n")));
    isnt($status, 0, 'Require not alone is refused');
    like($output, qr/only negative authorization directives/, 'by httpd');
}
wrong("AuthType $_", "AuthType $_: there is no such type: write RaglineJWT", location('/y',
    "AuthType $_\n", $valid)) for 'Ragline', 'Ragline-JWT', 'RaglineJWTs';

# --- who may see who is connected ----------------------------------------------------------------

my $admin = "SetHandler ragline-admin\n";
my $open = '<Location /x>: everybody could see who is connected: guard it with';
wrong('ragline-admin without a Require', $open, location('/x', $admin, "RaglineAdmin all\n"));
wrong('... with a key alone', $open, location('/x', $admin, $key, $jwt));
wrong('... with Require all granted', $open, location('/x', $admin, "RaglineAdmin all\n", $granted));
wrong('... and a tenant for all', $open, location('/x', $admin, $main, $granted));
wrong('... in <RequireAny>', $open, location('/x', $admin, "RaglineAdmin all\n",
    section('RequireAny', $granted, "Require local\n")));
wrong('... for nobody knows whose', 'nothing says whose connections these are', location('/x', $admin,
    "Require local\n"));
fine('Require local, for all', location('/x', $admin, "RaglineAdmin all\n", "Require local\n"));
fine('Require local, for one', location('/x', $admin, $main, "Require local\n"));
fine('tokens', location('/x', $admin, $key, $jwt, $valid));
# A pattern that is not the same does not make a secret of what the section itself says.
{
    my $pattern = section('LocationMatch "^/(a|b)"', $jwt, $key, $valid);
    my @open = (section('LocationMatch "^/x"', $admin, "RaglineAdmin all\n", $granted));
    wrong('... in a <LocationMatch> beside another one', 'everybody could see who is connected',
        $pattern, @open);
    fine('... that may guard it', @open, $pattern);
}
my $basic = "AuthType Basic\nAuthName x\nAuthUserFile /dev/null\n";
wrong('... guarded for GET alone', 'everybody could end connections and send to them', location('/x',
    $admin, "RaglineAdmin all\n", $basic, section('Limit GET', $valid)));
wrong('... for all but GET', $open, location('/x', $admin, "RaglineAdmin all\n", $basic,
    section('LimitExcept GET', $valid)));
fine('... for both', location('/x', $admin, "RaglineAdmin all\n", $basic, section('Limit GET POST', $valid)));
{
    my $old = "LoadModule access_compat_module $Ragline::Httpd::suite{libexecdir}/mod_access_compat.so\n";
    my @all = ($admin, "RaglineAdmin all\n");
    wrong('... with Allow from all', $open, $old, location('/x', @all, "Order allow,deny\nAllow from all\n"));
    wrong('... with Order alone', $open, $old, location('/x', @all, "Order deny,allow\n"));
    wrong('... with Satisfy Any', $open, $old, location('/x', @all, $basic, $valid, "Satisfy Any\n"));
    fine('Satisfy Any for some', $old, location('/x', @all, $basic, $valid,
        "Satisfy Any\nOrder deny,allow\nDeny from all\nAllow from 10.0.0.0/8\n"));
    fine('Deny from all', $old, location('/x', @all, "Order allow,deny\nAllow from wallet.example\n"));
    fine('an order that lets nobody in', $old, location('/x', @all, "Order allow,deny\n"));
}
wrong('ragline-ws-stats without a Require', $open, location('/x', "SetHandler ragline-ws-stats\n", "RaglineAdmin all\n"));
fine('ragline-ws-stats', location('/x', "SetHandler ragline-ws-stats\n", $key, $jwt, $valid));

# --- what is no endpoint --------------------------------------------------------------------------

wrong("SetHandler $_", "SetHandler $_: there is no such handler: write ragline-sse, ragline-websocket, "
    . 'ragline-publish, ragline-stats, ragline-health, ragline-gateway, ragline-gateway-send, '
    . 'ragline-gateway-health, ragline-admin or ragline-ws-stats',
    location('/x', "SetHandler $_\nRaglineSubscribe orders\n"))
    for 'ragline_sse', 'ragline-see', 'Ragline-SSE', 'ragline', 'RAGLINE-publish';
wrong('... in an <If>', 'SetHandler ragline_sse: there is no such handler', location('/x',
    section('If "true"', "SetHandler ragline_sse\n")));
fine("SetHandler $_", location('/x', "SetHandler $_\n")) for 'server-status', 'None',
    '"%{env:HANDLER}"', '"ragline-%{env:HANDLER}"', 'default-handler';
wrong("SetHandler in $_", 'has no effect in <' . (split)[0] . '>: an endpoint is a URL, and no file or '
    . 'directory: write it in a <Location>', section($_, $sse, $main, "RaglineProfile a\n"))
    for 'Directory /srv', 'DirectoryMatch ^/srv', 'Files x', 'FilesMatch x$';
wrong('... in an <If>', 'has no effect in <If>', section('Directory /srv', section('If "true"', $sse)));
wrong('... in a host', 'has no effect in <Files>', section('VirtualHost *:1', section('Directory /srv',
    section('Files x', $sse))));
wrong("... $_", 'has no effect in <Files>', section('Files x', "SetHandler $_\n"))
    for 'ragline-health', 'ragline-stats', 'ragline-publish';
wrong('AddHandler', 'AddHandler ragline-sse has no effect', "AddHandler ragline-sse .sse\n");
wrong('a path without a slash', '<Location x>: the path of a URL begins with a slash, so none reaches '
    . 'this endpoint: write <Location /x>', location('x', $sse, $key, $jwt, $valid));
my $slash = 'with the slash at its end reaches this endpoint, and /x/y does not: leave the slash out';
warned('a slash at the end', "<Location /x/y/>: only /x/y/ $slash", location('/x/y/', $sse, $key, $jwt,
    $valid));
warned('... of a section below an endpoint', $slash, location('/x', $sse, $key, $jwt, $valid),
    location('/x/y/', "RaglineRetry 3s\n"));
fine('... of one that is above endpoints', location('/x/', $key, $jwt, $valid), location('/x/y', $sse));
warned('a handler that a section further down replaces', '<Location /x>: a section further down gives '
    . 'this URL another handler, so it is no endpoint', location('/x', $sse, $key, $jwt, $valid),
    location('/', "SetHandler default-handler\n"));
fine('... that comes before', location('/', "SetHandler default-handler\n"), location('/x', $sse, $key,
    $jwt, $valid));

warned("$_->[0] without a handler", "<Location /x> has $_->[0] and is no endpoint: add SetHandler "
    . $_->[1], location('/x', "$_->[0] orders\n", $key, $jwt, $valid))
    for ['RaglineSubscribe', 'ragline-sse'], ['RaglinePublish', 'ragline-publish'];
warned('... in another host than the handler', 'is no endpoint', section('VirtualHost *:1',
    location('/x', "RaglineSubscribe orders\n")), section('VirtualHost *:2', location('/x', $sse,
    $main, $granted)));
fine('... with one below', location('/x', "RaglineSubscribe orders\n", $main), location('/x/y',
    "SetHandler ragline-sse\n", $granted));
fine('... with one in a host', location('/x', "RaglineSubscribe orders\n", $main, $granted),
    section('VirtualHost *:1', location('/x', "SetHandler ragline-sse\n")));
fine('... by a pattern', location('/x', "RaglineSubscribe orders\n", $main, $granted),
    section('LocationMatch ^/[x-z]$', "SetHandler ragline-sse\n", "RaglineProfile x\n"));
fine('... by an expression', location('/x', "RaglineSubscribe orders\n", $main, $granted,
    "SetHandler %{env:HANDLER}\n"));

# --- the same host over TLS -----------------------------------------------------------------------

{
    my @in = (location('/x', $sse, $key, $jwt, $valid));
    my $tls = "SSLEngine on\n";
    my $lost = '<Location /x> of the same host without TLS';
    warned('an endpoint that the host has only without TLS', $lost, host(80, 'a', @in), host(443, 'a',
        $tls));
    warned('... which is said in the end', $lost, host(80, 'a', "SSLEngine on\nSSLEngine off\n", @in),
        host(443, 'a', "SSLEngine off\n", $tls));
    warned('... the other way around in the files', $lost, host(443, 'a', $tls), host(80, 'a', @in));
    fine('... that both have', host(80, 'a', @in), host(443, 'a', $tls, @in));
    fine('... that all have', @in, host(80, 'a'), host(443, 'a', $tls));
    my @names = ('a', "ServerAlias c\n");
    warned('... by its alias', $lost, host(80, @names, @in), host(443, 'c', $tls));
    warned('... by the alias with TLS', $lost, host(80, 'c', @in), host(443, @names, $tls));
    warned('... by a pattern', $lost, host(80, 'a.b', @in), host(443, 'x', $tls,
        "ServerAlias *.b\n"));
    fine('... by a pattern, and another one has the name', host(80, 'a.b', @in), host(443, 'x', $tls,
        "ServerAlias *.b\n"), host(443, 'a.b', $tls, @in));
    fine('... that has it by the alias', host(80, @names, @in), host(443, 'c', $tls, @in));
    fine('... that another one has', host(80, 'a', @in), host(443, 'b', $tls));
    fine('... only with TLS', host(80, 'a', "Redirect / https://a/\n"), host(443, 'a', $tls, @in));
    fine('... of a host without TLS on another port', host(80, 'a', @in), host(8080, 'a'));
    fine('statistics of one of them', host(80, 'a', location('/s', "SetHandler ragline-stats\n",
        "Require local\n")), host(443, 'a', $tls));
}

done_testing();
