package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"hash/fnv"

	sqlite "modernc.org/sqlite"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// bucketSize is how many messages share a bucket of message_to: a commit
// touches the pages of one bucket, some 14, and a look-up asks each bucket, 600
// at five million messages.
const bucketSize = 8192

// recipientHash is what a message is found by: of the folded address. Those
// that share one are told apart by the address itself.
func recipientHash(recipient string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(waypost.FoldEmail(recipient)))
	return int64(h.Sum64())
}

// The functions that SQL calls: SQLite's own lower knows ASCII alone.
var _ = func() struct{} {
	text := func(f func(string) driver.Value) func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		return func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			s, ok := args[0].(string)
			if !ok {
				return nil, fmt.Errorf("%T is no text", args[0])
			}
			return f(s), nil
		}
	}
	sqlite.MustRegisterDeterministicScalarFunction("waypost_fold", 1, text(func(s string) driver.Value { return waypost.FoldEmail(s) }))
	sqlite.MustRegisterDeterministicScalarFunction("waypost_recipient", 1, text(func(s string) driver.Value { return recipientHash(s) }))
	sqlite.MustRegisterDeterministicScalarFunction("waypost_queue", 2, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		account, ok := args[0].(int64)
		id, text := args[1].(string)
		if !ok || !text {
			return nil, fmt.Errorf("%T and %T are no account and queue id", args[0], args[1])
		}
		return queueHash(account, waypost.QueueID(id)), nil
	})
	return struct{}{}
}()

// messagesTo selects the messages to a recipient by its hash, at the
// placeholder given.
func messagesTo(hash string) string {
	return `WITH RECURSIVE b (n) AS (SELECT max(bucket) FROM message_to UNION ALL SELECT n - 1 FROM b WHERE n > (SELECT min(bucket) FROM message_to))
SELECT t.message FROM b CROSS JOIN message_to t WHERE t.bucket = b.n AND t.hash = ` + hash
}

// readBucket finds out where findable goes on.
func (d *DB) readBucket(ctx context.Context) error {
	return d.conn.QueryRowContext(ctx, `SELECT coalesce(max(bucket), 0), (SELECT count(*) FROM message_to
WHERE bucket = (SELECT max(bucket) FROM message_to)) FROM message_to`).Scan(&d.bucket, &d.inBucket)
}

// findable lets a message be found by the hash of its recipient. A rollback may
// leave a bucket with fewer than its share, which does no harm.
func (t *tx) findable(id waypost.UUID, hash int64) error {
	d := t.db
	if d.inBucket >= bucketSize {
		d.bucket, d.inBucket = d.bucket+1, 0
	}
	d.inBucket++
	_, err := t.exec("INSERT INTO message_to (bucket, hash, message) VALUES ($1, $2, $3)", d.bucket, hash, id[:])
	if err != nil {
		return fmt.Errorf("recipient of %s: %w", id, err)
	}
	return nil
}

// ListMessages implements [store.Events].
func (d *DB) ListMessages(ctx context.Context, q store.MessageQuery) ([]waypost.Message, error) {
	f := &filter{}
	f.and("m.account = ?", q.Account)
	if q.SubAccount != 0 {
		f.and("m.sub_account = ?", q.SubAccount)
	}
	if q.Recipient != "" {
		f.conds = append(f.conds, "m.id IN ("+messagesTo(f.arg(recipientHash(q.Recipient)))+")")
		f.and("waypost_fold(m.recipient) = ?", q.Recipient)
	}
	if !q.From.IsZero() {
		f.and("m.id >= ?", firstMessage(q.From))
	}
	if !q.To.IsZero() {
		f.and("m.id < ?", firstMessage(q.To))
	}
	if !q.Before.IsZero() {
		f.and("m.id < ?", q.Before[:])
	}
	return list(ctx, d, "list messages", scanMessage, selectMessage+f.where()+" ORDER BY m.id DESC"+f.page(q.Limit, q.Offset), f.args...)
}
