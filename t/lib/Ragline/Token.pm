# SPDX-License-Identifier: Apache-2.0
#
# JSON Web Tokens for the tests, from core modules only: the tests must not share a JWT library
# with what they test.
package Ragline::Token;

use strict;
use warnings;

use Digest::SHA ();
use JSON::PP ();
use MIME::Base64 ();

# At least 32 bytes: shorter secrets are refused for HS256.
our $SECRET = 'test-secret-test-secret-test-secret-0001';

my $json = JSON::PP->new->canonical->utf8;
my %digest = (
    HS256 => \&Digest::SHA::hmac_sha256,
    HS384 => \&Digest::SHA::hmac_sha384,
    HS512 => \&Digest::SHA::hmac_sha512,
    none => sub { '' },
);

# encode(\%claims, secret => ..., alg => 'HS256', header => {...}); claims may be JSON text.
sub encode
{
    my ($claims, %option) = @_;
    my $alg = $option{alg} // 'HS256';
    my $header = { typ => 'JWT', alg => $alg, %{ $option{header} // {} } };
    my $signed = join '.', map { MIME::Base64::encode_base64url(ref($_) ? $json->encode($_) : $_) }
        $header, $claims;
    my $signature = $digest{$alg}->($signed, $option{secret} // $SECRET);
    return $signed . '.' . MIME::Base64::encode_base64url($signature);
}

# What an application's login gives out: access(42, 7) has numbers, access('acme', 'joe') strings.
sub access
{
    my ($tenant, $user, %claims) = @_;
    return encode({
        type => 'access',
        sub => "$user",
        user_id => $user,
        tenant_id => $tenant,
        iat => time(),
        exp => time() + 3600,
        %claims,
    });
}

1;
