package postgres

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost/internal/store"
)

// replay is a store.Replay on its way in.
type replay struct {
	store.Replay
	now int64 // time of the call: what has expired by then is replaced
}

// addReplay notes the answer that goes with an acceptance.
func (o *op) addReplay(a *store.Acceptance) {
	if a.Replay == nil {
		return
	}
	r := &replay{Replay: *a.Replay, now: a.Content.ID.Time().UnixMilli()}
	r.Key = clean(r.Key)
	if r.Answer == nil {
		r.Answer = []byte{}
	}
	o.replay = r
}

func (r *replay) answer() []byte {
	if r == nil {
		return nil
	}
	return r.Answer
}

const addReplays = `INSERT INTO replay (sub_account, key, request, answer, expires)
SELECT sub, key, request, answer, expires
FROM unnest($1::bigint[], $2::text[], $3::bytea[], $4::bytea[], $5::bigint[], $6::bigint[]) AS v(sub, key, request, answer, expires, now)
ON CONFLICT (sub_account, key) DO UPDATE SET request = excluded.request, answer = excluded.answer, expires = excluded.expires
WHERE replay.expires <= (SELECT w.now FROM unnest($1::bigint[], $2::text[], $6::bigint[]) AS w(sub, key, now)
  WHERE w.sub = replay.sub_account AND w.key = replay.key)
RETURNING sub_account, key`

type replayKey struct {
	sub int64
	key string
}

// answer stores the answers that go with a group of calls, and gives the calls
// that are to be stored: one whose key is live gets ErrExists, and so do all
// but the first of a group with the same key. Another node that stores the same
// key at the moment is waited for.
func (t *tx) answer(ctx context.Context, group []*op) ([]*op, error) {
	byKey := map[replayKey]*op{}
	var with, out []*op
	for _, o := range group {
		if o.replay == nil {
			out = append(out, o)
			continue
		}
		o.err = store.ErrExists
		if k := (replayKey{o.replay.SubAccount, o.replay.Key}); byKey[k] == nil {
			byKey[k] = o
			with = append(with, o)
		}
	}
	if len(with) == 0 {
		return group, nil
	}
	slices.SortFunc(with, func(a, b *op) int {
		return cmp.Or(cmp.Compare(a.replay.SubAccount, b.replay.SubAccount), cmp.Compare(a.replay.Key, b.replay.Key))
	})
	var subs, expires, now []int64
	var keys []string
	var requests, answers [][]byte
	for _, o := range with {
		r := o.replay
		subs, keys, requests = append(subs, r.SubAccount), append(keys, r.Key), append(requests, bytes.Clone(r.Request[:]))
		answers, expires, now = append(answers, r.Answer), append(expires, millis(r.Expires)), append(now, r.now)
	}
	rows, err := t.conn.Query(ctx, addReplays, subs, keys, requests, answers, expires, now)
	if err != nil {
		return nil, err
	}
	var k replayKey
	_, err = pgx.ForEachRow(rows, []any{&k.sub, &k.key}, func() error {
		o := byKey[k]
		o.err = nil
		out = append(out, o)
		return nil
	})
	return out, err
}

// Replay finds the live answer to a key.
func (d *DB) Replay(ctx context.Context, subAccount int64, key string, now time.Time) (store.Replay, error) {
	return one(ctx, d, "answer to an idempotency key", func(row pgx.CollectableRow) (r store.Replay, err error) {
		var request []byte
		var expires int64
		err = row.Scan(&r.SubAccount, &r.Key, &request, &r.Answer, &expires)
		copy(r.Request[:], request)
		r.Expires = moment(expires)
		return r, err
	}, `SELECT sub_account, key, request, answer, expires FROM replay WHERE sub_account = $1 AND key = $2 AND expires > $3`,
		subAccount, clean(key), now.UnixMilli())
}

// PruneReplays deletes answers that expired, the longest ago first.
func (d *DB) PruneReplays(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := d.pool.Exec(ctx, `DELETE FROM replay WHERE (sub_account, key) IN (
  SELECT sub_account, key FROM replay WHERE expires < $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)`,
		before.UnixMilli(), max(limit, 0))
	return int(tag.RowsAffected()), wrap(ctx, "prune the answers to idempotency keys", err)
}
