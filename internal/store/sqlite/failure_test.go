package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// setPragma changes a setting of the writing connection while no op runs.
func setPragma(t *testing.T, d *DB, format string, args ...any) {
	t.Helper()
	rows, err := d.conn.QueryContext(t.Context(), fmt.Sprintf(format, args...))
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() { // to the end, so that it takes effect
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
}

// whole proves that every message has its event, its queue row and its count.
func whole(t *testing.T, d *DB, messages int) {
	t.Helper()
	for _, table := range []string{"message", "event", "queue"} {
		var n int
		if err := d.read.db.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil || n != messages {
			t.Fatalf("%s has %d rows, want %d (%v)", table, n, messages, err)
		}
	}
	var n int
	if err := d.read.db.QueryRow("SELECT coalesce(sum(n), 0) FROM stat_day").Scan(&n); err != nil || n != messages {
		t.Fatalf("counted %d, want %d (%v)", n, messages, err)
	}
}

func TestDiskFull(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "waypost.db"))
	r := rand.NewChaCha8([32]byte{1})
	var pages int
	if err := d.read.db.QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	setPragma(t, d, "PRAGMA max_page_count = %d", pages+4)
	var mu sync.Mutex
	stored, refused := 0, 0
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			r := rand.NewChaCha8([32]byte{2, byte(i)})
			for range 40 {
				err := d.Accept(t.Context(), benchCall(r, 1))
				mu.Lock()
				switch {
				case err == nil:
					stored++
				case errors.Is(err, store.ErrUnavailable) && strings.Contains(err.Error(), "full"):
					refused++
				default:
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if stored == 0 || refused == 0 {
		t.Fatalf("%d stored, %d refused: the disk was never full", stored, refused)
	}
	whole(t, d, stored)
	setPragma(t, d, "PRAGMA max_page_count = %d", 1<<30)
	if err := d.Accept(t.Context(), benchCall(r, 1)); err != nil {
		t.Fatalf("space is back: %v", err)
	}
	whole(t, d, stored+1)
	if err := d.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestReadOnly(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "waypost.db"))
	r := rand.NewChaCha8([32]byte{1})
	setPragma(t, d, "PRAGMA query_only = ON")
	if err := d.Accept(t.Context(), benchCall(r, 1)); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	if err := d.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("ping: %v", err)
	}
	setPragma(t, d, "PRAGMA query_only = OFF")
	if err := d.Accept(t.Context(), benchCall(r, 1)); err != nil {
		t.Fatal(err)
	}
	whole(t, d, 1)
}

// TestGroup puts a claim, a call that fails late, and good calls into one
// group: the failure costs its neighbours nothing, in the database or in memory.
func TestGroup(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "waypost.db"))
	r := rand.NewChaCha8([32]byte{1})
	first := benchCall(r, 4)
	if err := d.Accept(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	group := gather(d)
	now := time.Now().Add(time.Minute)
	claim := store.Claim{Lane: benchLane, Now: now, Max: 2, LeaseUntil: now.Add(time.Minute), PerHour: 5, Burst: true}
	var a, b store.Claimed
	good, bad := benchCall(r, 1), benchCall(r, 2)
	bad.Messages[1].ID = first.Messages[0].ID
	failed := group.add(func() error { return d.Accept(t.Context(), bad) })
	group.add(func() (err error) { a, err = d.Claim(t.Context(), claim); return err })
	group.add(func() error { return d.Accept(t.Context(), good) })
	group.add(func() (err error) { b, err = d.Claim(t.Context(), claim); return err })
	group.run()
	for i, err := range group.errs {
		if i == failed != errors.Is(err, store.ErrExists) || i != failed && err != nil {
			t.Errorf("op %d: %v", i, err)
		}
	}
	whole(t, d, 5)
	seen := map[waypost.UUID]bool{}
	for _, c := range append(a.Entries, b.Entries...) {
		seen[c.Message.ID] = true
	}
	if len(a.Entries) != 2 || len(b.Entries) != 2 || len(seen) != 4 {
		t.Fatalf("claimed %d and %d, %d different", len(a.Entries), len(b.Entries), len(seen))
	}
	claim.Max = 10
	c, err := d.Claim(t.Context(), claim)
	if err != nil || len(c.Entries) != 1 || c.Entries[0].Message.ID != good.Messages[0].ID {
		t.Fatalf("the rest: %+v, %v", c, err)
	}
}

// TestCancelInLine: an op whose caller gave up before its turn is not run.
func TestCancelInLine(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "waypost.db"))
	r := rand.NewChaCha8([32]byte{1})
	given, kept := benchCall(r, 1), benchCall(r, 1)
	group := gather(d)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan struct{})
	gone := group.add(func() error { defer close(left); return d.Accept(ctx, given) })
	group.add(func() error { return d.Accept(t.Context(), kept) })
	cancel()
	<-left
	group.run()
	if !errors.Is(group.errs[gone], context.Canceled) || group.errs[1] != nil {
		t.Fatalf("got %v", group.errs)
	}
	whole(t, d, 1)
	if _, err := d.Message(t.Context(), 1, given.Messages[0].ID); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("the abandoned call was stored: %v", err)
	}
}

// gathering holds the committer until all of its calls wait in line.
type gathering struct {
	d    *DB
	hold chan struct{}
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
	n    int
}

func gather(d *DB) *gathering {
	g := &gathering{d: d, hold: make(chan struct{})}
	running := make(chan struct{})
	g.wg.Go(func() {
		_ = d.do(context.Background(), "hold", 0, func(*tx) error { close(running); <-g.hold; return nil })
	})
	<-running
	return g
}

// add starts a call and waits until it is in line, so that calls are in order.
func (g *gathering) add(f func() error) int {
	i := g.n
	g.n++
	g.errs = append(g.errs, nil)
	g.wg.Go(func() {
		err := f()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.errs[i] = err
	})
	for {
		g.d.mu.Lock()
		n := len(g.d.waiting)
		g.d.mu.Unlock()
		if n >= g.n {
			return i
		}
		time.Sleep(time.Millisecond)
	}
}

func (g *gathering) run() {
	close(g.hold)
	g.wg.Wait()
}
