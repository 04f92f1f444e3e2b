package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// lockMark makes the row of a mark where there is none, and holds it locked.
const lockMark = `INSERT INTO mark (name, data, expires) VALUES ($1, '', 0)
ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING data, expires`

// ChangeMark changes a mark under the lock of its row.
func (d *DB) ChangeMark(ctx context.Context, name string, now time.Time, change func([]byte) ([]byte, time.Time, error)) error {
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		var old []byte
		var until int64
		if err := tx.QueryRow(ctx, lockMark, clean(name)).Scan(&old, &until); err != nil {
			return err
		}
		if until <= now.UnixMilli() {
			old = nil
		}
		next, expires, err := change(old)
		if err != nil {
			return err
		}
		if next == nil {
			_, err = tx.Exec(ctx, `DELETE FROM mark WHERE name = $1`, clean(name))
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE mark SET data = $2, expires = $3 WHERE name = $1`, clean(name), next, millis(expires))
		return err
	})
	return wrap(ctx, fmt.Sprintf("change the mark %q", name), err)
}

// Mark finds a live mark.
func (d *DB) Mark(ctx context.Context, name string, now time.Time) ([]byte, error) {
	return one(ctx, d, "mark", pgx.RowTo[[]byte], `SELECT data FROM mark WHERE name = $1 AND expires > $2`, clean(name), now.UnixMilli())
}

// PruneMarks deletes marks that expired before a time.
func (d *DB) PruneMarks(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := d.pool.Exec(ctx, `DELETE FROM mark WHERE name IN
(SELECT name FROM mark WHERE expires < $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)`, before.UnixMilli(), max(limit, 0))
	return int(tag.RowsAffected()), wrap(ctx, "prune marks", err)
}
