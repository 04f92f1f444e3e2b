#!/bin/sh
# Installs the Debian packages that the tests start real programs from, when
# they are absent and this user may. Tests whose program is missing skip and
# say so.
set -u

missing=
need() { # need PACKAGE PROGRAM…: the package is missing when none of the programs exists
	package=$1
	shift
	for program in "$@"; do
		for found in "$(command -v "$program" 2>/dev/null)" /usr/sbin/"$program" /usr/lib/postgresql/*/bin/"$program"; do
			[ -n "$found" ] && [ -x "$found" ] && return
		done
	done
	missing="$missing $package"
}

need postfix postfix
need rsyslog rsyslogd
need postgresql initdb
need swaks swaks
need dnsmasq-base dnsmasq
need opendkim opendkim
need opendkim-tools opendkim-testmsg
need python3-dkim dkimverify
need procps pgrep
need strace strace
need sasl2-bin saslpasswd2
ls /usr/lib/*/sasl2/libplain.so >/dev/null 2>&1 || missing="$missing libsasl2-modules"
need chromium chromium
ls /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf >/dev/null 2>&1 || missing="$missing fonts-dejavu-core"
need shellcheck shellcheck
need rpm rpm
need pkg-config pkg-config
pkg-config --exists libcrypto 2>/dev/null || missing="$missing libssl-dev"
[ -z "$missing" ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
	echo "test/packages.sh: these packages are absent, and this user may not install them:$missing"
	echo "test/packages.sh: the tests that need them will be skipped"
	exit 0
fi
echo "test/packages.sh: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -20 "$log"
	echo "test/packages.sh: the installation failed; the tests that need these packages will be skipped:$missing"
fi
rm -f "$log"
exit 0
