package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres/pgtest"
)

// TestIDs: ids ascend and never repeat, whatever the clock does.
func TestIDs(t *testing.T) {
	clock := now
	g := ids{node: 1023, now: func() time.Time { return clock }}
	last := int64(0)
	for i := range 30_000 {
		switch i {
		case 10_000:
			clock = clock.Add(-time.Hour)
		case 20_000:
			clock = clock.Add(2 * time.Hour)
		}
		id := g.next()
		if id <= last {
			t.Fatalf("id %d after %d", id, last)
		}
		if id>>12&1023 != 1023 {
			t.Fatalf("id %d is not of node 1023", id)
		}
		last = id
	}
	if at := store.EventTime(last); at.Before(clock) || at.After(clock.Add(10*time.Millisecond)) {
		t.Fatalf("the last id is of %v, the clock says %v", at, clock)
	}
}

// TestBadText: text that PostgreSQL refuses is made storable, and whatever is
// looked for by it does not fail.
func TestBadText(t *testing.T) {
	d := open(t, pgtest.Start(t))
	ctx := t.Context()
	const bad = "a\x00b\xff\xfec"
	a := call(1, bad)
	a.Content.Subject = bad
	m := &a.Messages[0]
	m.To.Name, m.Variables = bad, []byte(bad)
	a.Events[0].Text, a.Events[0].Rule = bad, bad
	if err := d.Accept(ctx, a); err != nil {
		t.Fatal(err)
	}
	got, err := d.Message(ctx, 1, m.ID)
	if err != nil || got.To.Name != "ab\uFFFDc" || string(got.Variables) != bad {
		t.Fatalf("message came back as %+v, %v", got, err)
	}
	facts := []store.Fact{
		{Event: event(waypost.CSDelivered, m), Key: bad, Once: bad},
		{Event: waypost.Event{Message: m.ID, At: now, Text: bad}, Deferral: true, Key: "d"},
		{Event: event(waypost.CSHardBounced, m), Suppress: &waypost.Suppression{SubAccount: 2, Email: bad, Text: bad, Created: now}},
	}
	if _, err := d.Record(ctx, facts); err != nil {
		t.Fatal(err)
	}
	again, err := d.Record(ctx, facts[:1])
	if err != nil || again[0] != store.Duplicate {
		t.Fatalf("the same key again: %v, %v", again, err)
	}
	found, err := d.Suppressed(ctx, 2, []string{bad, bad}, now)
	if err != nil || len(found) != 1 {
		t.Fatalf("suppressed: %v, %v", found, err)
	}
	if _, err := d.Providers(ctx, 1, store.Page{Limit: 1, Search: bad}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ListEvents(ctx, store.EventQuery{Account: 1, Limit: 1, Recipient: bad}); err != nil {
		t.Fatal(err)
	}
}

// TestResolve: after a connection broke during COMMIT the mark tells what
// became of the transaction, waiting for its end when it is under way.
func TestResolve(t *testing.T) {
	d := open(t, pgtest.Start(t))
	cause := errors.New("broken")
	var mark int64
	if err := d.accepts.transact(t.Context(), func(_ context.Context, tx *tx) error { mark = tx.mark; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := d.accepts.resolve(mark, cause); err != nil {
		t.Fatalf("a committed transaction: %v", err)
	}
	if err := d.accepts.resolve(mark+1, cause); !errors.Is(err, cause) {
		t.Fatalf("one that never was: %v", err)
	}
	for _, want := range []error{nil, cause} {
		started, answer := make(chan int64), make(chan error, 1)
		go func() { answer <- d.accepts.resolve(<-started, cause) }()
		err := d.accepts.transact(t.Context(), func(_ context.Context, tx *tx) error {
			started <- tx.mark
			return want
		})
		if !errors.Is(err, want) {
			t.Fatal(err)
		}
		if got := <-answer; !errors.Is(got, want) {
			t.Fatalf("of one under way: %v, want %v", got, want)
		}
	}
}

// TestClosed: after Close every call is refused as unavailable.
func TestClosed(t *testing.T) {
	d := open(t, pgtest.Start(t))
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func(context.Context) error{
		"Accept": func(ctx context.Context) error { return d.Accept(ctx, call(1, "x")) },
		"Settle": func(ctx context.Context) error { return d.Settle(ctx, &store.Settlement{}) },
		"Claim": func(ctx context.Context) error {
			_, err := d.Claim(ctx, store.Claim{Lane: lane, Now: now, Max: 1, PerHour: 1})
			return err
		},
		"Ping": d.Ping,
	} {
		if err := do(t.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

// TestOpenFails: an unreachable server is unavailable, and no error tells the
// password.
func TestOpenFails(t *testing.T) {
	_, err := Open(t.Context(), "postgres://u:geheim@127.0.0.1:1/x?connect_timeout=5", Options{})
	if !errors.Is(err, store.ErrUnavailable) || contains(err, "geheim") {
		t.Errorf("no server: %v", err)
	}
	_, err = Open(t.Context(), "postgres://u:geheim@:x:/", Options{})
	if err == nil || contains(err, "geheim") {
		t.Errorf("a broken URL: %v", err)
	}
}
