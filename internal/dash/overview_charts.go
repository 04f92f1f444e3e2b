package dash

import (
	"fmt"
	"math"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// outcomeSeries are the outcomes in the order in which bars stack them, and the
// same colours everywhere.
func outcomeSeries(last string) []series {
	return []series{
		{Name: "delivered", Class: "s-ok"},
		{Name: "soft bounced", Class: "s-warn"},
		{Name: "hard bounced", Class: "s-bad"},
		{Name: "dropped", Class: "s-drop"},
		{Name: last, Class: "s-quiet"},
	}
}

// hourChart is what became of messages minute by minute, of one provider
// unless it is 0. What a provider took, and nobody told more of, stands on top.
func (d *Dash) hourChart(v *visit, provider int64) (*chart, error) {
	c := &chart{
		Name: "minutes", Title: "Messages per minute by outcome, last hour", Series: outcomeSeries("sent, no outcome yet"),
		Empty: "No mail moved in the last hour.", Note: "Times in UTC.",
	}
	end := v.now.UTC().Truncate(time.Minute).Add(time.Minute)
	from := end.Add(-time.Hour)
	rows, err := d.cfg.Store.Times(v.ctx(), store.TimeQuery{Account: v.account(), Provider: provider, Kind: store.TimedMinute, From: from, To: end})
	if err != nil {
		return nil, fmt.Errorf("read the outcomes by minute: %w", err)
	}
	var minutes [60]store.DayStats
	for _, r := range rows {
		if i := int(r.At.Sub(from) / time.Minute); i >= 0 && i < len(minutes) {
			if minutes[i].Counts == nil {
				minutes[i].Counts = map[waypost.Stat]int64{}
			}
			minutes[i].Counts[waypost.Stat(r.Key)] += r.N
		}
	}
	for i := range minutes {
		o := outcomeOf(minutes[i])
		c.Points = append(c.Points, from.Add(time.Duration(i)*time.Minute).Format("15:04"))
		c.stack(o.Delivered, o.Soft, o.Hard, o.Dropped, max(0, o.Sent-o.Finished()))
	}
	return c.draw(), nil
}

// stack adds a point: a value for each series.
func (c *chart) stack(values ...float64) {
	for i, n := range values {
		c.Series[i].Values = append(c.Series[i].Values, n)
	}
}

func dayNames(days []store.DayStats) []string {
	out := make([]string, len(days))
	for i, day := range days {
		out[i] = day.Day.Format("2 Jan")
	}
	return out
}

// daysChart is what became of messages per day. What is accepted and has no
// end yet stands on top.
func daysChart(days []store.DayStats) *chart {
	c := &chart{
		Name: "days", Title: "Messages per day by outcome", Points: dayNames(days), Series: outcomeSeries("no outcome yet"),
		Empty: "No message was accepted in these days.", What: "day",
	}
	for _, day := range days {
		o := outcomeOf(day)
		c.stack(o.Delivered, o.Soft, o.Hard, o.Dropped, max(0, o.Accepted-o.Finished()-o.Dropped))
	}
	return c.draw()
}

// How far back the plots of the queue go, and how fine they are.
const (
	depthHours = 24
	depthStep  = 15 * time.Minute
)

// depthCharts are how much waited and for how long, over a day. Of each step
// they show the worst minute; one that nobody looked at is a gap.
func (d *Dash) depthCharts(v *visit) ([]*chart, error) {
	end := v.now.UTC().Truncate(depthStep).Add(depthStep)
	from := end.Add(-depthHours * time.Hour)
	rows, err := d.cfg.Store.Times(v.ctx(), store.TimeQuery{Account: v.account(), Kind: store.TimedDepth, From: from, To: end})
	if err != nil {
		return nil, fmt.Errorf("read how much waited: %w", err)
	}
	const steps = int(depthHours * time.Hour / depthStep)
	depth := &chart{Name: "waiting", Title: "Messages waiting, last 24 hours", Lines: true, Series: []series{{Name: "waiting", Class: "s-sent"}}, Note: "Times in UTC; the most of each quarter of an hour."}
	late := &chart{
		Name: "overdue", Title: "Earliest message overdue, last 24 hours", Lines: true, Unit: "s", Series: []series{{Name: "overdue by", Class: "s-sent"}},
		Marks: []level{{"attention at " + spell(lateQueue), lateQueue.Seconds(), "s-warn"}},
	}
	values := [2][]float64{make([]float64, steps), make([]float64, steps)}
	for i := range steps {
		values[0][i], values[1][i] = math.NaN(), math.NaN()
		at := from.Add(time.Duration(i) * depthStep).Format("15:04")
		depth.Points, late.Points = append(depth.Points, at), append(late.Points, at)
	}
	for _, r := range rows {
		if i := int(r.At.Sub(from) / depthStep); i >= 0 && i < steps && r.Key >= 0 && r.Key < len(values) {
			if n := float64(r.N); !(n <= values[r.Key][i]) { // also when nothing was known
				values[r.Key][i] = n
			}
		}
	}
	depth.Series[0].Values, late.Series[0].Values = values[0], values[1]
	return []*chart{depth.draw(), late.draw()}, nil
}
