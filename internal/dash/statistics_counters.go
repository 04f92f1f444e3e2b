package dash

import (
	"encoding/csv"
	"strconv"

	"github.com/waypost-mail/waypost"
)

// counters are the API's of one line.
type counters struct {
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
	Spam         int64 `json:"spam"`
	UniqueOpen   int64 `json:"uniqueOpened"`
	UniqueClick  int64 `json:"uniqueClicked"`
}

// counted gives the counters of a sum of days.
func counted(n map[waypost.Stat]int64) counters {
	return counters{
		n[waypost.StatProcessed], n[waypost.StatSent], n[waypost.StatDelivered], n[waypost.StatDropped], n[waypost.StatSMTPDropped],
		n[waypost.StatHardBounced], n[waypost.StatSoftBounced], n[waypost.StatOpened], n[waypost.StatClicked], n[waypost.StatUnsubscribed],
		n[waypost.StatSpam], n[waypost.StatUniqueOpened], n[waypost.StatUniqueClicked],
	}
}

// Lost are the messages that were given up before or by the relay.
func (c counters) Lost() int64 { return c.Dropped + c.SMTPDropped }

// Finished are the messages whose delivery's end is known.
func (c counters) Finished() int64 { return c.Delivered + c.HardBounced + c.SoftBounced }

// All are the events of a code: each counts under one outcome.
func (c counters) All() int64 { return c.Finished() + c.Sent + c.Lost() }

// Rate gives the share of a part in the finished ones, as text.
func (c counters) Rate(part int64) string {
	if c.Finished() == 0 {
		return "–"
	}
	return percent(float64(part) / float64(c.Finished()))
}

// Of gives a share of the delivered ones, as text.
func (c counters) Of(part int64) string {
	if c.Delivered == 0 {
		return "–"
	}
	return percent(min(1, float64(part)/float64(c.Delivered)))
}

// statisticsCSV gives every line of the table as a file.
func (d *Dash) statisticsCSV(v *visit) error {
	f := newForm(v.r.URL.Query())
	q := d.statFilters(v, f)
	if !f.OK() {
		return errNoPage
	}
	days, err := d.statDays(v, &q)
	if err != nil {
		return err
	}
	rows, err := d.statRows(v, &q, days)
	if err != nil {
		return err
	}
	v.download("text/csv; charset=utf-8", "statistics-"+q.By.Key+".csv")
	w := csv.NewWriter(v.w)
	lines := [][]string{{q.By.Key, "name", "accepted", "sent", "delivered", "soft_bounced", "hard_bounced", "dropped", "smtp_dropped", "opened", "unique_opened", "clicked", "unique_clicked", "unsubscribed", "spam"}}
	for _, r := range rows {
		line := []string{cell(r.Key), cell(r.Name)}
		c := r.Stat
		for _, n := range []int64{c.Processed, c.Sent, c.Delivered, c.SoftBounced, c.HardBounced, c.Dropped, c.SMTPDropped, c.Opened, c.UniqueOpen, c.Clicked, c.UniqueClick, c.Unsubscribed, c.Spam} {
			line = append(line, strconv.FormatInt(n, 10))
		}
		lines = append(lines, line)
	}
	_ = w.WriteAll(lines) // the caller may be gone
	return nil
}
