package ports

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
)

// TestTakeNeverTwice takes ports from many goroutines, each of which locks the
// file anew as a process would.
func TestTakeNeverTwice(t *testing.T) {
	const each, takers = 20, 10
	taken := make(chan int, each*takers)
	var wg sync.WaitGroup
	for range takers {
		wg.Go(func() {
			for range each {
				port, err := Take(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				taken <- port
			}
		})
	}
	wg.Wait()
	close(taken)
	seen := map[int]bool{}
	for port := range taken {
		if seen[port] {
			t.Errorf("port %d was given twice", port)
		}
		if port < first || port >= first+count {
			t.Errorf("port %d is outside the range", port)
		}
		seen[port] = true
	}
	if len(seen) != each*takers {
		t.Errorf("%d ports, want %d", len(seen), each*takers)
	}
}

func TestTakePassesOverPortsInUse(t *testing.T) {
	before, err := Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := first + (before+1-first)%count
	var c net.ListenConfig
	l, err := c.ListenPacket(t.Context(), "udp", fmt.Sprintf("127.0.0.1:%d", next))
	if err != nil {
		t.Skip("another test has the next port already:", err)
	}
	defer func() { _ = l.Close() }()
	if free(context.WithoutCancel(t.Context()), next) {
		t.Errorf("port %d counts as free, and UDP uses it", next)
	}
	for range 3 {
		if got, err := Take(t.Context()); err != nil || got == next {
			t.Errorf("got port %d, %v; UDP uses it", got, err)
		}
	}
}
