package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost/internal/store"
)

// timeKey names a row of stat_time but for its slot.
type timeKey struct {
	account int64
	store.TimeCount
}

// exchange counts an exchange with a provider.
func (c *counters) exchange(account int64, x *store.Exchange) {
	store.ExchangeTimes(x, func(r store.TimeCount) { c.time[timeKey{account, r}]++ })
}

const addTimes = `INSERT INTO stat_time (account, kind, minute, sub_account, provider, key, slot, n)
SELECT account, kind, minute, sub, provider, key, $8, n
FROM unnest($1::bigint[], $2::smallint[], $3::int[], $4::bigint[], $5::bigint[], $6::int[], $7::bigint[])
  AS v(account, kind, minute, sub, provider, key, n)
ON CONFLICT (account, kind, minute, sub_account, provider, key, slot) DO UPDATE SET n = stat_time.n + excluded.n`

func (c *counters) queueTimes(t *tx, slot int16) {
	if len(c.time) == 0 {
		return
	}
	keys := make([]timeKey, 0, len(c.time))
	for k := range c.time {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b timeKey) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Minute, b.Minute),
			cmp.Compare(a.SubAccount, b.SubAccount), cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Key, b.Key))
	})
	var accounts, subs, providers, n []int64
	var minutes, numbers []int32
	var kinds []int16
	for i := range keys {
		k := &keys[i]
		accounts, kinds, minutes = append(accounts, k.account), append(kinds, int16(k.Kind)), append(minutes, int32(k.Minute))
		subs, providers, numbers = append(subs, k.SubAccount), append(providers, k.Provider), append(numbers, int32(k.Key))
		n = append(n, c.time[*k])
	}
	t.queue(addTimes, accounts, kinds, minutes, subs, providers, numbers, n, slot)
}

// Times sums counters by time.
func (d *DB) Times(ctx context.Context, q store.TimeQuery) ([]store.TimeRow, error) {
	from, to := q.Minutes()
	f := &filter{}
	f.and("account = ?", q.Account)
	f.and("kind = ?", int16(q.Kind))
	f.and("minute >= ?", from)
	f.and("minute < ?", to)
	if q.SubAccount != 0 && q.Kind.BySubAccount() {
		f.and("sub_account = ?", q.SubAccount)
	}
	if q.Provider != 0 && q.Kind != store.TimedDepth {
		f.and("provider = ?", q.Provider)
	}
	if len(q.Keys) > 0 {
		f.and("key = ANY(?::int[])", q.Keys)
	}
	provider := `0::bigint`
	if q.ByProvider {
		provider = `provider`
	}
	having := ` HAVING sum(n) <> 0`
	if q.Kind == store.TimedDepth { // that nothing waited is known, too
		having = ``
	}
	return list(ctx, d, "read counters by time", func(row pgx.CollectableRow) (r store.TimeRow, err error) {
		var minute int64
		err = row.Scan(&minute, &r.Provider, &r.Key, &r.N)
		r.At = time.Unix(60*minute, 0).UTC()
		return r, err
	}, `SELECT minute, `+provider+`, key, sum(n)::bigint FROM stat_time`+f.where()+` GROUP BY 1, 2, 3`+having+` ORDER BY 1, 2, 3`, f.args...)
}

// What waited has no slots: it is the same whoever looks.
const setDepth = `INSERT INTO stat_time (account, kind, minute, sub_account, provider, key, slot, n)
SELECT $1, $2, $3, 0, 0, key, 0, n FROM unnest($4::int[], $5::bigint[]) AS v(key, n)
ON CONFLICT (account, kind, minute, sub_account, provider, key, slot) DO UPDATE SET n = excluded.n`

// SampleDepth notes how much waits of every account.
func (d *DB) SampleDepth(ctx context.Context, now time.Time) error {
	accounts, err := list(ctx, d, "list accounts", pgx.RowTo[int64], `SELECT id FROM account ORDER BY id`)
	if err != nil {
		return err
	}
	for _, account := range accounts {
		lanes, err := d.Lanes(ctx, account)
		if err != nil {
			return err
		}
		messages, overdue := store.Depth(lanes, now)
		if _, err := d.pool.Exec(ctx, setDepth, account, int16(store.TimedDepth), int32(now.Unix()/60),
			[]int32{store.DepthMessages, store.DepthOverdue}, []int64{int64(messages), int64(overdue.Seconds())}); err != nil {
			return wrap(ctx, "note the queue's depth", err)
		}
	}
	return nil
}

const pruneTimes = `DELETE FROM stat_time t USING (
  SELECT r.ctid FROM account a CROSS JOIN (VALUES (1, $1::int), (2, $2::int), (3, $2), (4, $2), (5, $2), (6, $1), (7, $2)) AS k(kind, before)
  CROSS JOIN LATERAL (SELECT s.ctid FROM stat_time s WHERE s.account = a.id AND s.kind = k.kind AND s.minute < k.before LIMIT $3) r
  LIMIT $3
) old WHERE t.ctid = old.ctid`

// PruneTimes deletes counters by time that are past their time. A row that
// moves meanwhile has another place, and stays for the next round.
func (d *DB) PruneTimes(ctx context.Context, minutes, hours time.Time, limit int) (int, error) {
	tag, err := d.pool.Exec(ctx, pruneTimes, int32(minutes.Unix()/60), int32(hours.Unix()/60), max(limit, 0))
	return int(tag.RowsAffected()), wrap(ctx, "prune counters by time", err)
}
