package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// statRow is one counter of stat_day.
type statRow struct {
	account, day, sub, provider int64
	stat                        waypost.Stat
}

// byKind says what a row of stat_by is broken down by. The numbers are stored.
type byKind int64

const (
	byDomain  byKind = 1 // without provider; the key is its id
	byMailbox byKind = 2 // the key is its number
	byCode    byKind = 3
	byGroup   byKind = 4 // without provider
	byReason  byKind = 5

	byMailboxCode byKind = 6 // the key is store.MailboxCode
)

// byRow is one counter of stat_by: its key is text for a group and a reason, the
// mailbox category and the code n, and n for the others.
type byRow struct {
	statRow
	kind byKind
	n    int64
	text string
	box  waypost.Mailbox // of byMailboxCode
}

func (r *byRow) key() string {
	switch r.kind {
	case byGroup, byReason:
		return r.text
	case byMailboxCode:
		return store.MailboxCode(r.box, int(r.n))
	case byDomain, byMailbox, byCode:
	}
	return strconv.FormatInt(r.n, 10)
}

// counted is an event whose counters move by n, or an exchange.
type counted struct {
	e *waypost.Event
	n int64

	exchange *store.Exchange
	account  int64 // of the exchange
}

// count notes that an event moves its counters.
func (t *tx) count(e *waypost.Event) { t.counts = append(t.counts, counted{e: e, n: 1}) }

// uncount takes an event out of its counters.
func (t *tx) uncount(e *waypost.Event) { t.counts = append(t.counts, counted{e: e, n: -1}) }

// countExchange notes that an exchange moves its counters.
func (t *tx) countExchange(account int64, x *store.Exchange) {
	t.counts = append(t.counts, counted{exchange: x, account: account})
}

const (
	upsertStat = `INSERT INTO stat_day (account, day, sub_account, provider, stat, n) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO UPDATE SET n = n + excluded.n`
	upsertBy = `INSERT INTO stat_by (account, kind, day, sub_account, provider, key, stat, n) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO UPDATE SET n = n + excluded.n`
)

// flushStats writes the counters of the whole group, one row each.
func (t *tx) flushStats() error {
	if len(t.counts) == 0 {
		return nil
	}
	days, bys, times := make(map[statRow]int64, 8), make(map[byRow]int64, 32), make(map[timeRow]int64, 16)
	for _, c := range t.counts {
		if c.exchange == nil {
			addCounts(days, bys, c)
		}
		addTimes(times, c)
	}
	for r, n := range days {
		if _, err := t.exec(upsertStat, r.account, r.day, r.sub, r.provider, int64(r.stat), n); err != nil {
			return err
		}
	}
	for r, n := range bys {
		if _, err := t.exec(upsertBy, r.account, int64(r.kind), r.day, r.sub, r.provider, r.key(), int64(r.stat), n); err != nil {
			return err
		}
	}
	return t.flushTimes(times)
}

func addCounts(days map[statRow]int64, bys map[byRow]int64, c counted) {
	e, f := c.e, &c.e.Facets
	for _, s := range e.Stats() {
		r := statRow{e.Account, day(e.At.UnixMilli()), e.SubAccount, e.Provider, s}
		days[r] += c.n
		bys[byRow{r, byMailbox, int64(f.Mailbox), "", 0}] += c.n
		if e.Code != 0 {
			bys[byRow{r, byCode, int64(e.Code), "", 0}] += c.n
			bys[byRow{r, byMailboxCode, int64(e.Code), "", f.Mailbox}] += c.n
		}
		if e.Reason != "" {
			bys[byRow{r, byReason, 0, string(e.Reason), 0}] += c.n
		}
		r.provider = 0
		bys[byRow{r, byDomain, f.Domain, "", 0}] += c.n
		for i, g := range f.Groups {
			if !slices.Contains(f.Groups[:i], g) {
				bys[byRow{r, byGroup, 0, g, 0}] += c.n
			}
		}
	}
}

const dayMillis = 24 * 60 * 60 * 1000

// day is the UTC day of a time, counted from 1970.
func day(ms int64) int64 {
	d := ms / dayMillis
	if ms%dayMillis < 0 {
		d--
	}
	return d
}

// DailyStats implements [store.Stats].
func (d *DB) DailyStats(ctx context.Context, account, subAccount int64, from, to time.Time) ([]store.DayStats, error) {
	rows, err := d.Breakdown(ctx, store.StatQuery{Account: account, SubAccount: subAccount, From: from, To: to, PerDay: true})
	var out []store.DayStats
	for _, r := range rows {
		out = append(out, store.DayStats{Day: r.Day, Counts: r.Counts})
	}
	return out, err
}

// breakdowns say of which table a breakdown is, and its key.
var breakdowns = map[store.StatBy]struct {
	table, key string
	kind       byKind // of stat_by
}{
	store.StatByAll:        {"stat_day", "''", 0},
	store.StatBySubAccount: {"stat_day", "CAST(sub_account AS TEXT)", 0},
	store.StatByProvider:   {"stat_day", "CAST(provider AS TEXT)", 0},
	store.StatByDomain:     {"stat_by", "key", byDomain},
	store.StatByMailbox:    {"stat_by", "key", byMailbox},
	store.StatByCode:       {"stat_by", "key", byCode},
	store.StatByGroup:      {"stat_by", "key", byGroup},
	store.StatByReason:     {"stat_by", "key", byReason},

	store.StatByMailboxCode: {"stat_by", "key", byMailboxCode},
}

// cell is where one sum of a breakdown stands.
type cell struct {
	day  int64
	key  string
	stat waypost.Stat
}

// Breakdown implements [store.Stats].
func (d *DB) Breakdown(ctx context.Context, q store.StatQuery) ([]store.StatRow, error) {
	by := breakdowns[q.By]
	f := &filter{}
	f.and("account = ?", q.Account)
	f.and("day >= ?", day(q.From.UnixMilli()))
	f.and("day <= ?", day(q.To.UnixMilli()))
	if by.kind != 0 {
		f.and("kind = ?", int64(by.kind))
	}
	if q.SubAccount != 0 {
		f.and("sub_account = ?", q.SubAccount)
	}
	if q.Provider != 0 && by.kind != byDomain && by.kind != byGroup {
		f.and("provider = ?", q.Provider)
	}
	if len(q.Keys) > 0 && q.By != store.StatByAll {
		keys := statKeys(q.By, q.Keys)
		f.anyOf(by.key, len(keys), func(i int) any { return keys[i] })
	}
	days := "0"
	if q.PerDay {
		days = "day"
	}
	// They are summed here: SQLite would sort what it groups, at several times
	// the cost of reading it.
	sums := map[cell]int64{}
	_, err := list(ctx, d, "read counters", func(row scanner, _ *struct{}) error {
		var c cell
		var stat, n int64 // other kinds of numbers are read by way of text
		err := row.Scan(&c.day, &c.key, &stat, &n)
		c.stat = waypost.Stat(stat)
		sums[c] += n
		return err
	}, "SELECT "+days+", "+by.key+", stat, n FROM "+by.table+f.where(), f.args...)
	if err != nil {
		return nil, err
	}
	return statRows(sums, &q), nil
}

// statKeys are the stored forms of keys asked for.
func statKeys(by store.StatBy, keys []string) []string {
	if by != store.StatByMailbox {
		return keys
	}
	var out []string
	for _, k := range keys {
		if m, ok := waypost.ParseMailbox(k); ok {
			out = append(out, strconv.Itoa(int(m)))
		}
	}
	return out
}

func statRows(cells map[cell]int64, q *store.StatQuery) []store.StatRow {
	type at struct {
		day int64
		key string
	}
	sums := map[at]map[waypost.Stat]int64{}
	for c, n := range cells {
		if n == 0 {
			continue
		}
		k := at{c.day, c.key}
		if sums[k] == nil {
			sums[k] = map[waypost.Stat]int64{}
		}
		sums[k][c.stat] = n
	}
	var out []store.StatRow
	for k, counts := range sums {
		r := store.StatRow{Key: k.key, Counts: counts}
		if q.PerDay {
			r.Day = time.UnixMilli(k.day * dayMillis).UTC()
		}
		if q.By == store.StatByMailbox {
			r.Key = mailboxName(k.key)
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b store.StatRow) int { return cmp.Or(a.Day.Compare(b.Day), cmp.Compare(a.Key, b.Key)) })
	return out
}

// mailboxName is the name of a category stored by its number.
func mailboxName(key string) string {
	var m waypost.Mailbox
	if _, err := fmt.Sscan(key, &m); err != nil {
		return key
	}
	return m.String()
}
