#!/bin/sh
# gofumpt and golangci-lint in the versions that tools/go.mod pins. The first
# run compiles them, which takes some minutes.
set -eu
bin=$(pwd)/bin/tools
mkdir -p "$bin"
(cd tools && go build -o "$bin/" mvdan.cc/gofumpt github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
unformatted=$("$bin/gofumpt" -l $(git ls-files '*.go'))
if [ -n "$unformatted" ]; then
	echo "not formatted with gofumpt:"
	echo "$unformatted"
	exit 1
fi
"$bin/golangci-lint" run --timeout 20m ./...
