package dash

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/store"
)

// barList is a plot whose bars lie: each with its name and its numbers beside
// it, so that it is its own table.
type barList struct {
	Name  string // in the address of its file
	Title string
	What  string // head of the first column
	Of    string // head of the column of shares
	Rows  []barRow
	Note  string
	Empty string
	CSV   string
}

// barRow is one bar.
type barRow struct {
	Name  string
	N     int64
	Share string
	Link  string
	Bar   template.HTML
}

// Blank tells whether there is nothing to show.
func (b *barList) Blank() bool {
	return !slices.ContainsFunc(b.Rows, func(r barRow) bool { return r.N > 0 })
}

// shareBar draws a share of 0 to 1.
func shareBar(share float64, class string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="10"/><rect class="%s" width="%.2f" height="10"/></svg>`, class, 100*min(max(share, 0), 1))) //nolint:gosec // a number and a class of ours
}

// chart is the numbers alone, for the file.
func (b *barList) chart() *chart {
	c := &chart{Name: b.Name, What: strings.ToLower(b.What), Series: []series{{Name: "messages"}}}
	for _, r := range b.Rows {
		c.Points = append(c.Points, r.Name)
		c.Series[0].Values = append(c.Series[0].Values, float64(r.N))
	}
	return c
}

// funnel is how many messages came how far.
func funnel(t *counters) *barList {
	b := &barList{
		Name: "funnel", Title: "From accepted to clicked", What: "Step", Of: "Of the step before", Empty: "No message was accepted in these days.",
		Note: "Opens and clicks are people's first of each message. Events count on their own day: what was accepted before these days can be delivered in them.",
	}
	before := int64(0)
	for _, s := range []struct {
		name, class string
		n           int64
	}{
		{"Accepted", "s-quiet", t.Processed},
		{"Sent", "s-sent", t.Sent},
		{"Delivered", "s-ok", t.Delivered},
		{"Opened", "c2", t.UniqueOpen},
		{"Clicked", "c0", t.UniqueClick},
	} {
		r := barRow{Name: s.name, N: s.n, Share: "–"}
		if before > 0 {
			r.Share = percent(min(1, float64(s.n)/float64(before)))
		}
		if most := max(t.Processed, t.Sent, t.Delivered); most > 0 {
			r.Bar = shareBar(float64(s.n)/float64(most), s.class)
		}
		b.Rows, before = append(b.Rows, r), s.n
	}
	return b
}

// reasonTitles say what the reasons of bounces mean, in a few words.
var reasonTitles = map[waypost.Reason]string{
	bounce.MailboxUnknown: "No such mailbox", bounce.DomainUnknown: "No such domain", bounce.DomainNoMail: "The domain takes no mail",
	bounce.Moved: "The mailbox has moved away", bounce.Disabled: "The mailbox is closed", bounce.MailboxFull: "The mailbox is full",
	bounce.TooLarge: "Message too large", bounce.RateLimited: "Too many messages at once", bounce.Greylisted: "Greylisted",
	bounce.Blocked: "Block list or bad reputation", bounce.Spam: "Taken for spam", bounce.Virus: "Taken for a virus",
	bounce.Content: "Form of the message", bounce.Auth: "SPF, DKIM, DMARC or PTR", bounce.SenderRejected: "Sender's address refused",
	bounce.Policy: "A rule of the receiver", bounce.LoginRequired: "The server wants a login", bounce.TLSRequired: "The server wants TLS",
	bounce.RelayDenied: "The server does not serve the domain", bounce.Filtered: "The recipient's own filter", bounce.Network: "Connection or DNS trouble",
	bounce.Loop: "A loop of mail servers", bounce.Expired: "Given up after many attempts", bounce.System: "Trouble inside the receiver",
	bounce.Protocol: "SMTP syntax or sequence", bounce.Unknown: "Not understood",
}

// reasonTitle names a reason of a bounce or a drop.
func reasonTitle(key string) string {
	if t := reasonTitles[waypost.Reason(key)]; t != "" {
		return t
	}
	if t := dropWords[waypost.Reason(key)]; t != "" {
		return "Dropped: " + t
	}
	return capital(reasonWords(waypost.Reason(key), "none"))
}

// mostReasons is how many reasons the plot names.
const mostReasons = 10

// reasons are why messages bounced, the most frequent first.
func (d *Dash) reasons(v *visit, q *statQuery) (*barList, error) {
	rows, err := d.cfg.Store.Breakdown(v.ctx(), store.StatQuery{
		Account: v.account(), SubAccount: q.Sub, Provider: q.Provider, From: q.From, To: q.To, By: store.StatByReason,
	})
	if err != nil {
		return nil, fmt.Errorf("read the reasons of bounces: %w", err)
	}
	b := &barList{Name: "reasons", Title: "Why messages bounced", What: "Reason", Of: "Of all bounces", Empty: "Nothing bounced in these days."}
	total, most := int64(0), int64(0)
	for _, r := range rows {
		n := counted(r.Counts)
		if all := n.HardBounced + n.SoftBounced; all > 0 {
			total, most = total+all, max(most, all)
			b.Rows = append(b.Rows, barRow{Name: reasonTitle(r.Key), N: all})
		}
	}
	slices.SortStableFunc(b.Rows, func(x, y barRow) int { return cmp.Compare(y.N, x.N) })
	if len(b.Rows) > mostReasons {
		rest := barRow{Name: "Other reasons"}
		for _, r := range b.Rows[mostReasons-1:] {
			rest.N += r.N
		}
		b.Rows = append(b.Rows[:mostReasons-1:mostReasons-1], rest)
	}
	for i := range b.Rows {
		r := &b.Rows[i]
		r.Share, r.Bar = percent(float64(r.N)/float64(total)), shareBar(float64(r.N)/float64(max(most, r.N)), "s-warn")
	}
	return b, nil
}
