# SPDX-License-Identifier: Apache-2.0
#
# What `apachectl configtest` says: the sample passes, mistakes fail with the directive's name.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(spew);
use Ragline::Test;

sub configtest
{
    my ($conf) = @_;
    return Ragline::Httpd->new(name => 'configtest', conf => $conf)->configtest;
}

my $streams = "RaglineStream orders ragline:stream:orders\n";

{
    my ($status, $output) = configtest($streams
        . bearer_location('/stream', 'RaglineSubscribe orders'));
    is($status, 0, 'a small endpoint is fine') or diag($output);
    like($output, qr/Syntax OK/, 'and httpd says so');
    unlike($output, qr/\Q$Ragline::Token::SECRET/, 'without showing the secret');
}

# All of section 4's directives that this version has, in one configuration.
{
    my ($status, $output) = configtest(<<"EOF");
RaglineRedis redis://127.0.0.1:1/3
RaglineRedisPool max=5 min=2 idle=30s timeout=1s healthcheck=10s
RaglineRead batch=100 block=1s
RaglineStream orders ragline:stream:orders maxlen=1000 tenant=org type=kind data=body user=who
RaglineStream site ragline:stream:site tenant=literal:main
RaglineStreamers 2
RaglineMaxConnections 1000
RaglineMaxPumps 4
RaglineCache 64MB
RaglineMaxMessage 512KB
RaglineSendBuffer 64KB
RaglineDrain 5s
<Location /stream>
    SetHandler ragline-sse
    AuthType RaglineJWT
    RaglineJWTAlg HS256
    RaglineJWTKey secret:$Ragline::Token::SECRET
    RaglineJWTRequire type access
    RaglineJWTLeeway 10s
    RaglineTokenFrom header cookie:token query:token
    Require valid-user
    RaglineTenant "%{ragline_claim:org.id}"
    RaglineUser "%{REMOTE_USER}"
    RaglineUserOnly on
    RaglineOrigins https://app.example https://other.example:8443
    RaglineSubscribe orders
    RaglineEvents order_* invoice_*
    RaglineProfile shop
    RaglineHeartbeat 45s comment
    RaglineRetry 3s
    RaglineHandoff off
</Location>
<Location /publish>
    SetHandler ragline-publish
    RaglineTenant main
    Require all granted
    RaglinePublish orders any-tenant
</Location>
<Location /health>
    SetHandler ragline-health
</Location>
<Location /stats>
    SetHandler ragline-stats
</Location>
EOF
    is($status, 0, 'every directive is taken') or diag($output);
}

my @mistakes = (
    ['RaglineRedis', "RaglineRedis http://127.0.0.1/\n"],
    ['RaglineRedis', "RaglineRedis redis://127.0.0.1:99999/\n"],
    ['RaglineStream', "RaglineStream orders\n"],
    ['RaglineStream', "RaglineStream orders key maxlen=many\n"],
    ['RaglineStream', "RaglineStream orders key colour=red\n"],
    ['RaglineDrain', "RaglineDrain soon\n"],
    ['RaglineStreamers', "RaglineStreamers none\n"],
    ['RaglineMaxConnections', "RaglineMaxConnections 0\n"],
    ['RaglineRedisPool', "RaglineRedisPool max=0\n"],
    ['RaglineRead', "RaglineRead batch=-1\n"],
    ['RaglineHandoff', "<Location /x>\nRaglineHandoff maybe\n</Location>\n"],
    ['RaglineHeartbeat', "<Location /x>\nRaglineHeartbeat 30s loudly\n</Location>\n"],
    ['RaglineTokenFrom', "<Location /x>\nRaglineTokenFrom body\n</Location>\n"],
    ['RaglineJWTKey', "<Location /x>\nRaglineJWTKey plain-secret-without-a-form\n</Location>\n"],
    # Settings of the whole server cannot differ between hosts.
    ['RaglineStreamers', "<VirtualHost *>\nRaglineStreamers 2\n</VirtualHost>\n"],
    ['RaglineDrain', "<Location /x>\nRaglineDrain 2s\n</Location>\n"],
    ['RaglineStream', "<Location /x>\nRaglineStream a b\n</Location>\n"],
);
for my $mistake (@mistakes) {
    my ($directive, $conf) = @$mistake;
    my ($status, $output) = configtest($conf);
    (my $name = $conf) =~ s/\n/; /g;
    isnt($status, 0, "refused: $name");
    like($output, qr/\b$directive\b/, 'by a message that names the directive');
}

{
    my ($status, $output) = configtest(<<"EOF");
$streams
<Location /stream>
    SetHandler ragline-sse
    AuthType RaglineJWT
    Require valid-user
    RaglineSubscribe orders
</Location>
EOF
    isnt($status, 0, 'AuthType RaglineJWT without a key is refused');
    like($output, qr/RaglineJWTKey/, 'by a message that says what to write');
}

# A site's user must not choose a tenant: nothing of ours is allowed in .htaccess.
{
    my $httpd = Ragline::Httpd->new(name => 'htaccess', conf => <<"EOF");
<Directory "\@DOCROOT\@">
    AllowOverride All
</Directory>
EOF
    spew($httpd->docroot . '/.htaccess', "RaglineTenant other\n");
    chmod(0644, $httpd->docroot . '/.htaccess');
    $httpd->start;
    is($httpd->request(path => '/')->status, 500, 'a directive in .htaccess is an error');
    like($httpd->error_log, qr/RaglineTenant not allowed here/, 'and the log says why');
}

done_testing();
