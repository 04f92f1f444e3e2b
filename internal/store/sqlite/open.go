package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	driver "modernc.org/sqlite"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// Options are the choices of [Open]; the zero value is right for production.
type Options struct {
	// Readers is the number of reading connections; 0: two a CPU, at least 4.
	Readers int
	// Now is the clock of event ids and of [DB.Ping]; nil: time.Now.
	Now func() time.Time
	// Recovery is for how long nothing is claimed after a process that died:
	// what it relayed last is not noted, and the agents' reports of it, which
	// finish such messages, are on their way. 0: 5 s; negative: not at all.
	Recovery time.Duration
	// Log hears of migrations, which may take long; nil: nobody does.
	Log *slog.Logger
}

// ErrLocked is the cause when another process has the database open.
var ErrLocked = errors.New("in use by another process")

// DB is an open database. It implements [store.Store].
type DB struct {
	path    string
	now     func() time.Time
	lock    *os.File
	read    *reader
	writeDB *sql.DB
	conn    *sql.Conn // the committer's

	mu      sync.Mutex
	waiting []*op
	closed  bool
	wake    chan struct{} // capacity 1: something waits, or closed was set
	done    chan struct{} // closed when the committer has ended

	// Of the committer alone.
	stmts     map[string]*sql.Stmt
	lastEvent int64
	recovered int64 // nothing is claimed before; 0 after an orderly end
	bucket    int64 // of message_to, and how many are in it
	inBucket  int
	queued    bucketed // of message_queue
	lastLease int64
	lanes     map[waypost.Lane]*lane
	ledgers   map[int64]*ledger
	hooks     map[int64][]hook // enabled webhooks of each account

	closeOnce sync.Once
	closeErr  error
}

var _ store.Store = (*DB)(nil)

// minVersion is the oldest SQLite without the WAL-reset bug, 3.51.3.
const minVersion = 3_051_003

// Open opens the database file at path, creating it and bringing its schema up
// to date. It refuses a file that another process has open (ErrLocked), one
// that a newer Waypost wrote, and a SQLite older than 3.51.3.
func Open(ctx context.Context, path string, opts Options) (*DB, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("database path %q: %w", path, err)
	}
	d := &DB{
		path: full, now: opts.Now, wake: make(chan struct{}, 1), done: make(chan struct{}),
		stmts: map[string]*sql.Stmt{}, lanes: map[waypost.Lane]*lane{}, ledgers: map[int64]*ledger{},
	}
	if d.now == nil {
		d.now = time.Now
	}
	if opts.Readers <= 0 {
		opts.Readers = max(4, 2*runtime.NumCPU())
	}
	if d.lock, err = lock(full); err != nil {
		return nil, err
	}
	if err := d.open(ctx, opts); err != nil {
		return nil, errors.Join(err, d.release())
	}
	d.lastLease = d.now().UnixNano() // so that no lease of an earlier run has the id of a new one
	go d.commitLoop()
	return d, nil
}

// pragmas of the writing connection; page_size only counts before the file
// has its first page, so it comes before WAL.
var pragmas = []string{
	"PRAGMA busy_timeout = 10000",
	"PRAGMA page_size = 16384",
	"PRAGMA journal_mode = WAL",
	"PRAGMA synchronous = FULL",
	"PRAGMA foreign_keys = OFF",
	"PRAGMA cache_size = -32768",
	"PRAGMA temp_store = MEMORY",
}

func (d *DB) open(ctx context.Context, opts Options) error {
	// Not every platform has it; a commit syncs with fsync there.
	_, _ = driver.Fdatasync(true)
	var err error
	if d.writeDB, err = sql.Open("sqlite", dsn(d.path, url.Values{"_txlock": {"immediate"}})); err != nil {
		return fmt.Errorf("open %s: %w", d.path, err)
	}
	d.writeDB.SetMaxOpenConns(1)
	d.writeDB.SetMaxIdleConns(1)
	if err := ownFile(d.path); err != nil {
		return err
	}
	if err := d.prepareFile(ctx, opts.Log); err != nil {
		return err
	}
	if d.conn, err = d.writeDB.Conn(ctx); err != nil {
		return wrap("open the writing connection", err)
	}
	if err := d.conn.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM event").Scan(&d.lastEvent); err != nil {
		return wrap("read the last event id", err)
	}
	if err := d.recover(ctx, opts.Recovery); err != nil {
		return wrap("look for the end of the last process", err)
	}
	if err := d.readBucket(ctx); err != nil {
		return wrap("read the last recipients", err)
	}
	if err := d.readQueueBucket(ctx); err != nil {
		return wrap("read the last queue ids", err)
	}
	if err := d.readHooks(ctx); err != nil {
		return err
	}
	d.read, err = openReader(d.path, opts.Readers)
	return err
}

// recover finds out whether the last process ended in order, and notes that
// this one has begun.
func (d *DB) recover(ctx context.Context, wait time.Duration) error {
	var clean, waiting bool
	if err := d.conn.QueryRowContext(ctx, "SELECT clean, EXISTS (SELECT 1 FROM queue) FROM pulse").Scan(&clean, &waiting); err != nil {
		return err
	}
	if wait == 0 {
		wait = 5 * time.Second
	}
	if !clean && waiting && wait > 0 {
		d.recovered = d.now().Add(wait).UnixMilli()
	}
	_, err := d.conn.ExecContext(ctx, "UPDATE pulse SET clean = 0")
	return err
}

// ownFile makes the database file, when there is none, for its owner alone:
// SQLite would let the whole machine read it. The files beside it take its mode.
func ownFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the database file: %w", err)
	}
	return f.Close()
}

func (d *DB) prepareFile(ctx context.Context, log *slog.Logger) error {
	if err := foreign(ctx, d.writeDB, d.path); err != nil {
		return err
	}
	for _, p := range pragmas {
		if _, err := d.writeDB.ExecContext(ctx, p); err != nil {
			return refused(d.path, wrap(fmt.Sprintf("open %s: %s", d.path, p), err))
		}
	}
	var version string
	if err := d.writeDB.QueryRowContext(ctx, "SELECT sqlite_version()").Scan(&version); err != nil {
		return wrap("ask SQLite's version", err)
	}
	if err := checkVersion(version); err != nil {
		return err
	}
	return migrate(ctx, d.writeDB, d.path, log)
}

func checkVersion(version string) error {
	var a, b, c int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &a, &b, &c); err != nil {
		return fmt.Errorf("SQLite's version %q is none: %w", version, err)
	}
	if a*1_000_000+b*1_000+c < minVersion {
		return fmt.Errorf("SQLite %s can corrupt a write-ahead log when it is reset; 3.51.3 or later is needed", version)
	}
	return nil
}

// dsn makes the driver's name of a file; the path is escaped.
func dsn(path string, q url.Values) string {
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	return u.String()
}

// Ping reads through the pool and writes through the committer.
func (d *DB) Ping(ctx context.Context) error {
	if _, err := d.Installed(ctx); err != nil {
		return err
	}
	at := d.now().UnixMilli()
	return d.do(ctx, "ping", 0, func(tx *tx) error {
		_, err := tx.exec("UPDATE pulse SET at = $1", at)
		return err
	})
}

// Close commits what waits, folds the log into the database and gives the lock
// back. Later calls answer ErrUnavailable; a second Close answers what the
// first did.
func (d *DB) Close() error {
	d.closeOnce.Do(func() {
		d.mu.Lock()
		d.closed = true
		d.mu.Unlock()
		d.signal()
		<-d.done
		// Failing to note an orderly end costs the next process a few seconds.
		_, _ = d.conn.ExecContext(context.Background(), "UPDATE pulse SET clean = 1")
		d.closeErr = d.release()
	})
	return d.closeErr
}

// release closes whatever is open, the readers first: the last connection to
// close folds the log into the database.
func (d *DB) release() error {
	var errs []error
	if d.read != nil {
		errs = append(errs, d.read.close())
	}
	for _, s := range d.stmts {
		errs = append(errs, s.Close())
	}
	if d.conn != nil {
		errs = append(errs, d.conn.Close())
	}
	if d.writeDB != nil {
		errs = append(errs, d.writeDB.Close())
	}
	errs = append(errs, d.lock.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close %s: %w", d.path, err)
	}
	return nil
}
