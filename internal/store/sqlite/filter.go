package sqlite

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// filter builds the condition of a query. Its shape depends on which fields of
// a query are set, so few statements are ever prepared.
type filter struct {
	conds []string
	args  []any
}

// arg adds a value and gives its placeholder.
func (f *filter) arg(v any) string {
	f.args = append(f.args, v)
	return fmt.Sprintf("$%d", len(f.args))
}

// and adds a condition with one ? in it.
func (f *filter) and(cond string, v any) {
	f.conds = append(f.conds, strings.Replace(cond, "?", f.arg(v), 1))
}

// anyOf adds the condition that a column has one of n values.
func (f *filter) anyOf(column string, n int, value func(int) any) {
	in := make([]string, n)
	for i := range n {
		in[i] = f.arg(value(i))
	}
	f.conds = append(f.conds, column+" IN ("+strings.Join(in, ",")+")")
}

func (f *filter) where() string {
	if len(f.conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.conds, " AND ")
}

// page ends a query.
func (f *filter) page(limit, offset int) string {
	return " LIMIT " + f.arg(min(max(limit, 1), 1000)) + " OFFSET " + f.arg(max(offset, 0))
}

// ceilMillis is the first stored form of a time that is not before t.
func ceilMillis(t time.Time) int64 {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return ms
}

// prune runs a DELETE that is bounded by its last argument and tells how many
// rows went.
func (d *DB) prune(ctx context.Context, act, query string, args ...any) (int, error) {
	var n int64
	err := d.do(ctx, act, 100_000, func(tx *tx) (err error) {
		n, err = tx.exec(query, args...)
		return err
	})
	return int(n), err
}
