.DEFAULT_GOAL := help
GO ?= go
BIN := bin

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

build: ## both binaries into bin/, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN)/ ./cmd/waypost ./cmd/waypost-agent

build-openssl: ## bin/waypost with RSA by the system's OpenSSL: three times as fast, needs cgo and libssl-dev
	CGO_ENABLED=1 $(GO) build -trimpath -tags openssl -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN)/ ./cmd/waypost

packages: ## .deb and .rpm of agent and server for ARCHES into dist/; VERSION=
	VERSION='$(VERSION)' ARCHES='$(ARCHES)' GO='$(GO)' packaging/build.sh

quickstart: ## the main job on this machine, with nothing installed
	$(GO) run ./cmd/waypost quickstart

# test/dash waits for a browser most of the time; its server's packages have had
# the race detector by then. test/packaging comes last and alone: it installs the
# agent on this machine, whose configuration every other agent would read.
test: ## all tests, with the race detector; installs the Debian packages they need when it may
	./test/packages.sh
	$(GO) vet ./...
	$(GO) test -race -shuffle=on -timeout 20m $$($(GO) list ./... | grep -v -e /test/dash -e /test/packaging)
	$(GO) test -timeout 20m ./test/dash
	$(GO) test -race -timeout 20m ./test/packaging
	if pkg-config --exists libcrypto 2>/dev/null; then $(GO) test -race -tags openssl ./internal/dkim; fi

lint: ## formatting and linters, pinned in tools/go.mod
	./test/lint.sh

fuzz: ## every fuzz target in turn, FUZZTIME each
	./test/fuzz.sh $(FUZZTIME)

bench: ## the benchmarks of all packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-relay: ## Waypost beside Postfix with OpenDKIM on the same messages; N=, SIZE=, BATCH=, TAGS=openssl
	$(GO) run ./test/benchrelay -n $(N) -size $(SIZE) -batch $(BATCH) -tags '$(TAGS)'

torture: ## kill -9, bad disks and restarts of PostgreSQL while mail flows, and what was lost; SERVER= AGENT= NODES= RESTARTS= DISK= rounds, HOSTILE= strangers
	$(GO) test -count=1 -timeout 24h -v ./test/torture -args -server=$(SERVER) -agent=$(AGENT) -nodes=$(NODES) -restarts=$(RESTARTS) -disk=$(DISK) -hostile=$(HOSTILE)

bounce-accuracy: ## the bounce judge on the labelled corpus in WAYPOST_CORPUS: confusion matrix and misses
	$(GO) run ./test/bounceaccuracy

N ?= 2000
SIZE ?= 2048
BATCH ?= 1000
SERVER ?= 200
AGENT ?= 200
NODES ?= 50
RESTARTS ?= 20
DISK ?= 20
HOSTILE ?= 10000
FUZZTIME ?= 10s
ARCHES ?= amd64 arm64
VERSION ?= $(shell git describe --tags --always 2>/dev/null || echo dev)

.PHONY: help build build-openssl packages quickstart test lint fuzz bench bench-relay torture bounce-accuracy
