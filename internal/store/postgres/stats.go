package postgres

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// statKey names a row of stat_day but for its slot.
type statKey struct {
	account, sub, provider int64
	day                    int32
	stat                   waypost.Stat
}

// byKind says what a row of stat_by is broken down by. The numbers are stored.
type byKind int16

const (
	byDomain  byKind = 1 // without provider; the key is its id
	byMailbox byKind = 2 // the key is its number
	byCode    byKind = 3
	byGroup   byKind = 4 // without provider
	byReason  byKind = 5

	byMailboxCode byKind = 6 // the key is store.MailboxCode
)

// byKey names a row of stat_by but for its slot: its key is text for a group
// and a reason, the mailbox category and the code n, and n for the others.
type byKey struct {
	account, sub, provider, n int64
	text                      string
	day                       int32
	kind                      byKind
	stat                      waypost.Stat
	box                       waypost.Mailbox // of byMailboxCode
}

func (k *byKey) key() string {
	switch k.kind {
	case byGroup, byReason:
		return k.text
	case byMailboxCode:
		return store.MailboxCode(k.box, int(k.n))
	case byDomain, byMailbox, byCode:
	}
	return strconv.FormatInt(k.n, 10)
}

// counters are what a transaction adds to the statistics.
type counters struct {
	day  map[statKey]int64
	by   map[byKey]int64
	time map[timeKey]int64
}

func newCounters() counters {
	return counters{map[statKey]int64{}, map[byKey]int64{}, map[timeKey]int64{}}
}

// add moves every counter of an event by n.
func (c *counters) add(e *waypost.Event, n int64) {
	day, f := dayOf(e.At), &e.Facets
	for _, s := range e.Stats() {
		c.day[statKey{e.Account, e.SubAccount, e.Provider, day, s}] += n
		k := byKey{account: e.Account, sub: e.SubAccount, day: day, stat: s, kind: byDomain, n: f.Domain}
		c.by[k] += n
		k.kind, k.n = byGroup, 0
		for i, g := range f.Groups {
			if !slices.Contains(f.Groups[:i], g) {
				k.text = group(g)
				c.by[k] += n
			}
		}
		k.kind, k.text, k.provider, k.n = byMailbox, "", e.Provider, int64(f.Mailbox)
		c.by[k] += n
		if e.Code != 0 {
			k.kind, k.n = byCode, int64(e.Code)
			c.by[k] += n
			k.kind, k.box = byMailboxCode, f.Mailbox
			c.by[k] += n
			k.box = 0
		}
		if e.Reason != "" {
			k.kind, k.n, k.text = byReason, 0, group(string(e.Reason))
			c.by[k] += n
		}
	}
	store.EventTimes(e, func(r store.TimeCount) { c.time[timeKey{e.Account, r}] += n })
}

// group is the stored form of a group: an index has no room for more.
func group(g string) string {
	const most = 255
	if len(g) > most {
		g = g[:most]
		for i := 0; i < utf8.UTFMax && !utf8.ValidString(g[len(g)-i:]); i++ {
			g = g[:len(g)-1]
		}
	}
	return clean(g)
}

const (
	addStats = `INSERT INTO stat_day (account, sub_account, provider, day, stat, slot, n)
SELECT account, sub, provider, day, stat, $7, n
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::int[], $5::smallint[], $6::bigint[])
  AS v(account, sub, provider, day, stat, n)
ON CONFLICT (account, day, sub_account, provider, stat, slot) DO UPDATE SET n = stat_day.n + excluded.n`
	addStatsBy = `INSERT INTO stat_by (account, kind, day, sub_account, provider, key, stat, slot, n)
SELECT account, kind, day, sub, provider, key, stat, $9, n
FROM unnest($1::bigint[], $2::smallint[], $3::int[], $4::bigint[], $5::bigint[], $6::text[], $7::smallint[], $8::bigint[])
  AS v(account, kind, day, sub, provider, key, stat, n)
ON CONFLICT (account, kind, day, sub_account, provider, key, stat, slot) DO UPDATE SET n = stat_by.n + excluded.n`
)

// queue writes the counters, last of all and in one order everywhere: their
// rows are the ones that transactions wait for each other on.
func (c *counters) queue(t *tx, slot int16) {
	c.queueDay(t, slot)
	c.queueBy(t, slot)
	c.queueTimes(t, slot)
}

func (c *counters) queueDay(t *tx, slot int16) {
	if len(c.day) == 0 {
		return
	}
	keys := make([]statKey, 0, len(c.day))
	for k := range c.day {
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
		days, stats, n = append(days, k.day), append(stats, int16(k.stat)), append(n, c.day[k])
	}
	t.queue(addStats, accounts, subs, providers, days, stats, n, slot)
}

func (c *counters) queueBy(t *tx, slot int16) {
	if len(c.by) == 0 {
		return
	}
	keys := make([]byKey, 0, len(c.by))
	for k := range c.by {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b byKey) int {
		return cmp.Or(cmp.Compare(a.account, b.account), cmp.Compare(a.kind, b.kind), cmp.Compare(a.day, b.day), cmp.Compare(a.sub, b.sub),
			cmp.Compare(a.provider, b.provider), cmp.Compare(a.n, b.n), cmp.Compare(a.text, b.text), cmp.Compare(a.box, b.box), cmp.Compare(a.stat, b.stat))
	})
	var accounts, subs, providers, n []int64
	var days []int32
	var kinds, stats []int16
	var texts []string
	for i := range keys {
		k := &keys[i]
		accounts, subs, providers = append(accounts, k.account), append(subs, k.sub), append(providers, k.provider)
		kinds, days, texts = append(kinds, int16(k.kind)), append(days, k.day), append(texts, k.key())
		stats, n = append(stats, int16(k.stat)), append(n, c.by[*k])
	}
	t.queue(addStatsBy, accounts, kinds, days, subs, providers, texts, stats, n, slot)
}

// utcDay is the time of a stored day.
func utcDay(day int32) time.Time { return time.Unix(int64(day)*24*60*60, 0).UTC() }

// DailyStats sums the counters of a sub-account per UTC day.
func (d *DB) DailyStats(ctx context.Context, account, subAccount int64, from, to time.Time) ([]store.DayStats, error) {
	rows, err := d.Breakdown(ctx, store.StatQuery{Account: account, SubAccount: subAccount, From: from, To: to, PerDay: true})
	if err != nil {
		return nil, err
	}
	var out []store.DayStats
	for _, r := range rows {
		out = append(out, store.DayStats{Day: r.Day, Counts: r.Counts})
	}
	return out, nil
}

// breakdowns say of which table a breakdown is, and its key.
var breakdowns = map[store.StatBy]struct {
	table, key string
	kind       byKind // of stat_by
}{
	store.StatByAll:        {"stat_day", `''`, 0},
	store.StatBySubAccount: {"stat_day", `sub_account::text`, 0},
	store.StatByProvider:   {"stat_day", `provider::text`, 0},
	store.StatByDomain:     {"stat_by", `key`, byDomain},
	store.StatByMailbox:    {"stat_by", `key`, byMailbox},
	store.StatByCode:       {"stat_by", `key`, byCode},
	store.StatByGroup:      {"stat_by", `key`, byGroup},
	store.StatByReason:     {"stat_by", `key`, byReason},

	store.StatByMailboxCode: {"stat_by", `key`, byMailboxCode},
}

// Breakdown sums the counters.
func (d *DB) Breakdown(ctx context.Context, q store.StatQuery) ([]store.StatRow, error) {
	by := breakdowns[q.By]
	f := &filter{}
	f.and("account = ?", q.Account)
	f.and("day >= ?", dayOf(q.From))
	f.and("day <= ?", dayOf(q.To))
	if by.kind != 0 {
		f.and("kind = ?", int16(by.kind))
	}
	if q.SubAccount != 0 {
		f.and("sub_account = ?", q.SubAccount)
	}
	if q.Provider != 0 && by.kind != byDomain && by.kind != byGroup {
		f.and("provider = ?", q.Provider)
	}
	if len(q.Keys) > 0 && q.By != store.StatByAll {
		f.and(by.key+" = ANY(?)", statKeys(q.By, q.Keys))
	}
	day := "0"
	if q.PerDay {
		day = "day"
	}
	rows, err := d.pool.Query(ctx, `SELECT `+day+`, `+by.key+`, stat, sum(n)::bigint FROM `+by.table+f.where()+
		` GROUP BY 1, 2, 3 HAVING sum(n) <> 0`, f.args...)
	if err != nil {
		return nil, wrap(ctx, "read counters", err)
	}
	return collectStats(ctx, rows, &q)
}

// statKeys are the stored forms of keys asked for.
func statKeys(by store.StatBy, keys []string) []string {
	out := make([]string, 0, len(keys))
	for _, k := range keys {
		if by != store.StatByMailbox {
			out = append(out, group(k))
		} else if m, ok := waypost.ParseMailbox(k); ok {
			out = append(out, strconv.Itoa(int(m)))
		}
	}
	return out
}

func collectStats(ctx context.Context, rows pgx.Rows, q *store.StatQuery) ([]store.StatRow, error) {
	type at struct {
		day int32
		key string
	}
	sums := map[at]map[waypost.Stat]int64{}
	var a at
	var stat int16
	var n int64
	_, err := pgx.ForEachRow(rows, []any{&a.day, &a.key, &stat, &n}, func() error {
		if sums[a] == nil {
			sums[a] = map[waypost.Stat]int64{}
		}
		sums[a][waypost.Stat(stat)] = n
		return nil
	})
	if err != nil {
		return nil, wrap(ctx, "read counters", err)
	}
	var out []store.StatRow
	for a, counts := range sums {
		r := store.StatRow{Key: a.key, Counts: counts}
		if q.PerDay {
			r.Day = utcDay(a.day)
		}
		if q.By == store.StatByMailbox {
			box, _ := strconv.Atoi(a.key) // written by counters.queueBy
			r.Key = waypost.Mailbox(box).String()
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b store.StatRow) int { return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Key, b.Key)) })
	return out, nil
}
