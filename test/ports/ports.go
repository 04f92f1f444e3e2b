// Package ports gives the programs of tests TCP and UDP ports of loopback that
// nobody else on the machine gets in the meantime.
//
// Whoever finds a free port by listening and closing has lost it again before
// its user starts: to a test of another package that looks at the same moment,
// or to the kernel, which gives it to an outgoing connection. So ports are dealt
// out in turn, to all test processes of a machine, from a range below that of
// outgoing connections. A number comes round again after 13,000 others.
package ports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The range: above what services are registered for in practice, below the
// 32768 at which Linux begins with ports of outgoing connections.
const (
	first = 19_000
	count = 13_000
)

// ErrNone means that every port of the range is in use.
var ErrNone = errors.New("no free port on loopback from 19000 to 31999")

// Take returns a port of 127.0.0.1 on which nobody listens, by TCP or UDP, and
// which no other call on this machine returns before the range is used up. The
// place in the range is kept in a file of the directory for temporary files,
// locked while a port is chosen.
func Take(ctx context.Context) (int, error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "waypost-test-ports"), os.O_RDWR|os.O_CREATE, 0o666) //nolint:gosec // tests of several users share it
	if err != nil {
		return 0, fmt.Errorf("the file that remembers the last port: %w", err)
	}
	defer func() { _ = f.Close() }() // gives up the lock
	if err := lock(f); err != nil {
		return 0, err
	}
	place := readPlace(f)
	for range count {
		place = (place + 1) % count
		if free(ctx, first+place) {
			return first + place, writePlace(f, place)
		}
	}
	return 0, ErrNone
}

// lock waits for the file; signals of the runtime may interrupt it.
func lock(f *os.File) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); { //nolint:gosec // a descriptor fits
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// readPlace is anywhere when nothing legible was written.
func readPlace(f *os.File) int {
	b, _ := io.ReadAll(io.LimitReader(f, 16))
	if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && n >= 0 && n < count {
		return n
	}
	return rand.IntN(count) //nolint:gosec // no secret
}

func writePlace(f *os.File, place int) error {
	if _, err := f.WriteAt(fmt.Appendf(nil, "%-6d\n", place), 0); err != nil {
		return fmt.Errorf("remember the last port: %w", err)
	}
	return nil
}

func free(ctx context.Context, port int) bool {
	var c net.ListenConfig
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	tcp, err := c.Listen(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer func() { _ = tcp.Close() }()
	udp, err := c.ListenPacket(ctx, "udp", addr)
	if err != nil {
		return false
	}
	return udp.Close() == nil
}
