package dash

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// times reads counters by hour of the days of a page.
func (d *Dash) times(v *visit, q *statQuery, kind store.Timed) ([]store.TimeRow, error) {
	rows, err := d.cfg.Store.Times(v.ctx(), store.TimeQuery{
		Account: v.account(), SubAccount: q.Sub, Provider: q.Provider, Kind: kind, From: q.From, To: q.To.AddDate(0, 0, 1),
	})
	if err != nil {
		return nil, fmt.Errorf("read the counters by hour: %w", err)
	}
	return rows, nil
}

// bucketName writes a bucket of a histogram for people.
func bucketName(h waypost.Histogram, i int) string {
	if i >= len(h) {
		return "over " + round(h[len(h)-1])
	}
	return "≤ " + round(h[i])
}

// round writes a bound of a histogram, which is a whole number of a unit.
func round(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d >= 24*time.Hour && d%(24*time.Hour) == 0:
		return plural(int(d.Hours())/24, "day", "days")
	}
	return rough(d)
}

// waitChart is how long it took from acceptance until the recipient's server
// had the message.
func (d *Dash) waitChart(v *visit, q *statQuery) (*chart, error) {
	rows, err := d.times(v, q, store.TimedDelivery)
	if err != nil {
		return nil, err
	}
	h := waypost.DeliveryTimes
	c := &chart{
		Name: "time-to-delivered", Title: "Time from accepted to delivered", What: "time", Series: []series{{Name: "delivered", Class: "s-ok"}},
		Empty: "No delivery of these days is known.", Note: "By the agent's word; kept for 100 days.",
	}
	counts := make([]int64, h.Buckets())
	for _, r := range rows {
		if r.Key >= 0 && r.Key < len(counts) {
			counts[r.Key] += r.N
		}
	}
	for i, n := range counts {
		c.Points = append(c.Points, bucketName(h, i))
		c.stack(float64(max(0, n)))
	}
	if p50, ok := h.Quantile(counts, 0.50); ok {
		p95, _ := h.Quantile(counts, 0.95)
		c.Now = chip{Kind: "quiet", Text: fmt.Sprintf("half within %s, 95 %% within %s", spell(p50), spell(p95))}
	}
	return c.draw(), nil
}

// heatStats are what the heat map can show.
var heatStats = []struct {
	key, title string
	stat       waypost.Stat
}{
	{"delivered", "Delivered", waypost.StatDelivered},
	{"accepted", "Accepted", waypost.StatProcessed},
	{"opened", "Opened", waypost.StatUniqueOpened},
	{"clicked", "Clicked", waypost.StatUniqueClicked},
}

var weekdays = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday}

// heatLevels is how many shades the heat map has, beside that of nothing.
const heatLevels = 5

// heatChart is when in the week something happens: hours across, weekdays
// down.
func (d *Dash) heatChart(v *visit, q *statQuery) (*chart, error) {
	rows, err := d.times(v, q, store.TimedHour)
	if err != nil {
		return nil, err
	}
	what := heatStats[0]
	for _, s := range heatStats {
		if s.key == v.r.URL.Query().Get("heat") {
			what = s
		}
	}
	c := &chart{
		Name: "week", Title: what.title + " by hour and weekday", What: "hour", Heat: true,
		Empty: "Nothing was counted by hour in these days.", Note: "Times in UTC; hours are kept for 100 days.",
	}
	for _, day := range weekdays {
		c.Series = append(c.Series, series{Name: day.String()[:3], Values: make([]float64, 24)})
	}
	for hour := range 24 {
		c.Points = append(c.Points, fmt.Sprintf("%02d:00", hour))
	}
	for _, r := range rows {
		if waypost.Stat(r.Key) == what.stat {
			c.Series[(int(r.At.Weekday())+6)%7].Values[r.At.Hour()] += float64(r.N)
		}
	}
	for _, s := range heatStats {
		to := v.r.URL.Query()
		to.Del("csv")
		to.Set("heat", s.key)
		c.Tabs = append(c.Tabs, statTab{s.title, v.r.URL.Path + "?" + to.Encode() + "#week", s.key == what.key})
	}
	return c.heat(), nil
}

// heat draws a field of 24 hours by 7 days.
func (c *chart) heat() *chart {
	most := 0.0
	for i := range c.Series {
		c.Ticks = append(c.Ticks, c.Series[i].Name)
		for hour := range c.Points {
			most = max(most, c.Series[i].at(hour))
		}
	}
	c.Below = []string{"00:00", "06:00", "12:00", "18:00", "24:00"}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="plot" viewBox="0 0 24 7" preserveAspectRatio="none" role="img" aria-label="%s">`, template.HTMLEscapeString(c.Title+"; the numbers follow as a table"))
	for y := range c.Series {
		for x := range c.Points {
			n := c.Series[y].at(x)
			level := 0
			if n > 0 {
				level = min(heatLevels, 1+int(n/most*heatLevels))
			}
			fmt.Fprintf(&b, `<rect class="heat h%d" x="%.2f" y="%.2f" width="0.94" height="0.9"><title>%s %s: %s</title></rect>`,
				level, float64(x)+0.03, float64(y)+0.05, c.Series[y].Name, c.Points[x], c.format(n))
		}
	}
	b.WriteString(`</svg>`)
	c.Plot = template.HTML(b.String()) //nolint:gosec // numbers and words of ours
	c.Most = c.format(most)
	return c
}
