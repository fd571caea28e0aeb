# SPDX-License-Identifier: Apache-2.0
#
# A private httpd with Debian's own configuration: a copy of the /etc/apache2 of its packages (which
# ./check unpacks, for an installed one may have been edited), in which nothing is changed but the
# port. Modules are enabled by Debian's own a2enmod.
package Ragline::Stock;

use strict;
use warnings;

use FindBin ();

use Ragline::Proc qw(free_port run_command slurp spew);

our @ISA = ('Ragline::Httpd');

# What a new installation has enabled, in the words of the package's postinst.
my @default = qw(mpm_event authz_host auth_basic access_compat authn_file authz_user alias dir
    autoindex env mime negotiation setenvif filter deflate status reqtimeout);
my @default_conf = qw(charset localized-error-pages other-vhosts-access-log security serve-cgi-bin);

sub packages
{
    my $dir = $ENV{RAGLINE_TEST_DEBIAN} // "$FindBin::Bin/../debian";
    return -d "$dir/etc/apache2/mods-available" ? $dir : undef;
}

# Names of all modules that Debian's package of httpd offers.
sub offered
{
    return map { m{([^/]+)\.load$} } glob(packages() . '/etc/apache2/mods-available/*.load');
}

# new(modules => [...], conf => '...', host => '...'), besides what Ragline::Httpd takes. `conf` is
# for the whole server, `host` for its virtual host; @PORT@ and the others are replaced in both.
sub write_conf
{
    my ($self) = @_;
    my ($dir, $packages) = ($self->{root}, packages());
    $self->{conf_file} = "$dir/apache2.conf";
    run('cp', '-a', "$packages/etc/apache2/.", $dir);
    mkdir("$dir/$_-enabled") for qw(mods conf sites);
    my %port = (80 => $self->{port}, 443 => free_port());
    edit("$dir/ports.conf", sub { s/^(\s*)Listen (80|443)$/$1Listen 127.0.0.1:$port{$2}/mg });
    edit("$dir/sites-available/000-default.conf",
        sub { s/\*:80>/*:$self->{port}>/; s{(?=</VirtualHost>)}{Include $dir/host.inc\n} });
    # Modules of other packages lie in their unpacked place, with the libraries that they need.
    for my $module (glob("$packages/usr/lib/apache2/modules/mod_*.so")) {
        my ($name) = $module =~ m{/mod_([a-z]+)\d*\.so$};
        for my $load (grep { slurp($_) =~ m{/mod_$name\d*\.so} } glob("$dir/mods-available/*.load")) {
            edit($load, sub { s{^(LoadModule \S+) .*}{$1 $module}m });
        }
    }
    edit("$dir/mods-available/ssl.conf", sub { s{(?=/usr/share/apache2/)}{$packages} });
    my $libraries = join '',
        map { "LoadFile $_\n" } glob("$packages/{usr/,}lib/*/lib{lua5.1,pcre,yajl}.so.?");
    edit("$dir/mods-available/$_.load", sub { s/^(?=LoadModule)/$libraries/m }) for qw(qos security2);
    my ($ours) = slurp($Ragline::Httpd::suite{modules}) =~ /^(LoadModule ragline_stream_module .*\n)/m;
    spew("$dir/mods-available/ragline_stream.load", "# Depends: authz_core\n$ours");
    my %value = (PORT => $self->{port}, ROOT => $dir, DOCROOT => "$dir/htdocs");
    my ($conf, $host) = ($self->{conf}, $self->{host} // '');
    s/\@(PORT|ROOT|DOCROOT)\@/$value{$1}/g for $conf, $host;
    spew("$dir/conf-available/zz-test.conf", "ServerName localhost\nLogLevel $self->{loglevel}\n$conf");
    spew("$dir/host.inc", $host);
    mkdir("$dir/log");
    symlink($self->{error_log}, "$dir/log/error.log");
    $self->a2('a2enmod', @default, 'ragline_stream', @{ $self->{modules} // [] });
    $self->a2('a2enconf', @default_conf, 'zz-test');
    $self->a2('a2ensite', '000-default');
    return;
}

sub start_servers { return 2 }

sub a2
{
    my ($self, $command, @names) = @_;
    return run('env', "APACHE_CONFDIR=$self->{root}", "APACHE_STATE_DIRECTORY=$self->{root}/state",
        packages() . "/usr/sbin/$command", '-q', @names);
}

sub run
{
    my (@command) = @_;
    my ($status, $output) = run_command(@command);
    die "@command: $output\n" if $status;
    return;
}

sub edit
{
    my ($file, $change) = @_;
    local $_ = slurp($file);
    $change->();
    return spew($file, $_);
}

# What Debian's envvars sets, elsewhere.
sub command
{
    my ($self, @arguments) = @_;
    my $dir = $self->{root};
    return ('env', "APACHE_RUN_USER=$Ragline::Httpd::suite{user}",
        "APACHE_RUN_GROUP=$Ragline::Httpd::suite{group}", "APACHE_PID_FILE=$dir/httpd.pid",
        "APACHE_RUN_DIR=$dir", "APACHE_LOCK_DIR=$dir", "APACHE_LOG_DIR=$dir/log", 'LANG=C',
        $Ragline::Httpd::suite{httpd}, '-d', $dir, '-f', $self->{conf_file}, @arguments);
}

1;
