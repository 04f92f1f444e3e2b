package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const (
	listedEvents   = 5_000_000
	listedMessages = 1_000_000
	listedFrom     = 1_773_480_413_589 // when the first message was submitted, in milliseconds; a thousand follow in a second
)

// Of each filter there is a value that most rows have, and one, 2, that every
// 5,000th has. The id of a message is made of its number.
const (
	fillMessages = `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $1 - 1)
INSERT INTO message (id, account, sub_account, content, recipient, to_name, cc, domain, pool, provider, mailbox, submitted)
SELECT unhex(format('%012x70008000%012x', $2 + i, i)), 1, CASE WHEN i % 5000 = 7 THEN 2 ELSE 1 END,
unhex(format('%012x70008000%012x', $2 + i, i)), 'user' || i % 300000 || '@example.org', '', '', 1, 1, 1, 11, $2 + i FROM n`
	fillRecipients = `INSERT INTO message_to (bucket, hash, message)
SELECT (row_number() OVER (ORDER BY id) - 1) / $1, waypost_recipient(recipient), id FROM message`
	fillContents = `INSERT INTO content (id, account, sub_account, body) SELECT id, 1, sub_account, x'00' FROM message`
	fillEvents   = `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $1 - 1)
INSERT INTO event (id, type, account, sub_account, provider, message, recipient, at, source, code, enhanced, text, reason, rule,
attempt, queue, relay, late, evidence, domain)
SELECT $3 + i, 58 + i % 11, 1, CASE WHEN i % 5000 = 7 THEN 2 ELSE 1 END, CASE WHEN i % 5000 = 7 THEN 2 ELSE 1 END,
unhex(format('%012x70008000%012x', $2 + i / 5, i / 5)), 'user' || i / 5 % 300000 || '@example.org', 1, 'api',
CASE WHEN i % 5000 = 7 THEN 550 ELSE 250 END, '2.0.0', 'Ok: queued as 4bXyZ1', '', '', 1, '', '', 0, 0,
CASE WHEN i % 5000 = 7 THEN 2 ELSE 1 END FROM n`
)

// filled is a database with a million messages, and events of them.
func filled(b *testing.B, events int) *DB {
	b.Helper()
	d := open(b, filepath.Join(b.TempDir(), "waypost.db"))
	err := d.do(b.Context(), "fill", 0, func(tx *tx) error {
		for _, q := range []struct {
			query string
			args  []any
		}{
			{fillMessages, []any{listedMessages, listedFrom}},
			{fillRecipients, []any{bucketSize}},
			{fillContents, nil},
			{fillEvents, []any{events, listedFrom, store.EventID(time.Now().Add(-time.Hour).UnixMilli(), 0, 0)}},
		} {
			if _, err := tx.exec(q.query, q.args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// BenchmarkLists lists a page of 100 by each filter among five million events
// of a million messages, for a value that most have, for one that few have, and
// for one that none has.
func BenchmarkLists(b *testing.B) {
	d := filled(b, listedEvents)
	bounces := []waypost.EventType{waypost.CSHardBounced, waypost.CSSoftBounced}
	for _, q := range []struct {
		name string
		q    store.EventQuery
	}{
		{"all", store.EventQuery{}},
		{"bounces", store.EventQuery{Types: bounces}},
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
		{"code/few+sub-account", store.EventQuery{Code: 550, SubAccount: 1}},
		{"message/none", store.EventQuery{Message: waypost.NewUUID(time.UnixMilli(listedFrom))}},
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
		{"recipient/none", store.MessageQuery{Recipient: "nobody@example.org"}},
		{"range", store.MessageQuery{To: time.UnixMilli(listedFrom + listedMessages/2)}},
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
}

// BenchmarkPruneMessages deletes a batch of a hundred messages, each with a
// content of its own, among a million submitted at a thousand in a second. It
// is how long the committer is held up.
func BenchmarkPruneMessages(b *testing.B) {
	d := filled(b, 1)
	before := time.UnixMilli(listedFrom + listedMessages)
	for b.Loop() {
		n, err := d.PruneMessages(b.Context(), before, 100)
		if err != nil || n != 100 {
			b.Fatalf("pruned %d: %v", n, err)
		}
	}
}
