package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// tx is a committer's transaction. Statements that need no answer are queued
// and go out with the COMMIT in one round trip.
type tx struct {
	conn      *pgx.Conn
	mark      int64 // of this transaction, in the committer's row of commit_mark
	last      pgx.Batch
	stats     map[statKey]int64
	committed bool // COMMIT was sent
}

// transact runs work and commits. An error means that nothing was stored, but
// for errUnknown.
func (c *committer) transact(ctx context.Context, work func(context.Context, *tx) error) error {
	conn, err := c.db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	t := &tx{conn: conn.Conn(), mark: c.db.ids.next(), stats: map[statKey]int64{}}
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
	t.queueStats(c.db.slot)
	t.last.Queue("commit")
	t.committed = true
	return t.send(ctx, &t.last)
}

// send runs a batch in one round trip.
func (t *tx) send(ctx context.Context, b *pgx.Batch) error { return t.conn.SendBatch(ctx, b).Close() }

// queue adds a statement that goes out with the COMMIT.
func (t *tx) queue(sql string, args ...any) { t.last.Queue(sql, args...) }

// copy runs a COPY statement with the rows that part gives of each op.
func (t *tx) copy(ctx context.Context, sql string, group []*op, part func(*op) rows) error {
	n := 0
	for _, o := range group {
		n += len(part(o))
	}
	if n == 0 {
		return nil
	}
	buf := make([]byte, 0, len(copyHeader)+n+len(copyTrailer))
	buf = append(buf, copyHeader...)
	for _, o := range group {
		buf = append(buf, part(o)...)
	}
	buf = append(buf, copyTrailer...)
	_, err := t.conn.PgConn().CopyFrom(ctx, bytes.NewReader(buf), sql)
	return err
}

// errUnknown: the connection broke while COMMIT was under way, and the server
// did not come back in time to say what became of it.
var errUnknown = errors.New("the database server was lost during the commit: it may have been stored or not")

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

// statKey is one counter of stat_day.
type statKey struct {
	account, sub, provider int64
	day                    int32
	stat                   waypost.Stat
}

// count notes that an event moves its counter.
func (t *tx) count(e *waypost.Event) {
	for _, s := range e.Stats() {
		t.stats[statKey{e.Account, e.SubAccount, e.Provider, dayOf(e.At), s}]++
	}
}

const addStats = `INSERT INTO stat_day (account, sub_account, provider, day, stat, slot, n)
SELECT account, sub, provider, day, stat, $7, n
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::smallint[], $6::bigint[])
  AS v(account, sub, provider, day, stat, n)
ON CONFLICT (account, day, sub_account, provider, stat, slot) DO UPDATE SET n = stat_day.n + excluded.n`

// queueStats writes the counters, last of all and in one order everywhere:
// their rows are the ones that transactions wait for each other on.
func (t *tx) queueStats(slot int16) {
	if len(t.stats) == 0 {
		return
	}
	keys := make([]statKey, 0, len(t.stats))
	for k := range t.stats {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b statKey) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.day, b.day), cmp.Compare(a.sub, b.sub),
			cmp.Compare(a.provider, b.provider), cmp.Compare(a.stat, b.stat))
	})
	var accounts, subs, providers, n []int64
	var days []int32
	var stats []int16
	for _, k := range keys {
		accounts, subs, providers = append(accounts, k.account), append(subs, k.sub), append(providers, k.provider)
		days, stats, n = append(days, k.day), append(stats, int16(k.stat)), append(n, t.stats[k])
	}
	t.queue(addStats, accounts, subs, providers, days, stats, n, slot)
}
