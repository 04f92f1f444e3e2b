package sqlite

import (
	"database/sql"
	"errors"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
)

// TestRecovery: after a process that died nothing is claimed for a while, so
// that reports of what it relayed come first; after an orderly end, or with
// nothing waiting, there is no such pause.
func TestRecovery(t *testing.T) {
	path := filepath.Join(t.TempDir(), "waypost.db")
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	reopen := func(d *DB, clean bool) *DB {
		t.Helper()
		if d != nil {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if !clean { // what a process leaves behind that is killed
			db, err := sql.Open("sqlite", dsn(path, url.Values{}))
			if err != nil {
				t.Fatal(err)
			}
			_, err = db.ExecContext(t.Context(), "UPDATE pulse SET clean = 0")
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}
		next, err := Open(t.Context(), path, Options{Now: func() time.Time { return start }})
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	claim := func(d *DB, at time.Time) (int, time.Time) {
		t.Helper()
		got, err := d.Claim(t.Context(), store.Claim{Lane: benchLane, Now: at, Max: 10, LeaseUntil: at.Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		return len(got.Entries), got.NextDue
	}

	d := reopen(nil, true)
	d = reopen(d, false) // nothing waits
	a := benchCall(rand.NewChaCha8([32]byte{1}), 2)
	for i := range a.Queue {
		a.Queue[i].Due = start
	}
	if err := d.Accept(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	d = reopen(d, true)
	if d.recovered != 0 {
		t.Error("a pause after an orderly end")
	}
	d = reopen(d, false)
	if n, next := claim(d, start.Add(time.Second)); n != 0 || !next.Equal(start.Add(5*time.Second)) {
		t.Errorf("%d messages one second after a process that died, the next at %v", n, next)
	}
	if n, _ := claim(d, start.Add(5*time.Second)); n != 2 {
		t.Errorf("%d messages after the pause, want 2", n)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}
