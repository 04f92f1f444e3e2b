package agent

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// TestNotify: a service manager learns that the agent is ready, that its reader
// turns, and that it stops.
func TestNotify(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	must(t, err)
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "30000")
	next := func() string {
		b := make([]byte, 1024)
		n, err := l.Read(b)
		must(t, err)
		return string(b[:n])
	}
	s := newSink(t)
	cfg := testConfig(t, s)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg) }()
	if got := next(); !strings.Contains(got, "READY=1") || !strings.Contains(got, "STATUS=") {
		t.Errorf("the first message is %q, want READY=1 and a status, also while there is no log yet", got)
	}
	for got := next(); got != "WATCHDOG=1"; got = next() {
		if !strings.Contains(got, "STATUS=") {
			t.Fatalf("%q, want a sign of life or a status", got)
		}
	}
	stop()
	for got := next(); got != "STOPPING=1"; got = next() {
		if got != "WATCHDOG=1" && !strings.Contains(got, "STATUS=") {
			t.Fatalf("%q, want STOPPING=1", got)
		}
	}
	must(t, <-done)
}
