package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost/internal/store"
)

// tx is a committer's transaction. Statements that need no answer are queued
// and go out with the COMMIT in one round trip.
type tx struct {
	conn      *pgx.Conn
	mark      int64 // of this transaction, in the committer's row of commit_mark
	last      pgx.Batch
	counted   counters
	settled   settled
	told      rows // of deliveryCopy
	committed bool // COMMIT was sent
}

func newTx(conn *pgx.Conn, mark int64) *tx {
	return &tx{conn: conn, mark: mark, counted: newCounters(), settled: settled{}}
}

// transact runs work and commits. An error means that nothing was stored, but
// for errUnknown.
func (c *committer) transact(ctx context.Context, work func(context.Context, *tx) error) error {
	conn, err := c.db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	t := newTx(conn.Conn(), c.db.ids.next())
	err = c.inside(ctx, t, work)
	if err != nil && !t.conn.IsClosed() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		_, _ = t.conn.Exec(end, "rollback") // when this fails, too, the pool closes the connection
		cancel()
	}
	conn.Release()
	if err != nil && t.committed && (sqlState(err) == "" || disconnected(err)) {
		return c.resolve(t.mark, err)
	}
	return err
}

func (c *committer) inside(ctx context.Context, t *tx, work func(context.Context, *tx) error) error {
	var begin pgx.Batch
	begin.Queue("begin")
	begin.Queue(`INSERT INTO commit_mark (committer, mark) VALUES ($1, $2)
ON CONFLICT (committer) DO UPDATE SET mark = excluded.mark`, c.id, t.mark)
	if err := t.send(ctx, &begin); err != nil {
		return err
	}
	if err := work(ctx, t); err != nil {
		return err
	}
	if err := t.finish(ctx, c.db.slot); err != nil {
		return err
	}
	t.last.Queue("commit")
	t.committed = true
	return t.send(ctx, &t.last)
}

// send runs a batch in one round trip.
func (t *tx) send(ctx context.Context, b *pgx.Batch) error { return t.conn.SendBatch(ctx, b).Close() }

// queue adds a statement that goes out with the COMMIT.
func (t *tx) queue(sql string, args ...any) { t.last.Queue(sql, args...) }

// enter gives the op's events their ids, counts them, and notes which webhooks
// are told of them.
func (d *DB) enter(t *tx, o *op) {
	d.ids.fill(len(o.eventAt), func(i int, id int64) {
		o.events.stamp(o.eventAt[i], id)
		o.counted[i].ID = id
	})
	hooks := d.hooks.current()
	for i := range o.counted {
		e := &o.counted[i]
		t.counted.add(e, 1)
		t.settled.add(e)
		hooks.tell(&t.told, e)
	}
}

// finish stores the deliveries and queues the counters.
func (t *tx) finish(ctx context.Context, slot int16) error {
	if len(t.told) > 0 {
		if err := t.copyRows(ctx, deliveryCopy, t.told); err != nil {
			return err
		}
	}
	t.settled.queue(t)
	t.counted.queue(t, slot)
	return nil
}

// copy runs a COPY statement with the rows that part gives of each op.
func (t *tx) copy(ctx context.Context, sql string, group []*op, part func(*op) rows) error {
	all := make([]rows, 0, len(group))
	for _, o := range group {
		if r := part(o); len(r) > 0 {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return t.copyRows(ctx, sql, all...)
}

func (t *tx) copyRows(ctx context.Context, sql string, all ...rows) error {
	n := len(copyHeader) + len(copyTrailer)
	for _, r := range all {
		n += len(r)
	}
	buf := append(make([]byte, 0, n), copyHeader...)
	for _, r := range all {
		buf = append(buf, r...)
	}
	buf = append(buf, copyTrailer...)
	_, err := t.conn.PgConn().CopyFrom(ctx, bytes.NewReader(buf), sql)
	return err
}

// errUnknown: the connection broke while COMMIT was under way, and the server
// did not come back in time to say what became of it.
var errUnknown = fmt.Errorf("%w: the database server went away during the commit", store.ErrUnknown)

// resolveMax is how long to ask for the fate of a commit.
const resolveMax = 30 * time.Second

// resolve asks what became of a transaction whose COMMIT was sent and not
// answered: nil when it is on disk, cause when it is not. The transaction held
// its row of commit_mark from its beginning, so locking the row waits for its
// end should it still be under way. While the server is away, other calls are
// refused at once.
func (c *committer) resolve(mark int64, cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), resolveMax)
	defer cancel()
	defer c.refuse(nil)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		var have int64
		err := c.db.pool.QueryRow(ctx, `SELECT mark FROM commit_mark WHERE committer = $1 FOR UPDATE`, c.id).Scan(&have)
		switch {
		case err == nil && have == mark:
			return nil
		case err == nil, errors.Is(err, pgx.ErrNoRows):
			return cause
		}
		c.refuse(fmt.Errorf("%w: %w", store.ErrUnavailable, err))
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", errUnknown, cause)
		case <-timer.C:
		}
	}
}
