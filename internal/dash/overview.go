package dash

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var overviewScreen = screen{Path: "/", Title: "Overview", Icon: "home", Routes: []route{
	{"GET /{$}", waypost.RoleViewer, (*Dash).overview},
}}

// How far back the overview looks.
const (
	overviewDays = 14
	periodDays   = 7 // compared with as many days before
	stripMost    = 24
)

// overviewPage is whether mail flows, at a glance.
type overviewPage struct {
	Setup    *setupState // nil once every step is done
	Numbers  []figure
	Hour     *chart
	Days     *chart
	Rates    []*chart
	Depth    []*chart
	Queue    queueState
	States   []providerState
	More     int // providers that the strip leaves out
	Problems []problem
	Quiet    bool // nothing was ever accepted in the days shown
}

// figure is a number, its change against the period before, and its days.
type figure struct {
	Label  string
	Value  string
	Change chip
	Spark  template.HTML
	Link   string
}

func (d *Dash) overview(v *visit) error {
	var p overviewPage
	providers, err := d.providersOf(v)
	if err != nil {
		return err
	}
	if p.Queue, err = d.queueState(v); err != nil {
		return err
	}
	shown := providers[:min(len(providers), stripMost)]
	p.More = len(providers) - len(shown)
	if p.States, err = d.states(v, shown, &p.Queue); err != nil {
		return err
	}
	subs, err := d.subAccounts(v)
	if err != nil {
		return err
	}
	if p.Problems, err = d.problems(v, p.States, &p.Queue, subs); err != nil {
		return err
	}
	days, err := d.days(v, 0, overviewDays)
	if err != nil {
		return err
	}
	p.Numbers, p.Quiet = figures(days, &p.Queue, v.now)
	p.Problems = worstFirst(append(p.Problems, d.rateProblems(days)...))
	p.Days, p.Rates = daysChart(days), d.rateCharts(days)
	if p.Hour, err = d.hourChart(v, 0); err != nil {
		return err
	}
	if p.Depth, err = d.depthCharts(v); err != nil {
		return err
	}
	p.Quiet = p.Quiet && p.Hour.Blank() && p.Queue.Messages == 0
	if v.plots(slices.Concat([]*chart{p.Hour, p.Days}, p.Rates, p.Depth)...) {
		return nil
	}
	if may(&v.person, waypost.RoleOperator) {
		setup, err := d.setupState(v, providers, subs)
		if err != nil {
			return err
		}
		if !setup.Done() {
			p.Setup = &setup
		}
	}
	return d.show(v, "overview", p)
}

// days gives the counters of the last days, today the last; a day without any
// is there with none.
func (d *Dash) days(v *visit, sub int64, n int) ([]store.DayStats, error) {
	today := v.now.UTC().Truncate(24 * time.Hour)
	from := today.AddDate(0, 0, 1-n)
	found, err := d.cfg.Store.DailyStats(v.ctx(), v.account(), sub, from, today)
	if err != nil {
		return nil, fmt.Errorf("read the counters: %w", err)
	}
	out := make([]store.DayStats, n)
	for i := range out {
		out[i].Day = from.AddDate(0, 0, i)
		for _, f := range found {
			if f.Day.Equal(out[i].Day) {
				out[i].Counts = f.Counts
			}
		}
	}
	return out, nil
}

// outcome is what became of the messages of some days. A message counts on the
// day of each event.
type outcome struct {
	Accepted, Sent, Delivered, Hard, Soft, Dropped, Complaints float64
}

// Finished are the messages whose delivery's end is known.
func (o outcome) Finished() float64 { return o.Delivered + o.Hard + o.Soft }

// DeliveryRate is the delivered share of the finished; NaN without any.
func (o outcome) DeliveryRate() float64 { return o.Delivered / o.Finished() }

// BounceRate is the share of hard bounces of the finished; NaN without any.
func (o outcome) BounceRate() float64 { return o.Hard / o.Finished() }

// ComplaintRate is the share of spam reports of the delivered; NaN without any.
func (o outcome) ComplaintRate() float64 { return o.Complaints / o.Delivered }

func outcomeOf(days ...store.DayStats) (o outcome) {
	for _, day := range days {
		n := func(s waypost.Stat) float64 { return float64(day.Counts[s]) }
		o.Accepted += n(waypost.StatProcessed)
		o.Sent += n(waypost.StatSent)
		o.Delivered += n(waypost.StatDelivered)
		o.Hard += n(waypost.StatHardBounced)
		o.Soft += n(waypost.StatSoftBounced)
		o.Dropped += n(waypost.StatDropped) + n(waypost.StatSMTPDropped)
		o.Complaints += n(waypost.StatSpam)
	}
	return o
}

func figures(days []store.DayStats, q *queueState, now time.Time) (out []figure, quiet bool) {
	half := len(days) - periodDays
	before, after := outcomeOf(days[:half]...), outcomeOf(days[half:]...)
	spark := func(class string, of func(outcome) float64) template.HTML {
		values := make([]float64, 0, periodDays)
		for _, day := range days[half:] {
			values = append(values, of(outcomeOf(day)))
		}
		return sparkline(values, class)
	}
	out = []figure{
		{"Accepted", number(int64(after.Accepted)), change(after.Accepted, before.Accepted, 0), spark("s-sent", func(o outcome) float64 { return o.Accepted }), "/events?type=CSProcessed"},
		{"Delivered", percent(after.DeliveryRate()), points(after.DeliveryRate(), before.DeliveryRate(), +1), spark("s-ok", func(o outcome) float64 { return o.Delivered }), "/events?type=CSDelivered"},
		{"Hard bounces", percent(after.BounceRate()), points(after.BounceRate(), before.BounceRate(), -1), spark("s-bad", func(o outcome) float64 { return o.Hard }), "/events?type=CSHardBounced"},
		{"Dropped", number(int64(after.Dropped)), change(after.Dropped, before.Dropped, -1), spark("s-drop", func(o outcome) float64 { return o.Dropped }), "/events?type=CSDropped"},
	}
	waiting := figure{Label: "Waiting", Value: number(q.Messages), Link: "/queue", Change: makeChip("quiet", "nothing waits")}
	if q.Messages > 0 {
		waiting.Change = makeChip("info", "earliest due "+until(q.Oldest, now))
		if late := q.Late(now); late > time.Minute {
			waiting.Change = makeChip("warn", rough(late)+" overdue")
		}
	}
	return append(out, waiting), before.Accepted+after.Accepted == 0
}

// change compares two numbers; better is +1 when more is better, -1 when less
// is, 0 when neither.
func change(after, before float64, better int) chip {
	switch {
	case before == 0 && after == 0:
		return chip{Kind: "quiet", Text: "none before either"}
	case before == 0:
		return chip{Kind: "quiet", Text: "none before"}
	}
	return arrow((after-before)/before, fmt.Sprintf("%.0f %%", 100*math.Abs(after-before)/before), better)
}

// points compares two rates in percentage points.
func points(after, before float64, better int) chip {
	if math.IsNaN(after) || math.IsNaN(before) {
		return chip{Kind: "quiet", Text: "nothing to compare"}
	}
	return arrow(after-before, fmt.Sprintf("%.1f points", 100*math.Abs(after-before)), better)
}

func arrow(by float64, text string, better int) chip {
	kind, mark := "quiet", "▲"
	if by < 0 {
		mark = "▼"
	}
	switch {
	case math.Abs(by) < 0.0005:
		return chip{Kind: "quiet", Text: "as before"}
	case by*float64(better) > 0:
		kind = "ok"
	case by*float64(better) < 0:
		kind = "warn"
	}
	return chip{Kind: kind, Text: mark + " " + text}
}
