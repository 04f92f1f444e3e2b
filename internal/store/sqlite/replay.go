package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
)

// replay stores the answer that goes with an acceptance: ErrExists when its
// key is live at the time of the call.
func (t *tx) replay(r *store.Replay, now time.Time) error {
	answer := r.Answer
	if answer == nil {
		answer = []byte{}
	}
	n, err := t.exec(`INSERT INTO replay (sub_account, key, request, answer, expires) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO UPDATE SET request = excluded.request, answer = excluded.answer, expires = excluded.expires WHERE replay.expires <= $6`,
		r.SubAccount, r.Key, r.Request[:], answer, millis(r.Expires), now.UnixMilli())
	if err == nil && n == 0 {
		return fmt.Errorf("idempotency key: %w", store.ErrExists)
	}
	return err
}

// Replay implements [store.Idempotency].
func (d *DB) Replay(ctx context.Context, subAccount int64, key string, now time.Time) (store.Replay, error) {
	return one(ctx, d, "find the answer to an idempotency key", func(row scanner, r *store.Replay) error {
		var request []byte
		var expires int64
		err := row.Scan(&r.SubAccount, &r.Key, &request, &r.Answer, &expires)
		copy(r.Request[:], request)
		r.Expires = moment(expires)
		return err
	}, "SELECT sub_account, key, request, answer, expires FROM replay WHERE sub_account = $1 AND key = $2 AND expires > $3",
		subAccount, key, now.UnixMilli())
}

// PruneReplays implements [store.Idempotency].
func (d *DB) PruneReplays(ctx context.Context, before time.Time, limit int) (int, error) {
	return d.prune(ctx, "prune the answers to idempotency keys", `DELETE FROM replay WHERE rowid IN
(SELECT rowid FROM replay WHERE expires < $1 ORDER BY expires LIMIT $2)`, before.UnixMilli(), max(limit, 0))
}
