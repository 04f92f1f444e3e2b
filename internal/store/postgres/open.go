package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/waypost-mail/waypost/internal/store"
)

// Options are the choices of [Open]; the zero value is right for production.
type Options struct {
	// MaxConns bounds the connections of this node; 0: pool_max_conns of the
	// URL, or else four a CPU and at least 16.
	MaxConns int
	// Now is the clock of event ids and partitions; nil: time.Now.
	Now func() time.Time
	// Log hears of migrations, which may take long; nil: nobody does.
	Log *slog.Logger
}

// DB is a node's access to a database. It implements [store.Store].
type DB struct {
	pool  *pgxpool.Pool
	ids   ids
	slot  int16 // of stat_day and stat_by
	hooks hooks

	accepts *committer
	settles *committer
	stop    context.CancelFunc // ends tend
	tended  chan struct{}      // closed when it has ended

	closeOnce sync.Once
}

var _ store.Store = (*DB)(nil)

// minServer is the oldest server that the SQL is written for.
const minServer = 140000

// Open connects to the database at url (postgres://user@host/name or the
// keyword form of libpq), brings its schema up to date and makes the month's
// partitions. Several nodes may open one database at the same time. It refuses
// a server older than PostgreSQL 14, a standby, and a schema that a newer
// Waypost wrote.
func Open(ctx context.Context, url string, opts Options) (*DB, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err) // the driver leaves the password out
	}
	switch {
	case opts.MaxConns > 0:
		config.MaxConns = int32(opts.MaxConns)
	case !strings.Contains(url, "pool_max_conns"):
		config.MaxConns = int32(max(16, 4*runtime.NumCPU()))
	}
	// The two committers keep a connection each while they work.
	config.MaxConns = max(config.MaxConns, 4)
	if _, ok := config.ConnConfig.RuntimeParams["application_name"]; !ok {
		config.ConnConfig.RuntimeParams["application_name"] = "waypost"
	}
	config.AfterConnect = session
	if opts.Now == nil {
		opts.Now = time.Now
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, wrap(ctx, "open the database", err)
	}
	d := &DB{pool: pool, ids: ids{now: opts.Now}, tended: make(chan struct{})}
	if err := d.open(ctx, opts.Log); err != nil {
		pool.Close()
		return nil, err
	}
	d.accepts = newCommitter(d, d.commitAccepts)
	d.settles = newCommitter(d, d.commitSettles)
	tending, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	go d.tend(tending)
	return d, nil
}

// session prepares a new connection. Every statement of this package has an
// index to go by; the planner is kept from other ways, which look good while
// its statistics are those of an empty queue. A transaction that a vanished
// node left open ends after a minute. Commits wait for the disk even where the
// operator made that optional.
func session(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, `SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;
SET enable_mergejoin = off; SET jit = off; SET idle_in_transaction_session_timeout = '60s';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`)
	return err
}

func (d *DB) open(ctx context.Context, log *slog.Logger) error {
	var version int
	var name string
	var standby bool
	err := d.pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version'),
pg_is_in_recovery()`).Scan(&version, &name, &standby)
	if err != nil {
		return wrap(ctx, "connect to the database", err)
	}
	if version < minServer {
		return fmt.Errorf("the database server is PostgreSQL %s; version 14 or later is needed: upgrade the server", name)
	}
	if standby {
		return errors.New("the database server is a standby, which cannot be written: give the URL of the primary")
	}
	if err := migrate(ctx, d.pool, log); err != nil {
		return err
	}
	var node int64
	if err := d.pool.QueryRow(ctx, `SELECT nextval('node_number')`).Scan(&node); err != nil {
		return wrap(ctx, "draw a node number", err)
	}
	d.ids.node, d.slot = int(node%1024), int16(node%16)
	if err := d.readHooks(ctx); err != nil {
		return err
	}
	return d.makePartitions(ctx)
}

// Ping writes a row.
func (d *DB) Ping(ctx context.Context) error {
	_, err := d.pool.Exec(ctx, `UPDATE pulse SET at = $1`, d.ids.now().UnixMilli())
	return wrap(ctx, "ping", err)
}

// Close commits what waits and closes the connections. Later calls answer
// ErrUnavailable; a second Close does nothing.
func (d *DB) Close() error {
	d.closeOnce.Do(func() {
		d.stop()
		d.accepts.close()
		d.settles.close()
		<-d.tended
		d.forgetMarks()
		d.pool.Close()
	})
	return nil
}

// forgetMarks deletes the committers' marks, and those of nodes that were
// killed a month ago.
func (d *DB) forgetMarks() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	old := store.EventID(d.ids.now().AddDate(0, -1, 0).UnixMilli(), 0, 0)
	// They are small; a failure leaves them to the next that closes.
	_, _ = d.pool.Exec(ctx, `DELETE FROM commit_mark WHERE committer = ANY($1) OR mark < $2`,
		[]int64{d.accepts.id, d.settles.id}, old)
}

// Size is how many bytes the database takes on the server's disk.
func (d *DB) Size(ctx context.Context) (n int64, err error) {
	err = d.pool.QueryRow(ctx, `SELECT pg_database_size(current_database())`).Scan(&n)
	return n, wrap(ctx, "measure the database", err)
}
