package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const (
	// claimRows leases the earliest due rows that no other transaction holds.
	// The lock is taken on the row as it is now, so a row that another node
	// leased a moment ago is due no more and is passed over.
	claimRows = `WITH picked AS MATERIALIZED (
  SELECT message, due FROM queue WHERE provider = $1 AND mailbox = $2 AND due <= $3
  ORDER BY due, message LIMIT $4 FOR UPDATE SKIP LOCKED
), held AS (
  UPDATE queue q SET due = $5, lease = $6, claimed = $3 FROM picked p WHERE q.message = p.message
  RETURNING q.message, q.attempt, p.due
)`
	claimed = `
SELECT h.attempt, ` + messageColumns + ` FROM held h JOIN message m ON m.id = h.message ORDER BY h.due, h.message`
	claimFree = claimRows + claimed
	// claimTokens counts what was leased in the bucket of its minute.
	claimTokens = claimRows + `, taken AS (
  INSERT INTO limit_bucket (provider, minute, mailbox, n) SELECT $1, $7, $2, count(*) FROM held HAVING count(*) > 0
  ON CONFLICT (provider, minute, mailbox) DO UPDATE SET n = limit_bucket.n + excluded.n
)` + claimed
	nextDue = `SELECT due FROM queue WHERE provider = $1 AND mailbox = $2 ORDER BY due, message LIMIT 1`
)

// Claim leases messages in one transaction. Under a limit it holds the
// provider's row of limiter, so that the nodes reserve tokens one after
// another; without one it waits for nobody.
func (d *DB) Claim(ctx context.Context, c store.Claim) (store.Claimed, error) {
	c.Max = min(max(c.Max, 1), 1000)
	out, err := d.claim(ctx, c)
	return out, wrap(ctx, "claim", err)
}

func (d *DB) claim(ctx context.Context, c store.Claim) (out store.Claimed, err error) {
	if c.PerHour <= 0 && c.LanePerHour <= 0 {
		var b pgx.Batch
		d.queueClaim(&b, c, c.Max, 0, &out)
		err = d.pool.SendBatch(ctx, &b).Close() // one transaction by itself
		return out, err
	}
	err = pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		l, err := lockLimits(ctx, tx, c)
		if err != nil {
			return err
		}
		minute := waypost.BucketMinute(c.Now)
		allowed := min(c.Max, l.free(c))
		var b pgx.Batch
		d.queueClaim(&b, c, allowed, minute, &out)
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		l.add(true, minute, len(out.Entries))
		cut := allowed < c.Max && len(out.Entries) == allowed
		if cut && !out.NextDue.IsZero() && !out.NextDue.After(c.Now) {
			out.NextToken = l.next(c)
		}
		return nil
	})
	if err != nil {
		return store.Claimed{}, err
	}
	return out, nil
}

// queueClaim adds the statements that lease up to n messages and find what is
// due next. A minute of 0 takes no tokens.
func (d *DB) queueClaim(b *pgx.Batch, c store.Claim, n int, minute int64, out *store.Claimed) {
	lease := d.ids.next()
	until := millis(c.LeaseUntil)
	box := int16(c.Lane.Mailbox)
	sql, args := claimFree, []any{c.Lane.Provider, box, c.Now.UnixMilli(), n, until, lease}
	if minute != 0 {
		sql, args = claimTokens, append(args, minute)
	}
	if n > 0 {
		b.Queue(sql, args...).Query(func(rows pgx.Rows) error {
			entry := store.Entry{Lane: c.Lane, Due: moment(until), Token: minute, Lease: lease}
			out.Entries = make([]store.Claimable, 0, min(n, 64))
			var m messageRow
			_, err := pgx.ForEachRow(rows, append([]any{&entry.Attempt}, m.dest()...), func() error {
				message, err := m.value()
				if err != nil {
					return err
				}
				entry.Message = message.ID
				out.Entries = append(out.Entries, store.Claimable{Entry: entry, Message: message})
				return nil
			})
			return err
		})
	}
	b.Queue(nextDue, c.Lane.Provider, box).Query(func(rows pgx.Rows) error {
		var due int64
		_, err := pgx.ForEachRow(rows, []any{&due}, func() error {
			out.NextDue = moment(due)
			return nil
		})
		return err
	})
}

// limits are the minute buckets of a provider, and of one of its lanes.
type limits struct{ all, lane []waypost.Bucket }

const (
	lockLimiter = `SELECT provider FROM limiter WHERE provider = $1 FOR UPDATE`
	// addLimiter makes the row to lock; two nodes may try at once.
	addLimiter  = `INSERT INTO limiter (provider) VALUES ($1) ON CONFLICT DO NOTHING`
	readBuckets = `SELECT minute, mailbox, n FROM limit_bucket WHERE provider = $1 AND minute >= $2`
	dropBuckets = `DELETE FROM limit_bucket WHERE provider = $1 AND minute < $2`
	// bucketsKept is how many minutes a bucket outlives its hour, for clocks
	// that step back and nodes whose clocks are behind.
	bucketsKept = 120
)

// lockLimits locks a provider's limits until the transaction ends, and then
// reads them: each statement sees what was committed before it began.
func lockLimits(ctx context.Context, tx pgx.Tx, c store.Claim) (*limits, error) {
	l := &limits{}
	provider, oldest := c.Lane.Provider, waypost.OldestBucket(c.Now)
	for {
		locked := false
		*l = limits{}
		var b pgx.Batch
		b.Queue(lockLimiter, provider).Query(func(rows pgx.Rows) error {
			locked = rows.Next()
			rows.Close()
			return rows.Err()
		})
		b.Queue(dropBuckets, provider, oldest-bucketsKept)
		b.Queue(readBuckets, provider, oldest).Query(func(rows pgx.Rows) error {
			var minute int64
			var box int16
			var n int
			_, err := pgx.ForEachRow(rows, []any{&minute, &box, &n}, func() error {
				l.add(box == int16(c.Lane.Mailbox), minute, n)
				return nil
			})
			return err
		})
		if err := tx.SendBatch(ctx, &b).Close(); err != nil || locked {
			return l, err
		}
		if _, err := tx.Exec(ctx, addLimiter, provider); err != nil {
			return l, err
		}
	}
}

func (l *limits) add(lane bool, minute int64, n int) {
	l.all = append(l.all, waypost.Bucket{Minute: minute, N: n})
	if lane {
		l.lane = append(l.lane, waypost.Bucket{Minute: minute, N: n})
	}
}

// free is how many messages both limits let through now.
func (l *limits) free(c store.Claim) int {
	all, _ := waypost.Allowance(l.all, waypost.Limit{PerHour: c.PerHour, Burst: c.Burst}, c.Now)
	lane, _ := waypost.Allowance(l.lane, waypost.Limit{PerHour: c.LanePerHour, Burst: c.Burst}, c.Now)
	return min(all, lane)
}

// next is when both limits let the next message through.
func (l *limits) next(c store.Claim) time.Time {
	_, all := waypost.Allowance(l.all, waypost.Limit{PerHour: c.PerHour, Burst: c.Burst}, c.Now)
	_, lane := waypost.Allowance(l.lane, waypost.Limit{PerHour: c.LanePerHour, Burst: c.Burst}, c.Now)
	if lane.After(all) {
		return lane.UTC()
	}
	return all.UTC()
}

// Buckets reads the limits of a provider.
func (d *DB) Buckets(ctx context.Context, provider, since int64) (map[waypost.Mailbox][]waypost.Bucket, error) {
	rows, err := d.pool.Query(ctx, readBuckets+` AND n > 0 ORDER BY minute`, provider, since)
	if err != nil {
		return nil, wrap(ctx, "read limits", err)
	}
	out := map[waypost.Mailbox][]waypost.Bucket{}
	var box int16
	var b waypost.Bucket
	_, err = pgx.ForEachRow(rows, []any{&b.Minute, &box, &b.N}, func() error {
		out[waypost.Mailbox(box)] = append(out[waypost.Mailbox(box)], b)
		return nil
	})
	return out, wrap(ctx, "read limits", err)
}

// Extend moves the ends of leases.
func (d *DB) Extend(ctx context.Context, held []store.Entry, until time.Time) error {
	messages, leases := make([]pgtype.UUID, len(held)), make([]int64, len(held))
	for i, e := range held {
		messages[i], leases[i] = pgtype.UUID{Bytes: e.Message, Valid: true}, e.Lease
	}
	_, err := d.pool.Exec(ctx, `UPDATE queue q SET due = $3
FROM unnest($1::uuid[], $2::bigint[]) AS v(message, lease)
WHERE q.message = v.message AND q.lease = v.lease AND q.lease <> 0`, messages, leases, millis(until))
	return wrap(ctx, "extend leases", err)
}

// laneWalk jumps from lane to lane in the index.
const laneWalk = `WITH RECURSIVE lane AS (
  (SELECT provider, mailbox, due FROM queue ORDER BY provider, mailbox, due, message LIMIT 1)
  UNION ALL
  SELECT n.provider, n.mailbox, n.due FROM lane l CROSS JOIN LATERAL (
    SELECT q.provider, q.mailbox, q.due FROM queue q WHERE (q.provider, q.mailbox) > (l.provider, l.mailbox)
    ORDER BY q.provider, q.mailbox, q.due, q.message LIMIT 1) n
)`

const laneHeads = laneWalk + ` SELECT provider, mailbox, due FROM lane`

// LaneHeads lists the lanes with their earliest due times.
func (d *DB) LaneHeads(ctx context.Context) ([]store.LaneHead, error) {
	return list(ctx, d, "list lanes", func(row pgx.CollectableRow) (h store.LaneHead, err error) {
		var due int64
		err = row.Scan(&h.Lane.Provider, (*int16)(&h.Lane.Mailbox), &due)
		h.Due = moment(due)
		return h, err
	}, laneHeads)
}

// Depth counts the rows of the queue, up to 100,000.
func (d *DB) Depth(ctx context.Context) (n int, err error) {
	err = d.pool.QueryRow(ctx, `SELECT count(*) FROM (SELECT FROM queue LIMIT 100000) AS bounded`).Scan(&n)
	return n, wrap(ctx, "count the queue", err)
}
