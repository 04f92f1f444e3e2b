package sqlite

import (
	"context"
	"fmt"
	"time"
)

// ChangeMark implements [store.Marks]. The committer runs one transaction at a
// time, so nothing comes between reading and writing.
func (d *DB) ChangeMark(ctx context.Context, name string, now time.Time, change func([]byte) ([]byte, time.Time, error)) error {
	return d.do(ctx, fmt.Sprintf("change the mark %q", name), 0, func(tx *tx) error {
		var old []byte
		if _, err := tx.row("SELECT data FROM mark WHERE name = $1 AND expires > $2", []any{name, now.UnixMilli()}, &old); err != nil {
			return err
		}
		next, expires, err := change(old)
		if err != nil {
			return err
		}
		if next == nil {
			_, err = tx.exec("DELETE FROM mark WHERE name = $1", name)
			return err
		}
		_, err = tx.exec("INSERT OR REPLACE INTO mark (name, data, expires) VALUES ($1, $2, $3)", name, next, millis(expires))
		return err
	})
}

// Mark implements [store.Marks].
func (d *DB) Mark(ctx context.Context, name string, now time.Time) ([]byte, error) {
	return one(ctx, d, "find a mark", func(row scanner, b *[]byte) error { return row.Scan(b) },
		"SELECT data FROM mark WHERE name = $1 AND expires > $2", name, now.UnixMilli())
}

// PruneMarks implements [store.Marks].
func (d *DB) PruneMarks(ctx context.Context, before time.Time, limit int) (int, error) {
	return d.prune(ctx, "prune marks", `DELETE FROM mark WHERE name IN
(SELECT name FROM mark WHERE expires < $1 ORDER BY expires LIMIT $2)`, before.UnixMilli(), max(limit, 0))
}
