# SPDX-License-Identifier: Apache-2.0
#
# An endpoint is what the administrator's sections make of a URL, not what a directory says.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Test;

my $redis = redis_a();
my $httpd = Ragline::Httpd->new(name => 'htaccess', conf => <<"EOF")->start;
RaglineRedis @{[ $redis->url ]}
RaglineStream orders ragline:stream:orders
RaglineTenant everybody
RaglineSubscribe orders
RaglinePublish orders
<Directory "\@ROOT\@/htdocs">
    AllowOverride All
    Require all granted
</Directory>
<Directory "\@ROOT\@/htdocs/section">
    RaglineProfile section
    # As a word configtest would refuse it.
    SetHandler "%{reqenv:NOTHING}ragline-sse"
</Directory>
<Location /if>
    <If "true">
        SetHandler ragline-stats
    </If>
</Location>
EOF

sub get { return Ragline::HTTP::request(port => $httpd->port, path => $_[0], method => $_[1] // 'GET', @_[2 .. $#_]) }

mkdir $httpd->docroot . "/$_" or die "$_: $!" for qw(a section);
for my $handler (qw(ragline-sse ragline-stats ragline-publish ragline-health)) {
    open my $file, '>', $httpd->docroot . '/a/.htaccess' or die $!;
    print $file "SetHandler $handler\n";
    close $file or die $!;
    for my $method (qw(GET POST)) {
        my $response = get('/a/x', $method);
        unlike($response->status, qr/^2/, "$handler in .htaccess opens nothing ($method)");
        unlike($response->body, qr/connected|streams|redis/, 'and tells nothing');
    }
}
unlike(get('/section/')->status, qr/^2/, 'nor does a handler of a <Directory>');
is(get('/if')->status, 200, 'a handler in an <If> of a <Location> does');
unlike($httpd->error_log, qr/AH00052|signal/, 'no child crashed');

done_testing();
