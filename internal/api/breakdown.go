package api

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// UniqueCounters add what the documented counters lack: the first open and
// click of each message by a person (D-27).
type UniqueCounters struct {
	Counters
	UniqueOpened  int64 `json:"uniqueOpened"`
	UniqueClicked int64 `json:"uniqueClicked"`
}

// StatBreakdown is one line of our own breakdown.
type StatBreakdown struct {
	Date string         `json:"date,omitempty" doc:"UTC day, when asked per day"`
	Key  string         `json:"key" doc:"id, category, code, group or reason"`
	Name string         `json:"name" doc:"what the key stands for; empty for what was deleted"`
	Stat UniqueCounters `json:"stat"`
}

// GroupStat is the counters of one group.
type GroupStat struct {
	Group string `json:"group"`
	Counters
}

// ProviderStat is the counters of one mailbox category.
type ProviderStat struct {
	Provider string `json:"provider" doc:"mailbox category, such as gmail"`
	Counters
}

// IPStat is the counters of the IP that stands for all servers.
type IPStat struct {
	IPID     int64  `json:"ipId"`
	PublicIP string `json:"publicIp"`
	Counters
}

// breakdowns are the words of the query.
var breakdowns = map[string]store.StatBy{
	"total": store.StatByAll, "subaccount": store.StatBySubAccount, "provider": store.StatByProvider, "domain": store.StatByDomain,
	"mailbox": store.StatByMailbox, "code": store.StatByCode, "group": store.StatByGroup, "reason": store.StatByReason,
}

type breakdownQuery struct {
	Days
	By         string   `query:"by" required:"true" enum:"total,subaccount,provider,domain,mailbox,code,group,reason"`
	PerDay     bool     `query:"perDay" doc:"a line for each day, of at most 31"`
	SubAccount int64    `query:"subAccountId" doc:"of this sub-account alone"`
	Provider   int64    `query:"tpspId" doc:"of this provider alone; not for domain and group"`
	Keys       []string `query:"key" doc:"only these keys, separated by commas"`
}

// maxBreakdown bounds the lines of one answer.
const maxBreakdown = 10_000

func (a *API) breakdownRoutes() {
	const account, own = "/account/stat/breakdown", "/subaccount/stat/breakdown"
	const words = "Counters by provider, sender domain, mailbox category, SMTP code, group, reason or sub-account, with unique opens and clicks"
	register(a, statistic(account, words, waypost.KeyAccount), nil, a.breakdown)
	register(a, statistic(own, words, waypost.KeySubAccount), nil, a.breakdown)
	a.codeRoutes()
	const agg = "/subaccount/stat/aggregate"
	register(a, statistic(agg+"/groups", "Counters of each group over at most 366 days", waypost.KeySubAccount), nil, a.groupStats)
	register(a, statistic(agg+"/providers", "Counters of each mailbox category over at most 366 days", waypost.KeySubAccount), nil, a.providerStats)
	register(a, statistic(agg+"/ips", "Counters of the IP that stands for your servers, over at most 366 days", waypost.KeySubAccount), nil, a.ipStats)
}

func (a *API) breakdown(ctx context.Context, in *breakdownQuery) ([]StatBreakdown, error) {
	by, ok := breakdowns[in.By]
	if !ok {
		return nil, badRange("by", "must be total, subaccount, provider, domain, mailbox, code, group or reason")
	}
	most := mostAggregate
	if in.PerDay {
		most = mostDaily
	}
	from, to, err := in.span(most)
	if err != nil {
		return nil, err
	}
	if in.Provider != 0 && (by == store.StatByDomain || by == store.StatByGroup) {
		return nil, badRange("tpspId", "counters by domain and by group are not kept by provider; leave it out")
	}
	if len(in.Keys) > 100 {
		return nil, badRange("key", "at most 100 keys")
	}
	q := store.StatQuery{
		Account: caller(ctx).Account, Provider: in.Provider, From: from, To: to, By: by, Keys: in.Keys, PerDay: in.PerDay,
	}
	if q.SubAccount, err = a.statSubAccount(ctx, in.SubAccount); err != nil {
		return nil, err
	}
	rows, err := a.cfg.Store.Breakdown(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("break the statistics down by %s: %w", in.By, err)
	}
	if len(rows) > maxBreakdown {
		return nil, badRange("to", fmt.Sprintf("%d lines; at most %d in one answer: ask for a shorter range or name keys", len(rows), maxBreakdown))
	}
	return a.breakdownView(ctx, by, rows)
}

// statSubAccount says whose counters are asked for: a sub-account key sees its
// own alone.
func (a *API) statSubAccount(ctx context.Context, asked int64) (int64, error) {
	own := caller(ctx).SubAccount
	switch {
	case own != 0 && asked != 0 && asked != own:
		return 0, notFound("sub-account", asked)
	case own != 0:
		return own, nil
	case asked == 0:
		return 0, nil
	}
	_, err := a.ownSubAccount(ctx, asked)
	return asked, err
}

func (a *API) breakdownView(ctx context.Context, by store.StatBy, rows []store.StatRow) ([]StatBreakdown, error) {
	out := make([]StatBreakdown, len(rows))
	known := map[string]string{}
	for i, r := range rows {
		name, ok := known[r.Key]
		if !ok {
			var err error
			if name, err = a.nameOf(ctx, by, r.Key); err != nil {
				return nil, err
			}
			known[r.Key] = name
		}
		out[i] = StatBreakdown{Key: r.Key, Name: name, Stat: UniqueCounters{
			counters(r.Counts), min(r.Counts[waypost.StatUniqueOpened], math.MaxInt32), min(r.Counts[waypost.StatUniqueClicked], math.MaxInt32),
		}}
		if !r.Day.IsZero() {
			out[i].Date = r.Day.UTC().Format(time.DateOnly)
		}
	}
	return out, nil
}

// nameOf tells what a key of a breakdown stands for; "" for what is gone.
func (a *API) nameOf(ctx context.Context, by store.StatBy, key string) (name string, err error) {
	account := caller(ctx).Account
	switch by {
	case store.StatBySubAccount:
		var s waypost.SubAccount
		s, err = a.cfg.Store.SubAccount(ctx, account, keyID(key))
		name = s.Name
	case store.StatByProvider:
		var p waypost.Provider
		p, err = a.cfg.Store.Provider(ctx, account, keyID(key))
		name = p.Name
	case store.StatByDomain:
		var d waypost.SenderDomain
		if d, err = a.cfg.Store.AnyDomain(ctx, keyID(key)); err == nil && d.Account == account {
			name = d.Name
		}
	case store.StatByCode:
		return codeWords(int(keyID(key))), nil
	case store.StatByAll:
		return "total", nil
	case store.StatByMailbox, store.StatByGroup, store.StatByReason, store.StatByMailboxCode:
		return key, nil
	}
	if err != nil && !isNotFound(err) {
		return "", fmt.Errorf("name %s in the statistics: %w", key, err)
	}
	return name, nil
}

// sums gives the counters of a range by something, for the caller.
func (a *API) sums(ctx context.Context, in *Days, q store.StatQuery) ([]store.StatRow, error) {
	from, to, err := in.span(mostAggregate)
	if err != nil {
		return nil, err
	}
	q.Account, q.From, q.To = caller(ctx).Account, from, to
	if q.SubAccount, err = a.statSubAccount(ctx, q.SubAccount); err != nil {
		return nil, err
	}
	rows, err := a.cfg.Store.Breakdown(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("break the statistics down: %w", err)
	}
	return rows[:min(len(rows), maxBreakdown)], nil
}

func (a *API) groupStats(ctx context.Context, in *Days) ([]GroupStat, error) {
	rows, err := a.sums(ctx, in, store.StatQuery{By: store.StatByGroup})
	out := make([]GroupStat, len(rows))
	for i, r := range rows {
		out[i] = GroupStat{r.Key, counters(r.Counts)}
	}
	return out, err
}

func (a *API) providerStats(ctx context.Context, in *Days) ([]ProviderStat, error) {
	rows, err := a.sums(ctx, in, store.StatQuery{By: store.StatByMailbox})
	out := make([]ProviderStat, len(rows))
	for i, r := range rows {
		out[i] = ProviderStat{r.Key, counters(r.Counts)}
	}
	return out, err
}

func (a *API) ipStats(ctx context.Context, in *Days) ([]IPStat, error) {
	all, err := a.aggregate(ctx, in)
	if err != nil {
		return nil, err
	}
	ip, err := a.ip(ctx)
	if err != nil {
		return nil, err
	}
	return []IPStat{{waypost.PseudoIP, ip.address.String(), all}}, nil
}
