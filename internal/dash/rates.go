package dash

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/waypost-mail/waypost/internal/store"
)

// Line is where a rate begins to want attention, and where it is a danger;
// shares of 0 to 1.
type Line struct{ Warn, Bad float64 }

// Lines are the warning lines of the three rates by which receivers judge a
// sender.
type Lines struct {
	Delivery  Line // delivered, of the messages whose end is known: bad below
	Bounce    Line // hard bounces of the same: bad above
	Complaint Line // spam reports of the delivered: bad above
}

// DefaultLines are what large receivers and sending services ask for.
var DefaultLines = Lines{Delivery: Line{0.95, 0.90}, Bounce: Line{0.02, 0.05}, Complaint: Line{0.001, 0.005}}

// ParseLine reads two percentages such as 2,5: attention and danger. falling
// says that less is worse.
func ParseLine(s string, falling bool) (Line, error) {
	var at [2]float64
	parts := strings.Split(s, ",")
	if len(parts) != len(at) {
		return Line{}, fmt.Errorf("%q are not two percentages such as 2,5", s)
	}
	for i, part := range parts {
		n, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || !(n >= 0 && n <= 100) {
			return Line{}, fmt.Errorf("%q is no percentage of 0 to 100", part)
		}
		at[i] = n / 100
	}
	if falling && at[1] > at[0] || !falling && at[1] < at[0] {
		return Line{}, fmt.Errorf("%q: danger begins behind attention", s)
	}
	return Line{at[0], at[1]}, nil
}

// rate is one of the three.
type rate struct {
	Title, Of string
	Falling   bool // less is worse
	Line      Line

	name, series string
	share        func(outcome) float64
}

// kind judges a share; "" when it is not known.
func (r *rate) kind(share float64) string {
	beyond := func(at float64) bool { return r.Falling && share < at || !r.Falling && share > at }
	switch {
	case math.IsNaN(share):
		return ""
	case beyond(r.Line.Bad):
		return "bad"
	case beyond(r.Line.Warn):
		return "warn"
	}
	return "ok"
}

func (d *Dash) rates() []rate {
	l := &d.cfg.Lines
	return []rate{
		{"Delivery rate", "of the messages whose end is known", true, l.Delivery, "delivery", "delivered", outcome.DeliveryRate},
		{"Hard bounces", "of the messages whose end is known", false, l.Bounce, "bounces", "hard bounced", outcome.BounceRate},
		{"Complaints", "of the delivered messages", false, l.Complaint, "complaints", "spam reports", outcome.ComplaintRate},
	}
}

// rateCharts are the rates day by day against their warning lines; beside each
// stands what the last days come to.
func (d *Dash) rateCharts(days []store.DayStats) []*chart {
	var out []*chart
	for _, r := range d.rates() {
		c := &chart{
			Name: r.name, Title: r.Title, Lines: true, Unit: "%", Points: dayNames(days), What: "day",
			Series: []series{{Name: r.series, Class: "s-sent"}},
			Marks:  []level{{"attention at " + percent(r.Line.Warn), r.Line.Warn, "s-warn"}, {"danger at " + percent(r.Line.Bad), r.Line.Bad, "s-bad"}},
			Note:   capital(r.Of) + ".",
		}
		least := r.Line.Bad
		known := false
		for _, day := range days {
			share := r.share(outcomeOf(day))
			c.Series[0].Values = append(c.Series[0].Values, share)
			if !math.IsNaN(share) {
				known, least = true, min(least, share)
			}
		}
		if r.Falling { // it hugs 100 %: what is below the line is what counts
			c.Floor = math.Max(0, math.Floor(least*10-0.5)/10)
		}
		if !known {
			c.Empty = "No message of these days has an end that is known."
		}
		recent := days[max(0, len(days)-periodDays):]
		if share := r.share(outcomeOf(recent...)); !math.IsNaN(share) {
			c.Now = makeChip(r.kind(share), fmt.Sprintf("%s in %d days", percent(share), len(recent)))
		}
		out = append(out, c.draw())
	}
	return out
}

// rateProblems are rates of the last days beyond their lines. Of a handful of
// messages no rate says anything.
func (d *Dash) rateProblems(days []store.DayStats) (out []problem) {
	const enough = 100
	recent := outcomeOf(days[max(0, len(days)-periodDays):]...)
	if recent.Finished() < enough {
		return nil
	}
	words := map[string]struct{ text, next, link string }{
		"delivery":   {"Only %s of the last days' mail was delivered.", "See why the rest was not", "/statistics?by=reason"},
		"bounces":    {"%s of the last days' mail bounced for good: clean the list, or receivers will refuse the rest.", "See the bounces", "/events?type=CSHardBounced"},
		"complaints": {"%s of those who got the last days' mail called it spam.", "See the spam reports", "/events?type=CSSpamReport"},
	}
	for _, r := range d.rates() {
		share := r.share(recent)
		if kind := r.kind(share); kind == "warn" || kind == "bad" {
			w := words[r.name]
			out = append(out, problem{Kind: kind, Text: fmt.Sprintf(w.text, percent(share)), Next: w.next, Link: w.link})
		}
	}
	return out
}
