package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// What searches walk beside the tables themselves is written once for a group,
// from the events that it counted: several rows a statement.

// bucketed numbers the rows of a table that is written as message_to is: see
// bucketSize.
type bucketed struct {
	at   int64
	have int
}

// next is the bucket of one more row.
func (b *bucketed) next() int64 {
	if b.have >= bucketSize {
		b.at, b.have = b.at+1, 0
	}
	b.have++
	return b.at
}

// queueHash is what a message is found by when its id at a mail server is
// asked for.
func queueHash(account int64, id waypost.QueueID) int64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%d %s", account, id)
	return int64(h.Sum64())
}

// queuedAs selects the messages with a queue id by its hash, at the placeholder
// given.
func queuedAs(hash string) string {
	return `WITH RECURSIVE b (n) AS (SELECT max(bucket) FROM message_queue UNION ALL SELECT n - 1 FROM b WHERE n > (SELECT min(bucket) FROM message_queue))
SELECT DISTINCT t.message FROM b CROSS JOIN message_queue t WHERE t.bucket = b.n AND t.hash = ` + hash
}

// readQueueBucket finds out where message_queue goes on.
func (d *DB) readQueueBucket(ctx context.Context) error {
	return d.conn.QueryRowContext(ctx, `SELECT coalesce(max(bucket), 0), (SELECT count(*) FROM message_queue
WHERE bucket = (SELECT max(bucket) FROM message_queue)) FROM message_queue`).Scan(&d.queued.at, &d.queued.have)
}

// flushMarks writes what the group's events say of queue ids, and of messages
// that were sent with no more known of them.
func (t *tx) flushMarks() error {
	type mark struct {
		hash    int64
		message waypost.UUID
	}
	marks := map[mark]bool{}
	open := map[waypost.UUID]*waypost.Event{} // nil: closed
	for _, c := range t.counts {
		e := c.e
		if e == nil || c.n < 0 { // an exchange, or an event that is taken back
			continue
		}
		if e.Queue != "" {
			marks[mark{queueHash(e.Account, e.Queue), e.Message}] = true
		}
		switch _, known := open[e.Message]; {
		case store.Closes(e):
			open[e.Message] = nil
		case store.Opens(e) && !known:
			open[e.Message] = e
		}
	}
	sorted := make([]mark, 0, len(marks))
	for m := range marks {
		sorted = append(sorted, m)
	}
	slices.SortFunc(sorted, func(a, b mark) int { return cmp.Compare(a.hash, b.hash) })
	rows := make([]any, 0, 3*len(marks))
	for i := range sorted {
		rows = append(rows, t.db.queued.next(), sorted[i].hash, sorted[i].message[:])
	}
	if err := t.insertAll("INSERT OR IGNORE INTO message_queue (bucket, hash, message) VALUES ", 3, rows); err != nil {
		return fmt.Errorf("queue ids: %w", err)
	}
	rows = rows[:0]
	for id, e := range open {
		if e != nil {
			rows = append(rows, e.Message[:], e.Account)
			continue
		}
		if _, err := t.exec("DELETE FROM unsettled WHERE message = $1", id[:]); err != nil {
			return fmt.Errorf("outcome of %s: %w", id, err)
		}
	}
	if err := t.insertAll("INSERT OR IGNORE INTO unsettled (message, account) VALUES ", 2, rows); err != nil {
		return fmt.Errorf("messages without outcome: %w", err)
	}
	if err := t.insertAll("INSERT INTO headline (content, account, sender, from_name, from_email, subject) VALUES ", 6, t.heads); err != nil {
		return fmt.Errorf("headlines: %w", err)
	}
	if err := t.insertAll("INSERT INTO content_tag (content, tag, account) VALUES ", 3, t.tags); err != nil {
		return fmt.Errorf("tags: %w", err)
	}
	return nil
}

// insertAll inserts rows of n columns, many a statement; the number of rows is
// one of few, so that few statements are prepared.
func (t *tx) insertAll(insert string, n int, rows []any) error {
	one := ", (" + strings.TrimSuffix(strings.Repeat("?, ", n), ", ") + ")"
	for len(rows) > 0 {
		size := 1
		for _, s := range []int{64, 16, 4} {
			if len(rows) >= s*n {
				size = s
				break
			}
		}
		if _, err := t.exec(insert+strings.Repeat(one, size)[2:], rows[:size*n]...); err != nil {
			return err
		}
		rows = rows[size*n:]
	}
	return nil
}

// headline notes what lists and searches need of a content, for flushMarks.
func (t *tx) headline(c *waypost.Content) {
	h := store.HeadlineOf(c)
	t.heads = append(t.heads, c.ID[:], c.Account, waypost.FoldEmail(h.From.Email), h.From.Name, h.From.Email, h.Subject)
	for _, tag := range store.Tags(c) {
		t.tags = append(t.tags, c.ID[:], tag, c.Account)
	}
}

// pruneQueueIDs forgets the queue ids of messages submitted before a time, of
// the oldest bucket: one bucket a call, which keeps up with what is written.
func (t *tx) pruneQueueIDs(before time.Time) error {
	_, err := t.exec("DELETE FROM message_queue WHERE bucket = (SELECT min(bucket) FROM message_queue) AND message < $1", firstMessage(before))
	return err
}
