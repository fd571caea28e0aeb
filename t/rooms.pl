# SPDX-License-Identifier: Apache-2.0
#
# perl rooms.pl SRCDIR BUILDDIR: says what goes up in the house, one line each: a kind, a tab and a
# sentence. Kinds: seen (how much was looked at), folder, include, call, tower, circle.
#
# The sources are in rooms, and the rooms in one order. A file may include and call only what is in
# its own room or below. What it calls is read from the objects: a declaration may be written by
# hand, and a macro may hide a call, but not from the linker.
use strict;
use warnings;
use File::Spec;

# From top to bottom; mod_ragline_stream.c stands on top of all.
my @rooms = qw(http conf obs engine hub gateway outbox group history stream wire log transport redis
    auth proto base);

# Two threads, and a tower for each: they know each other by what log and base have for both.
my @towers = ([qw(stream)], [qw(history group hub)]);

# Within these files still call each other in circles. No other room may join them.
my %circles = map { $_ => 1 } qw(history group);

# How httpd finds a module's configuration: the one thing on top that everybody has to name.
my %everybodys = (ragline_stream_module => 1);

my ($srcdir, $builddir) = @ARGV;
my $top = 'mod_ragline_stream.c';
my %depth = ($top => -1);
@depth{@rooms} = 0 .. $#rooms;
my %tower;
for my $n (0 .. $#towers) {
    $tower{$_} = $n for @{$towers[$n]};
}

sub say_that { print shift, "\t", sprintf(shift, @_), "\n" }

sub room_of { $_[0] eq $top ? $top : (split m{/}, $_[0])[1] }

# --- what there is ---

my @files = ($top);
for my $path (glob "'$srcdir'/src/*") {
    my $name = (File::Spec->splitpath($path))[2];
    if (!-d $path) {
        say_that('folder', '%s is in no room', "src/$name") if $name =~ /\.[ch]$/ && $name ne 'rs_config.h';
        next;
    }
    if (!exists $depth{$name}) {
        say_that('folder', '%s is no room: the list of rooms does not have it', "src/$name");
        next;
    }
    for my $entry (glob "'$path'/*") {
        my $file = (File::Spec->splitpath($entry))[2];
        if (-d $entry) {
            say_that('folder', '%s is a folder within a room', "src/$name/$file");
        }
        elsif ($file =~ /\.[ch]$/) {
            push @files, "src/$name/$file";
        }
    }
}

# --- includes ---

# "src/base/rs_x.h" for what an include in `file` names, or nothing if that is not ours.
sub included
{
    my ($file, $name) = @_;
    my @parts;
    for my $base ($file =~ s{[^/]*$}{}r, 'src/', '') {
        next if !-f "$srcdir/$base$name";
        for my $part (split m{/}, "$base$name") {
            if ($part eq '..') { pop @parts }
            elsif ($part ne '.' && $part ne '') { push @parts, $part }
        }
        return join '/', @parts;
    }
    return;
}

my $includes = 0;
for my $file (@files) {
    my $from = room_of($file);
    open my $in, '<', "$srcdir/$file" or die "$srcdir/$file: $!\n";
    while (<$in>) {
        next if !/^\s*#\s*include\b\s*(.*)/;
        if ($1 !~ /^(?:"([^"]+)"|<([^>]+)>)/) {
            say_that('include', '%s: cannot be read here: #include %s', "$file:$.", $1);
            next;
        }
        my $other = included($file, $1 // $2);
        if (!defined $other) {
            say_that('include', '%s: %s is not there', "$file:$.", $1)
                if defined $1 && $1 !~ m{(?:^|/)rs_config\.h$};
            next;
        }
        $includes++;
        my $to = room_of($other);
        if (!defined $to || !exists $depth{$to}) {
            say_that('include', '%s: %s is in no room', "$file:$.", $other);
        }
        elsif ($depth{$to} < $depth{$from}) {
            say_that('include', '%s of %s includes %s of %s, which is above', "$file:$.", $from,
                $other, $to);
        }
        elsif (exists $tower{$from} && exists $tower{$to} && $tower{$from} != $tower{$to}) {
            say_that('tower', '%s of %s includes %s of %s, the other tower', "$file:$.", $from,
                $other, $to);
        }
    }
}

# --- objects ---

my $ar = $ENV{AR} || 'ar';
my %core = map { chomp; $_ => 1 } `$ar t '$builddir/.libs/libragline_core.a'`;

# After a file moved from the module to the core, or back, both objects may be there.
sub object_of
{
    my ($file) = @_;
    my ($dir, $name) = $file =~ m{^(.*/)?([^/]+)\.c$};
    $dir //= '';
    my @lo = grep { -f } map { "$builddir/$dir$_$name.lo" } '', 'mod_ragline_stream_la-';
    @lo = $core{"$name.o"} ? $lo[0] : $lo[1] if @lo == 2;
    return if !@lo;
    open my $in, '<', $lo[0] or die "$lo[0]: $!\n";
    my ($object) = map { /^(?:non_)?pic_object='(.*)'/ ? $1 : () } <$in>;
    return $object && "$builddir/$dir$object";
}

my $nm = $ENV{NM} || 'nm';
my (%defined_in, %uses);
my $objects = 0;
for my $file (grep { /\.c$/ } @files) {
    my $object = object_of($file);
    if (!$object || !-f $object) {
        say_that('call', '%s was not compiled: there is no object of it', $file);
        next;
    }
    my @lines = `$nm -P -g '$object'`;
    $objects++;
    for (@lines) {
        my ($symbol, $type) = split;
        if ($type =~ /^[Uwv]$/) { push @{$uses{$file}}, $symbol }
        else { $defined_in{$symbol} = $file }
    }
}

# --- calls ---

my (%calls, $references);
for my $file (sort keys %uses) {
    my $from = room_of($file);
    for my $symbol (sort @{$uses{$file}}) {
        my $other = $defined_in{$symbol};
        next if !defined $other || $other eq $file || $everybodys{$symbol};
        $references++;
        my $to = room_of($other);
        $calls{$file}{$other} //= $symbol if $from eq $to;
        if ($depth{$to} < $depth{$from}) {
            say_that('call', '%s of %s uses %s of %s (%s), which is above', $file, $from, $symbol,
                $to, $other);
        }
        elsif (exists $tower{$from} && exists $tower{$to} && $tower{$from} != $tower{$to}) {
            say_that('tower', '%s of %s uses %s of %s (%s), the other tower', $file, $from,
                $symbol, $to, $other);
        }
    }
}

# --- circles ---

# One way back to where it began, or nothing.
sub way
{
    my ($from, $to, $seen) = @_;
    for my $next (sort keys %{$calls{$from} || {}}) {
        return ($from, $to) if $next eq $to;
        next if $seen->{$next}++;
        my @rest = way($next, $to, $seen);
        return ($from, @rest) if @rest;
    }
    return;
}

my %told;
for my $file (sort keys %calls) {
    my $room = room_of($file);
    next if $circles{$room} || $told{$file};
    my @way = way($file, $file, {});
    next if !@way;
    $told{$_} = 1 for @way;
    say_that('circle', 'within %s: %s', $room,
        join ', ', map { "$way[$_] uses $calls{$way[$_]}{$way[$_ + 1]} of $way[$_ + 1]" }
            0 .. $#way - 1);
}

say_that('seen', '%d files, %d includes, %d objects, %d references', scalar @files, $includes,
    $objects, $references || 0);
