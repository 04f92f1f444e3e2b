package postgres

import (
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres/pgtest"
)

const (
	listedEvents   = 5_000_000
	listedMessages = 1_000_000
)

// fillLists stores five million events of a million messages past the API, a
// month's worth. Of each filter there is a value that most events have, and
// one, 2, that every 5,000th has.
func fillLists(b *testing.B, d *DB) {
	b.Helper()
	start := store.EventID(time.Now().Add(-time.Hour).UnixMilli(), 0, 0)
	for _, sql := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO message (id, account, sub_account, content, domain, pool, provider, submitted, mailbox, recipient, to_name, cc)
SELECT (lpad(to_hex(1773480413589 + i), 12, '0') || '7000' || '8000' || lpad(to_hex(i), 12, '0'))::uuid, 1, CASE WHEN i % 5000 = 7 THEN 2 ELSE 1 END,
  gen_random_uuid(), 1, 1, 1, 1773480413589 + i, 11, 'user' || i % 300000 || '@example.org', '', '' FROM generate_series(0, $1::bigint - 1) i`, []any{listedMessages}},
		{`INSERT INTO event (id, account, sub_account, provider, message, at, code, attempt, type, late,
evidence, source, recipient, enhanced, text, reason, rule, queue, relay, domain)
SELECT $1::bigint + i, 1, CASE WHEN i % 5000 = 7 THEN 2 ELSE 1 END, CASE WHEN i % 5000 = 7 THEN 2 ELSE 1 END,
  (lpad(to_hex(1773480413589 + i / 5), 12, '0') || '7000' || '8000' || lpad(to_hex(i / 5), 12, '0'))::uuid, 1,
  CASE WHEN i % 5000 = 7 THEN 550 ELSE 250 END, 1, 58 + i % 11, false, false, 'api',
  'user' || i / 5 % 300000 || '@example.org', '2.0.0', 'Ok: queued as 4bXyZ1', '', '', '', '', CASE WHEN i % 5000 = 7 THEN 2 ELSE 1 END
FROM generate_series(0, $2::bigint - 1) i`, []any{start, listedEvents}},
		{"VACUUM ANALYZE event", nil},
		{"VACUUM ANALYZE message", nil},
		{"CHECKPOINT", nil},
	} {
		if _, err := d.pool.Exec(b.Context(), sql.text, sql.args...); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLists lists a page of 100 by each filter among five million events,
// for a value that most have, for one that few have, and for one that none has.
func BenchmarkLists(b *testing.B) {
	d := open(b, pgtest.Start(b))
	fillLists(b, d)
	bounces := []waypost.EventType{waypost.CSHardBounced, waypost.CSSoftBounced}
	middle := store.EventTime(store.EventID(time.Now().Add(-time.Hour).UnixMilli(), 0, 0) + listedEvents/2)
	id := waypost.NewUUID(time.Now()) // of nobody
	for _, q := range []struct {
		name string
		q    store.EventQuery
	}{
		{"all", store.EventQuery{}},
		{"bounces", store.EventQuery{Types: bounces}},
		{"before", store.EventQuery{To: middle}},
		{"provider/most", store.EventQuery{Provider: 1}},
		{"provider/few", store.EventQuery{Provider: 2}},
		{"provider/none", store.EventQuery{Provider: 3}},
		{"provider/bounces", store.EventQuery{Provider: 2, Types: bounces}},
		{"sub-account/most", store.EventQuery{SubAccount: 1}},
		{"sub-account/few", store.EventQuery{SubAccount: 2}},
		{"sub-account/none", store.EventQuery{SubAccount: 3}},
		{"domain/most", store.EventQuery{Domain: 1}},
		{"domain/few", store.EventQuery{Domain: 2}},
		{"domain/none", store.EventQuery{Domain: 3}},
		{"code/most", store.EventQuery{Code: 250}},
		{"code/few", store.EventQuery{Code: 550}},
		{"code/none", store.EventQuery{Code: 421}},
		{"code+sub-account", store.EventQuery{Code: 550, SubAccount: 1}},
		{"message", store.EventQuery{Message: id}},
		{"recipient", store.EventQuery{Recipient: "user4711@example.org"}},
		{"recipient/none", store.EventQuery{Recipient: "nobody@example.org"}},
	} {
		q.q.Account, q.q.Limit = 1, 100
		b.Run("events/"+q.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := d.ListEvents(b.Context(), q.q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for _, q := range []struct {
		name string
		q    store.MessageQuery
	}{
		{"all", store.MessageQuery{}},
		{"sub-account/few", store.MessageQuery{SubAccount: 2}},
		{"sub-account/none", store.MessageQuery{SubAccount: 3}},
		{"recipient", store.MessageQuery{Recipient: "user4711@example.org"}},
		{"range", store.MessageQuery{To: time.UnixMilli(1773480413589 + listedMessages/2)}},
	} {
		q.q.Account, q.q.Limit = 1, 100
		b.Run("messages/"+q.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := d.ListMessages(b.Context(), q.q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	newest, err := d.ListEvents(b.Context(), store.EventQuery{Account: 1, Limit: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("event", func(b *testing.B) {
		for b.Loop() {
			if _, err := d.Event(b.Context(), 1, newest[0].ID-1000); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("count/few", func(b *testing.B) {
		for b.Loop() {
			if _, err := d.CountEvents(b.Context(), store.EventQuery{Account: 1, Domain: 2}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("count/bound", func(b *testing.B) {
		for b.Loop() {
			if n, err := d.CountEvents(b.Context(), store.EventQuery{Account: 1}); err != nil || n != maxCounted {
				b.Fatal(n, err)
			}
		}
	})
}
