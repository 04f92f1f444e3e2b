package postgres

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres/pgtest"
)

// TestMigrateEvents: events whose ids counted from 1970 keep their time and
// their order, in a month's partition or outside, and new ones come after them.
func TestMigrateEvents(t *testing.T) {
	url := pgtest.Start(t)
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDBFromPool(pool)
	p, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	stored := time.Date(2026, 11, 24, 7, 0, 0, 5e6, time.UTC)
	_, err = pool.Exec(t.Context(), `CREATE TABLE event_2026_11 PARTITION OF event FOR VALUES FROM (7528000000000000000) TO (7600000000000000000)`)
	for _, id := range []int64{stored.UnixMilli() << 22, stored.UnixMilli()<<22 + 1, stored.AddDate(-1, 0, 0).UnixMilli() << 22} {
		_, inserted := pool.Exec(t.Context(), `INSERT INTO event (id, account, sub_account, provider, message, at, code, attempt, type, late,
evidence, source, recipient, enhanced, text, reason, rule, queue, relay)
VALUES ($1, 1, 2, 7, gen_random_uuid(), 1, 0, 0, 65, false, false, 'track', 'a@example.org', '', '', '', '', '', '')`, id)
		err = errors.Join(err, inserted)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), url, Options{Now: func() time.Time { return stored.Add(time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	m := waypost.Message{ID: waypost.NewUUID(stored), Account: 1, SubAccount: 2, Provider: 7}
	if _, err := d.Record(t.Context(), []store.Fact{{Event: event(waypost.CSClick, &m)}}); err != nil {
		t.Fatal(err)
	}
	all, err := d.ListEvents(t.Context(), store.EventQuery{Account: 1, Limit: 10})
	if err != nil || len(all) != 4 || all[0].Type != waypost.CSClick {
		t.Fatalf("events: %+v, %v", all, err)
	}
	for i, want := range []time.Time{stored, stored, stored.AddDate(-1, 0, 0)} {
		if got := store.EventTime(all[i+1].ID); !got.Equal(want) {
			t.Errorf("event %d was stored at %v, want %v", i+1, got, want)
		}
	}
}
