#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The served tests, run in a build directory: served.sh --srcdir=DIR [--apxs=PATH] [--httpd=PATH]
# [--] [FILE.t ...] [options of t/TEST]. `make check` calls it. With RAGLINE_SERVED=no it does
# nothing: ./check calls make check and the served tests one after the other.
set -eu

srcdir=.
while [ $# -gt 0 ]; do
    case $1 in
        --srcdir=*) srcdir=${1#*=} ;;
        --apxs=*) APXS=${1#*=}; export APXS ;;
        --httpd=*) HTTPD=${1#*=}; export HTTPD ;;
        --) shift; break ;;
        *) break ;;
    esac
    shift
done

if [ "${RAGLINE_SERVED:-yes}" = no ]; then
    exit 0
fi
case $PWD in
    *[[:space:]]*)
        echo "The path of this directory has a space in it, and Apache::Test cannot run a server there: build elsewhere." >&2
        exit 1 ;;
esac
if [ ! -f t/modules.conf ]; then
    echo "t/modules.conf is missing: run this in a build directory that is configured." >&2
    exit 1
fi
RAGLINE_TEST_SRCDIR=$(cd "$srcdir" && pwd -P)
export RAGLINE_TEST_SRCDIR
# Where ./check unpacks Apache::Test.
[ ! -d perl5 ] || PERL5LIB=$PWD/perl5${PERL5LIB:+:$PERL5LIB}
export PERL5LIB="${PERL5LIB:-}"
for module in Apache::TestRun:libapache2-mod-perl2 Redis:libredis-perl IO::Socket::SSL:libio-socket-ssl-perl; do
    perl -M"${module%:*}" -e 1 2>/dev/null || {
        echo "The served tests need the Perl module ${module%:*}: install ${module##*:} (Debian), or run ./check." >&2
        missing=1
    }
done
[ -z "${missing:-}" ] || exit 1

# Apache::Test finds everything by its place below the directory it runs in, so a build elsewhere
# needs the tests there, too.
if [ "$(cd "$srcdir" && pwd -P)" != "$(pwd -P)" ]; then
    mkdir -p t/conf t/lib
    rm -rf t/*.t t/lib/Ragline t/conf/*.in t/conf/*.inc
    cp -p "$srcdir"/t/*.t "$srcdir"/t/TEST t/
    cp -pR "$srcdir"/t/lib/Ragline t/lib/
    cp -p "$srcdir"/t/conf/*.in "$srcdir"/t/conf/*.inc t/conf/
    chmod -R u+w t
fi
exec perl t/TEST "$@"
