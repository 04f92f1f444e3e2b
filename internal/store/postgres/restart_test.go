package postgres

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres/pgtest"
)

func contains(err error, s string) bool { return err != nil && strings.Contains(err.Error(), s) }

// ledger is what callers were told about their calls.
type ledger struct {
	mu          sync.Mutex
	changed     *sync.Cond
	stored      []waypost.UUID // acknowledged
	refused     []waypost.UUID // answered with ErrUnavailable
	unavailable int
	sent        map[waypost.UUID]bool // settlement acknowledged
}

func (l *ledger) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.changed.Broadcast()
}

// wait blocks until ok answers true.
func (l *ledger) wait(ok func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !ok() {
		l.changed.Wait()
	}
}

// TestRestart stops the server under load, by a crash and in order. Callers get
// ErrUnavailable, the node recovers by itself, what was acknowledged is there
// and what was refused is not.
func TestRestart(t *testing.T) {
	server := pgtest.New(t)
	d := open(t, server.Database(t))
	l := &ledger{sent: map[waypost.UUID]bool{}}
	l.changed = sync.NewCond(&l.mu)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { acceptUntil(t, d, l, stop) })
		if i < 3 {
			wg.Go(func() { relayUntil(t, d, l, stop) })
		}
	}
	for _, crash := range []bool{true, false, true} {
		var have, sent, failed int
		l.note(func() { have, sent = len(l.stored), len(l.sent) })
		l.wait(func() bool { return len(l.stored) >= have+200 && len(l.sent) >= sent+20 })
		server.Stop(t, crash)
		l.note(func() { failed = l.unavailable })
		l.wait(func() bool { return l.unavailable >= failed+20 })
		if err := d.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("ping of a stopped server: %v", err)
		}
		server.Start(t)
	}
	var have int
	l.note(func() { have = len(l.stored) })
	l.wait(func() bool { return len(l.stored) >= have+100 })
	close(stop)
	wg.Wait()
	if err := d.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.check(t, d)
}

func acceptUntil(t *testing.T, d *DB, l *ledger, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		a := call(2, "x")
		err := d.Accept(t.Context(), a)
		l.note(func() {
			for _, m := range a.Messages {
				switch {
				case err == nil:
					l.stored = append(l.stored, m.ID)
				case errors.Is(err, store.ErrUnavailable):
					l.refused = append(l.refused, m.ID)
				case !errors.Is(err, errUnknown):
					t.Errorf("accept: %v", err)
				}
			}
			if errors.Is(err, store.ErrUnavailable) {
				l.unavailable++
			}
		})
		if err != nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func relayUntil(t *testing.T, d *DB, l *ledger, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		got, err := d.Claim(t.Context(), store.Claim{Lane: lane, Now: now, Max: 5, LeaseUntil: now.Add(time.Hour)})
		if err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("claim: %v", err)
		}
		for _, c := range got.Entries {
			err := sent(t, d, c)
			l.note(func() {
				switch {
				case err == nil:
					l.sent[c.Message.ID] = true
				case !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, errUnknown):
					t.Errorf("settle: %v", err)
				}
			})
		}
		if err != nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// check compares what callers were told with what is there.
func (l *ledger) check(t *testing.T, d *DB) {
	for len(l.stored) > 0 {
		n := min(1000, len(l.stored))
		got, err := d.Messages(t.Context(), l.stored[:n])
		if err != nil || len(got) != n {
			t.Fatalf("%d of %d acknowledged messages are there, %v", len(got), n, err)
		}
		l.stored = l.stored[n:]
	}
	for len(l.refused) > 0 {
		n := min(1000, len(l.refused))
		got, err := d.Messages(t.Context(), l.refused[:n])
		if err != nil || len(got) != 0 {
			t.Fatalf("%d messages are there that were refused, %v", len(got), err)
		}
		l.refused = l.refused[n:]
	}
	for id := range l.sent {
		tr, err := d.Trail(t.Context(), 1, id)
		if err != nil || tr.Waiting != nil || len(tr.Events) != 2 {
			t.Fatalf("a message whose settlement was acknowledged: %+v, %v", tr, err)
		}
	}
	// Nothing is stored in part: messages, events and counters agree.
	var messages, processed, sent, queued int64
	err := d.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM event WHERE type = 58),
(SELECT count(*) FROM event WHERE type = 59), (SELECT count(*) FROM queue)`).Scan(&messages, &processed, &sent, &queued)
	if err != nil || messages != processed || messages != sent+queued {
		t.Fatalf("%d messages, %d processed, %d sent, %d queued: %v", messages, processed, sent, queued, err)
	}
	days, err := d.DailyStats(t.Context(), 1, 0, now, now)
	if err != nil || days[0].Counts[waypost.StatProcessed] != processed || days[0].Counts[waypost.StatSent] != sent {
		t.Fatalf("counters %v, %v; want %d and %d", days, err, processed, sent)
	}
}
