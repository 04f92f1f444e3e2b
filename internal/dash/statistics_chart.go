package dash

import (
	"fmt"
	"math"

	"github.com/waypost-mail/waypost/internal/store"
)

// statChart draws the first lines of the table day by day.
func (d *Dash) statChart(v *visit, q *statQuery, rows []statRow, days []store.DayStats) (*chart, error) {
	c := &chart{Name: q.By.Key, What: "day", Title: "Accepted per day", Lines: true, Points: dayNames(days)}
	switch q.By.Key {
	case "code":
		c.Title = "Replies per day"
	case "reason":
		c.Title = "Bounces and drops per day"
	}
	sq := store.StatQuery{Account: v.account(), SubAccount: q.Sub, Provider: q.Provider, From: q.From, To: q.To, By: q.By.By, PerDay: true}
	at := map[string]int{}
	for i, r := range rows[:min(len(rows), mostStatLine)] {
		name := r.Name
		if q.By.Key == "code" {
			name = r.Key
		}
		at[r.Key] = i
		sq.Keys = append(sq.Keys, r.Key)
		c.Series = append(c.Series, series{Name: clip(name, 40), Class: fmt.Sprintf("c%d", i%colours), Values: make([]float64, len(days))})
	}
	found, err := d.cfg.Store.Breakdown(v.ctx(), sq)
	if err != nil {
		return nil, fmt.Errorf("read the counters per day by %s: %w", q.By.Key, err)
	}
	for _, r := range found {
		i, known := at[r.Key]
		day := int(r.Day.Sub(q.From).Hours() / 24)
		if !known || day < 0 || day >= len(days) {
			continue
		}
		n := counted(r.Counts)
		value := n.Processed
		if q.By.Key == "code" || q.By.Key == "reason" {
			value = n.All()
		}
		c.Series[i].Values[day] = float64(value)
	}
	if len(rows) > mostStatLine {
		c.Note = fmt.Sprintf("The first %d of %s.", mostStatLine, number(len(rows)))
	}
	return c.draw(), nil
}

// readChart is how many of the delivered were opened and clicked by people.
func readChart(days []store.DayStats) *chart {
	c := &chart{Name: "read", What: "day", Empty: "No delivered message of these days is known.", Title: "Opened and clicked, of the delivered", Lines: true, Unit: "%", Points: dayNames(days), Series: []series{{Name: "opened", Class: "c0"}, {Name: "clicked", Class: "c1"}}}
	for _, day := range days {
		n := counted(day.Counts)
		share := func(part int64) float64 {
			if n.Delivered == 0 {
				return math.NaN()
			}
			return min(1, float64(part)/float64(n.Delivered))
		}
		c.Series[0].Values = append(c.Series[0].Values, share(n.UniqueOpen))
		c.Series[1].Values = append(c.Series[1].Values, share(n.UniqueClick))
	}
	c.Note = "First opens and clicks by people; those of machines are left out."
	return c.draw()
}
