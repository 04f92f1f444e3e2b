package sqlite

import (
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// insertFirst is how the first release stored an event.
const insertFirst = `INSERT INTO event (id, type, account, sub_account, provider, message, recipient, at, source, code, enhanced,
text, reason, rule, attempt, queue, relay, late, evidence)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`

// TestMigrateEvents: events whose ids counted from 1970 keep their time and
// their order, and new ones come after them.
func TestMigrateEvents(t *testing.T) {
	path := filepath.Join(t.TempDir(), "waypost.db")
	db, err := sql.Open("sqlite", dsn(path, url.Values{}))
	if err != nil {
		t.Fatal(err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	stored := time.Date(2026, 11, 24, 7, 0, 0, 5e6, time.UTC)
	for i := range int64(3) {
		if _, err := db.ExecContext(t.Context(), insertFirst, stored.UnixMilli()<<22+i, int64(waypost.CSOpen), 1, 1, 7, make([]byte, 16), "a@example.org",
			i, "track", 0, "", "", "", "", 0, "", "", 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	d, err := Open(t.Context(), path, Options{
		Now: func() time.Time { return stored.Add(time.Hour) }, Log: slog.New(slog.NewTextHandler(&said, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if log := said.String(); !strings.Contains(log, "from=1 ") || !strings.Contains(log, "schema=2 ") || !strings.Contains(log, "schema=4 ") {
		t.Errorf("it said of the migration:\n%s", log)
	}
	m := waypost.Message{ID: waypost.NewUUID(stored), Account: 1, SubAccount: 1, Provider: 7}
	_, err = d.Record(t.Context(), []store.Fact{{Event: benchEvent(waypost.CSClick, &m)}})
	all, listErr := d.ListEvents(t.Context(), store.EventQuery{Account: 1, Limit: 10})
	if err := errors.Join(err, listErr, d.Close()); err != nil {
		t.Fatal(err)
	}
	if len(all) != 4 || all[0].Type != waypost.CSClick {
		t.Fatalf("events: %+v", all)
	}
	for i, e := range all[1:] {
		if got := store.EventTime(e.ID); !got.Equal(stored) || e.At.UnixMilli() != int64(2-i) && !e.At.IsZero() {
			t.Errorf("event %d is of %v, stored at %v", i, e.At, got)
		}
	}
}
