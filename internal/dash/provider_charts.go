package dash

import (
	"fmt"
	"math"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// relayHours is how far back the plots of a provider's hours go.
const relayHours = 24

// relayCharts are how long a provider takes over a message, and what it
// answers, hour by hour.
func (d *Dash) relayCharts(v *visit, provider int64) (latency, classes *chart, err error) {
	end := v.now.UTC().Truncate(time.Hour).Add(time.Hour)
	from := end.Add(-relayHours * time.Hour)
	read := func(kind store.Timed) ([]store.TimeRow, error) {
		rows, err := d.cfg.Store.Times(v.ctx(), store.TimeQuery{Account: v.account(), Provider: provider, Kind: kind, From: from, To: end})
		if err != nil {
			return nil, fmt.Errorf("read the hours of provider %d: %w", provider, err)
		}
		return rows, nil
	}
	times, err := read(store.TimedRelay)
	if err != nil {
		return nil, nil, err
	}
	replies, err := read(store.TimedReply)
	if err != nil {
		return nil, nil, err
	}
	hour := func(r store.TimeRow) int { return int(r.At.Sub(from) / time.Hour) }
	names := make([]string, relayHours)
	for i := range names {
		names[i] = from.Add(time.Duration(i) * time.Hour).Format("15:04")
	}
	return latencyChart(names, times, hour), classChart(names, replies, hour), nil
}

func latencyChart(names []string, rows []store.TimeRow, hour func(store.TimeRow) int) *chart {
	c := &chart{
		Name: "latency", Title: "Time to hand over a message, last 24 hours", Lines: true, Unit: "s", Points: names, What: "hour",
		Series: []series{{Name: "half of them within (p50)", Class: "s-sent"}, {Name: "95 % within (p95)", Class: "s-warn"}},
		Empty:  "The provider took no message in the last 24 hours.",
		Note:   "From the beginning of an attempt until the provider took the message, by hour in UTC; read off a histogram, so it is near but not exact.",
	}
	counts := make([][]int64, len(names))
	all := make([]int64, waypost.RelayTimes.Buckets())
	for _, r := range rows {
		if i := hour(r); i >= 0 && i < len(names) && r.Key >= 0 && r.Key < len(all) {
			if counts[i] == nil {
				counts[i] = make([]int64, len(all))
			}
			counts[i][r.Key] += r.N
			all[r.Key] += r.N
		}
	}
	quantile := func(counts []int64, share float64) float64 {
		if t, ok := waypost.RelayTimes.Quantile(counts, share); ok {
			return t.Seconds()
		}
		return math.NaN()
	}
	for i := range names {
		c.stack(quantile(counts[i], 0.50), quantile(counts[i], 0.95))
	}
	if p95 := quantile(all, 0.95); !math.IsNaN(p95) {
		c.Now = chip{Kind: "quiet", Text: "p95 " + c.format(p95)}
	}
	return c.draw()
}

func classChart(names []string, rows []store.TimeRow, hour func(store.TimeRow) int) *chart {
	c := &chart{
		Name: "replies", Title: "Attempts by reply, last 24 hours", Points: names, What: "hour",
		Series: []series{{Name: "2xx taken", Class: "s-ok"}, {Name: "4xx for now refused", Class: "s-warn"}, {Name: "5xx refused", Class: "s-bad"}, {Name: "no reply", Class: "s-quiet"}},
		Empty:  "Nothing was tried in the last 24 hours.", Note: "By hour in UTC.",
	}
	place := map[int]int{2: 0, 4: 1, 5: 2, 0: 3}
	for range names {
		c.stack(0, 0, 0, 0)
	}
	for _, r := range rows {
		if s, known := place[r.Key]; known && hour(r) >= 0 && hour(r) < len(names) {
			c.Series[s].Values[hour(r)] += float64(r.N)
		}
	}
	return c.draw()
}

// agentCard is what a provider's page says of its agent, and what to do.
type agentCard struct {
	Trouble []string // in its own words, or ours
	Next    []string // commands to run on its host
	Lag     string
	LagKind string // "ok", "warn", or "" when nobody knows
}

// lagMuch is how much of a log may be unread before it is worth a word.
const lagMuch = 1 << 20

func cardOf(s *providerState, now time.Time) (c agentCard) {
	seen, st := s.Seen.LastSeen, &s.Seen.State
	if seen.IsZero() {
		return c
	}
	age := now.Sub(seen)
	switch {
	case age > agentLate:
		c.Trouble = append(c.Trouble, "It has been silent for "+rough(age)+": nobody tells what becomes of this provider's mail. What the log says meanwhile comes when it works again.")
		c.Next = []string{"systemctl status waypost-agent", "waypost-agent doctor"}
	case age > agentFresh:
		c.Trouble = append(c.Trouble, "It reports every minute when it works; the last report is "+rough(age)+" old.")
		c.Next = []string{"systemctl status waypost-agent", "waypost-agent doctor"}
	}
	before := ""
	if age > agentFresh {
		before = "when it was last heard: "
	}
	for _, reason := range st.Reasons {
		c.Trouble = append(c.Trouble, sentence(capital(before+reason)))
	}
	if st.Log != "" {
		c.Lag, c.LagKind = "nothing unread", "ok"
		if st.LagBytes > 0 {
			c.Lag = sizeOf(st.LagBytes) + " unread"
		}
		if st.LagBytes > lagMuch {
			c.LagKind = "warn"
			c.Trouble = append(c.Trouble, sentence(capital(before+"it has not caught up with its log, "+c.Lag)))
		}
	}
	if len(c.Trouble) > 0 && len(c.Next) == 0 {
		c.Next = []string{"waypost-agent doctor"}
	}
	return c
}
