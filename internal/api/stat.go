package api

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// Counters are the counters of the statistics (sendpost.md, g), as every
// contract names them but for one answer.
type Counters struct {
	Processed    int64 `json:"processed"`
	Sent         int64 `json:"sent"`
	Delivered    int64 `json:"delivered"`
	Dropped      int64 `json:"dropped" doc:"before relaying: suppressed, invalid, no return path"`
	SMTPDropped  int64 `json:"smtpDropped" doc:"by the relay"`
	HardBounced  int64 `json:"hardBounced"`
	SoftBounced  int64 `json:"softBounced"`
	Opened       int64 `json:"opened" doc:"every open, a person's second one too"`
	Clicked      int64 `json:"clicked"`
	Unsubscribed int64 `json:"unsubscribed"`
	Spam         int64 `json:"spam"`
}

// AccountCounters are the counters of an account's aggregate in the legacy
// contract, which alone says spams.
type AccountCounters struct {
	Processed    int64 `json:"processed"`
	Sent         int64 `json:"sent"`
	Delivered    int64 `json:"delivered"`
	Dropped      int64 `json:"dropped"`
	SMTPDropped  int64 `json:"smtpDropped"`
	HardBounced  int64 `json:"hardBounced"`
	SoftBounced  int64 `json:"softBounced"`
	Opened       int64 `json:"opened"`
	Clicked      int64 `json:"clicked"`
	Unsubscribed int64 `json:"unsubscribed"`
	Spam         int64 `json:"spams"`
}

// DayStat is the counters of one UTC day.
type DayStat struct {
	Date string   `json:"date" format:"date" doc:"UTC"`
	Stat Counters `json:"stat"`
}

// counters reads the counters of a row. Official clients hold them in 32 bits.
func counters(of map[waypost.Stat]int64) Counters {
	n := func(s waypost.Stat) int64 { return min(of[s], math.MaxInt32) }
	return Counters{
		Processed: n(waypost.StatProcessed), Sent: n(waypost.StatSent), Delivered: n(waypost.StatDelivered),
		Dropped: n(waypost.StatDropped), SMTPDropped: n(waypost.StatSMTPDropped),
		HardBounced: n(waypost.StatHardBounced), SoftBounced: n(waypost.StatSoftBounced),
		Opened: n(waypost.StatOpened), Clicked: n(waypost.StatClicked),
		Unsubscribed: n(waypost.StatUnsubscribed), Spam: n(waypost.StatSpam),
	}
}

// Days is the query of a statistic: UTC days, both inclusive.
type Days struct {
	From string `query:"from" required:"true" format:"date" doc:"first UTC day, YYYY-MM-DD"`
	To   string `query:"to" required:"true" format:"date" doc:"last UTC day, included"`
}

// GroupDays is Days of one group.
type GroupDays struct {
	Days
	Group string `query:"group" required:"true" maxLength:"255"`
}

type idDays struct {
	ID int64 `path:"id" minimum:"1"`
	Days
}

type idGroupDays struct {
	ID int64 `path:"id" minimum:"1"`
	GroupDays
}

// The longest ranges, in days (sendpost.md, a.1).
const (
	mostDaily     = 31
	mostAggregate = 366
)

// span reads a range of days. A range that cannot be answered is a 400
// (sendpost.md, g).
func (d *Days) span(most int) (from, to time.Time, err error) {
	if from, err = day("from", d.From); err != nil {
		return from, to, err
	}
	if to, err = day("to", d.To); err != nil {
		return from, to, err
	}
	if to.Before(from) {
		return from, to, badRange("to", "the range ends before it begins; swap from and to")
	}
	if n := int(to.Sub(from).Hours()/24) + 1; n > most {
		return from, to, badRange("to", fmt.Sprintf("the range has %d days, both ends included; at most %d", n, most))
	}
	return from, to, nil
}

func day(field, text string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return t, badRange(field, "must be a day such as 2026-03-14")
	}
	return t, nil
}

func badRange(field, message string) *Error {
	e := fail(http.StatusBadRequest, field+": "+message)
	e.Body.Param, e.Body.Details = field, []ErrorDetail{{field, message}}
	return e
}

// statistic describes an operation of the statistics.
func statistic(path, summary string, kind waypost.KeyKind) (op huma.Operation) {
	op = operation(http.MethodGet, path, summary, kind)
	op.Errors = append(op.Errors, http.StatusBadRequest)
	op.SkipValidateParams = true // a bad range is a 400, which span answers
	return op
}

func (a *API) statRoutes() {
	const sub = "/account/subaccount/stat/{id}"
	register(a, statistic(sub, "Counters of a sub-account, day by day; at most 31 days", waypost.KeyAccount), nil, a.subAccountDaily)
	register(a, statistic(sub+"/aggregate", "Counters of a sub-account over at most 366 days", waypost.KeyAccount), nil, a.subAccountAggregate)
	register(a, statistic(sub+"/group", "Counters of a sub-account's group over at most 366 days", waypost.KeyAccount), nil, a.subAccountGroup)

	const all = "/account/stat"
	register(a, statistic(all, "Counters of the account, day by day; at most 31 days", waypost.KeyAccount), nil, a.daily)
	registerBoth(a, statistic(all+"/aggregate", "Counters of the account over at most 366 days", waypost.KeyAccount), nil, a.aggregate,
		views[Counters, AccountCounters, Counters]{
			legacy: func(c Counters) AccountCounters { return AccountCounters(c) },
			v1:     func(c Counters) Counters { return c },
		})
	register(a, statistic(all+"/group", "Counters of a group, day by day; at most 31 days", waypost.KeyAccount), nil, a.groupDaily)
	register(a, statistic(all+"/aggregate/group", "Counters of a group over at most 366 days", waypost.KeyAccount), nil, a.groupAggregate)

	const own = "/subaccount/stat"
	register(a, statistic(own, "Counters of the sub-account, day by day; at most 31 days", waypost.KeySubAccount), nil, a.daily)
	register(a, statistic(own+"/aggregate", "Counters of the sub-account over at most 366 days", waypost.KeySubAccount), nil, a.aggregate)
	register(a, statistic(own+"/group", "Counters of a group, day by day; at most 31 days", waypost.KeySubAccount), nil, a.groupDaily)
	register(a, statistic(own+"/aggregate/group", "Counters of a group over at most 366 days", waypost.KeySubAccount), nil, a.groupAggregate)
	a.breakdownRoutes()
}

// daily answers for the caller: an account key for the account, a sub-account
// key for the sub-account.
func (a *API) daily(ctx context.Context, in *Days) ([]DayStat, error) {
	return a.dailyOf(ctx, caller(ctx).SubAccount, in)
}

func (a *API) subAccountDaily(ctx context.Context, in *idDays) ([]DayStat, error) {
	if _, err := a.ownSubAccount(ctx, in.ID); err != nil {
		return nil, err
	}
	return a.dailyOf(ctx, in.ID, &in.Days)
}

func (a *API) dailyOf(ctx context.Context, subAccount int64, in *Days) ([]DayStat, error) {
	from, to, err := in.span(mostDaily)
	if err != nil {
		return nil, err
	}
	all, err := a.cfg.Store.DailyStats(ctx, caller(ctx).Account, subAccount, from, to)
	if err != nil {
		return nil, fmt.Errorf("read the statistics: %w", err)
	}
	counts := map[string]map[waypost.Stat]int64{}
	for _, d := range all {
		counts[d.Day.UTC().Format(time.DateOnly)] = d.Counts
	}
	return everyDay(from, to, counts), nil
}

// everyDay answers for each day of a range, also for those without counters,
// so that a chart has no holes.
func everyDay(from, to time.Time, counts map[string]map[waypost.Stat]int64) []DayStat {
	var out []DayStat
	for d := from; !d.After(to); d = d.AddDate(0, 0, 1) {
		date := d.Format(time.DateOnly)
		out = append(out, DayStat{date, counters(counts[date])})
	}
	return out
}

func (a *API) aggregate(ctx context.Context, in *Days) (Counters, error) {
	return a.aggregateOf(ctx, caller(ctx).SubAccount, in)
}

func (a *API) subAccountAggregate(ctx context.Context, in *idDays) (Counters, error) {
	if _, err := a.ownSubAccount(ctx, in.ID); err != nil {
		return Counters{}, err
	}
	return a.aggregateOf(ctx, in.ID, &in.Days)
}

func (a *API) aggregateOf(ctx context.Context, subAccount int64, in *Days) (Counters, error) {
	from, to, err := in.span(mostAggregate)
	if err != nil {
		return Counters{}, err
	}
	all, err := a.cfg.Store.DailyStats(ctx, caller(ctx).Account, subAccount, from, to)
	if err != nil {
		return Counters{}, fmt.Errorf("read the statistics: %w", err)
	}
	sum := map[waypost.Stat]int64{}
	for _, d := range all {
		for s, n := range d.Counts {
			sum[s] += n
		}
	}
	return counters(sum), nil
}

func (a *API) groupDaily(ctx context.Context, in *GroupDays) ([]DayStat, error) {
	from, to, err := in.span(mostDaily)
	if err != nil {
		return nil, err
	}
	rows, err := a.groupRows(ctx, caller(ctx).SubAccount, in, from, to, true)
	if err != nil {
		return nil, err
	}
	counts := map[string]map[waypost.Stat]int64{}
	for _, r := range rows {
		counts[r.Day.UTC().Format(time.DateOnly)] = r.Counts
	}
	return everyDay(from, to, counts), nil
}

func (a *API) groupAggregate(ctx context.Context, in *GroupDays) (Counters, error) {
	return a.groupSum(ctx, caller(ctx).SubAccount, in)
}

func (a *API) subAccountGroup(ctx context.Context, in *idGroupDays) (Counters, error) {
	if _, err := a.ownSubAccount(ctx, in.ID); err != nil {
		return Counters{}, err
	}
	return a.groupSum(ctx, in.ID, &in.GroupDays)
}

func (a *API) groupSum(ctx context.Context, subAccount int64, in *GroupDays) (Counters, error) {
	from, to, err := in.span(mostAggregate)
	if err != nil {
		return Counters{}, err
	}
	rows, err := a.groupRows(ctx, subAccount, in, from, to, false)
	if err != nil || len(rows) == 0 {
		return Counters{}, err
	}
	return counters(rows[0].Counts), nil
}

func (a *API) groupRows(ctx context.Context, subAccount int64, in *GroupDays, from, to time.Time, perDay bool) ([]store.StatRow, error) {
	if in.Group == "" || len(in.Group) > 255 {
		return nil, badRange("group", "is missing, or longer than 255 bytes: name the group as the send call did")
	}
	rows, err := a.cfg.Store.Breakdown(ctx, store.StatQuery{
		Account: caller(ctx).Account, SubAccount: subAccount, From: from, To: to, By: store.StatByGroup, Keys: []string{in.Group}, PerDay: perDay,
	})
	if err != nil {
		return nil, fmt.Errorf("read the statistics of a group: %w", err)
	}
	return rows, nil
}

// keyID reads a key that is an id in decimal.
func keyID(key string) int64 {
	id, _ := strconv.ParseInt(key, 10, 64) // the store wrote it
	return id
}
