#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# client.pl TALKS: Mojo::UserAgent as a client, doing what converse.js does.
use strict;
use warnings;

use Mojo::IOLoop ();
use Mojo::JSON qw(decode_json);
use Mojo::URL ();
use Mojo::UserAgent ();

$| = 1;
my $ua = Mojo::UserAgent->new(inactivity_timeout => 0);
sub told { print join('/', @_), "\n" }

sub converse
{
    my ($talk, $last) = @_;
    my $url = Mojo::URL->new($talk->{url});
    $url->query({ last_event_id => $last }) if defined $last;
    my $retry = 1000;
    $ua->websocket($url => $talk->{headers} // {}, $talk->{protocols} // [], sub {
        my (undef, $tx) = @_;
        return told($talk->{label}, 'refused') if !$tx->is_websocket;
        told($talk->{label}, 'open', $tx->protocol // '-');
        $tx->on(json => sub {
            my (undef, $message) = @_;
            my $type = $message->{type};
            $last = $message->{id} // $last;
            $retry = $message->{retry} // $retry;
            told($talk->{label}, $type eq 'event' ? ($message->{event_type}, $message->{data})
                : ($type, $type eq 'connected' ? $message->{data}{recovery} : ()));
        });
        $tx->on(finish => sub {
            my (undef, $code, $reason) = @_;
            told($talk->{label}, 'closed', $code, $reason // '');
            Mojo::IOLoop->timer($retry / 1000, sub { converse($talk, $last) }) if $code != 1008;
        });
        $tx->send({ json => { type => 'ping' } });
        $tx->send({ json => { type => 'subscribe', subscriptions => ['order_*'] } });
    });
    return;
}

converse($_) for @{ decode_json($ARGV[0]) };
Mojo::IOLoop->start;
