#!/bin/sh
# Builds static binaries and packages them with nfpm, in the version that
# tools/nfpm/go.mod pins.
#
#   VERSION=1.2.3 ARCHES="amd64 arm64" OUT=dist packaging/build.sh [agent] [server]
#
# OUT/agent/ is what a server hands out: copy it to agent/ in the server's data
# directory, or install the server's package, which brings it along.
set -eu

: "${VERSION:?set it to a version such as 1.2.3}"
ARCHES=${ARCHES:-amd64 arm64}
OUT=${OUT:-dist}
GO=${GO:-go}
[ $# -gt 0 ] || set -- agent server
max=10000000 # bytes of the agent's binary

# Packages want a version that begins with a digit: v1.2.3 is 1.2.3, and a
# commit that has no tag is 0.0.0~commit.
package_version=${VERSION#v}
case $package_version in
[0-9]*.*) ;;
*) package_version="0.0.0~$package_version" ;;
esac

nfpm=$(pwd)/bin/tools/nfpm
[ -x "$nfpm" ] || (cd tools/nfpm && $GO build -o "$nfpm" github.com/goreleaser/nfpm/v2/cmd/nfpm)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$OUT"

compile() { # compile PROGRAM ARCH FILE [FLAG…]
	program=$1 arch=$2 file=$3
	shift 3
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch $GO build -trimpath -ldflags "-s -w -X main.version=$VERSION" "$@" -o "$file" "./cmd/$program"
}

package() { # package KIND ARCH DIRECTORY DEB RPM
	mkdir -p "$3"
	for target in "$4" "$5"; do
		ARCH=$2 VERSION=$package_version BUILD=$work/$2 AGENT=$OUT/agent \
			"$nfpm" package --config "packaging/$1/nfpm.yaml" --packager "${target##*.}" --target "$3/$target" >"$work/nfpm.log" 2>&1 || { cat "$work/nfpm.log" >&2; exit 1; }
		echo "$3/$target"
	done
}

for kind in "$@"; do
	for arch in $ARCHES; do
		case $kind in
		agent)
			# The agent speaks HTTP/1.1: one request at a time, and half a megabyte less.
			compile waypost-agent "$arch" "$work/$arch/waypost-agent" -tags nethttpomithttp2
			size=$(wc -c <"$work/$arch/waypost-agent")
			if [ "$size" -gt $max ]; then
				echo "packaging/build.sh: waypost-agent for $arch has $size bytes; it may have $max" >&2
				exit 1
			fi
			package agent "$arch" "$OUT/agent" "waypost-agent-$arch.deb" "waypost-agent-$arch.rpm"
			cp "$work/$arch/waypost-agent" "$OUT/agent/waypost-agent-linux-$arch"
			echo "$OUT/agent/waypost-agent-linux-$arch ($size bytes)"
			;;
		server)
			compile waypost "$arch" "$work/$arch/waypost"
			package server "$arch" "$OUT" "waypost-$arch.deb" "waypost-$arch.rpm"
			;;
		*)
			echo "packaging/build.sh: $kind is neither agent nor server" >&2
			exit 2
			;;
		esac
	done
done
