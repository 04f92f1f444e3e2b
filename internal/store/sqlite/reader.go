package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// reader is the pool of reading connections, with its prepared statements.
type reader struct {
	db    *sql.DB
	stmts sync.Map // query to *sql.Stmt
}

func openReader(path string, n int) (*reader, error) {
	// Of a join with many rows SQLite would make an index for one query, over
	// every message there is; each of ours has one that serves.
	db, err := sql.Open("sqlite", dsn(path, url.Values{
		"mode":    {"ro"},
		"_pragma": {"busy_timeout(10000)", "query_only(1)", "cache_size(-8192)", "automatic_index(0)"},
	}))
	if err != nil {
		return nil, fmt.Errorf("open %s for reading: %w", path, err)
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return &reader{db: db}, nil
}

func (r *reader) close() error {
	var errs []error
	r.stmts.Range(func(_, s any) bool {
		errs = append(errs, s.(*sql.Stmt).Close())
		return true
	})
	return errors.Join(append(errs, r.db.Close())...)
}

// stmt prepares a query once; queries are constants, or constants with a
// number of placeholders that is a power of two.
func (r *reader) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	if s, ok := r.stmts.Load(query); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := r.db.PrepareContext(ctx, inOrder(query))
	if err != nil {
		return nil, err
	}
	if old, raced := r.stmts.LoadOrStore(query, s); raced {
		_ = s.Close()
		return old.(*sql.Stmt), nil
	}
	return s, nil
}

// scanner is a row: *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// one reads the first row of a query; ErrNotFound when there is none.
func one[T any](ctx context.Context, d *DB, act string, scan func(scanner, *T) error, query string, args ...any) (T, error) {
	var out, zero T
	s, err := d.read.stmt(ctx, query)
	if err != nil {
		return zero, wrap(act, err)
	}
	switch err := scan(s.QueryRowContext(ctx, args...), &out); {
	case errors.Is(err, sql.ErrNoRows):
		return zero, fmt.Errorf("%s: %w", act, store.ErrNotFound)
	case err != nil:
		return zero, wrap(act, err)
	}
	return out, nil
}

// list reads all rows of a query.
func list[T any](ctx context.Context, d *DB, act string, scan func(scanner, *T) error, query string, args ...any) ([]T, error) {
	s, err := d.read.stmt(ctx, query)
	if err != nil {
		return nil, wrap(act, err)
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return nil, wrap(act, err)
	}
	return collect(rows, act, scan)
}

func collect[T any](rows *sql.Rows, act string, scan func(scanner, *T) error) ([]T, error) {
	defer rows.Close()
	var out []T
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, wrap(act, err)
		}
		out = append(out, v)
	}
	return out, wrap(act, rows.Err())
}

// among makes the placeholders of an IN list after the first given, a power of
// two of them so that few statements serve all lengths; the last value is
// repeated to fill them.
func among[T any](values []T, given int, arg func(*T) any) (placeholders string, args []any) {
	n := 1
	for n < len(values) {
		n *= 2
	}
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(given + i + 1))
		args = append(args, arg(&values[min(i, len(values)-1)]))
	}
	return b.String(), args
}

// pageArgs are the limit, the offset and the LIKE pattern of a page.
func pageArgs(p store.Page) (limit, offset int, like string) {
	like = "%"
	if p.Search != "" {
		like = "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(p.Search) + "%"
	}
	return min(max(p.Limit, 1), 1000), max(p.Offset, 0), like
}

// millis is the stored form of a time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// moment is the time of a stored form.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// milliseconds is the duration of a stored form.
func milliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// blob is the stored form of an id that may be unset.
func blob(u waypost.UUID) any {
	if u.IsZero() {
		return nil
	}
	return u[:]
}
