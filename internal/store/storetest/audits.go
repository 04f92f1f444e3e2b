package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// testAudits compares every filter of the audit with the same in plain Go, page
// by page, with and without a bound on what is looked through.
func testAudits(t *testing.T, e Engine) {
	f := newFixture(t, e)
	var all []waypost.Audit // newest first
	for i := range 60 {
		a := waypost.Audit{
			Account: f.account, At: epoch.Add(time.Duration(i) * time.Minute), Actor: []string{"wpa_ab…yz", "anna@example.org", "cli"}[i%3],
			Action: []string{"provider.update", "suppression.add"}[i%2], Object: fmt.Sprintf("provider %d", i%4), Text: fmt.Sprintf("Port %d to 587, 100%% sure", i),
		}
		if i == 33 {
			a.Account++
		}
		f.ok(f.s.AddAudit(t.Context(), &a))
		all = append([]waypost.Audit{a}, all...)
	}
	for _, q := range []store.AuditQuery{
		{},
		{Actor: "cli"},
		{Actor: "anna@example.org", Action: "suppression.add"},
		{Actor: "CLI"},
		{Action: "provider.update"},
		{Action: "provider"},
		{Object: "provider 3"},
		{Object: "provider 3", Actor: "cli", Action: "suppression.add"},
		{Search: "PORT 4"},
		{Search: "0% sure"},
		{Search: "anna@"},
		{Search: "_"},
		{Search: "nothing"},
		{Search: "port 1", Actor: "cli"},
		{From: epoch.Add(20 * time.Minute)},
		{To: epoch.Add(20 * time.Minute)},
		{From: epoch.Add(20*time.Minute - time.Microsecond), To: epoch.Add(31*time.Minute + time.Microsecond), Action: "provider.update"},
		{From: epoch.Add(time.Hour)},
		{To: epoch},
	} {
		q.Account = f.account
		want := []waypost.Audit{}
		for i := range all {
			if audited(&q, &all[i]) {
				want = append(want, all[i])
			}
		}
		for _, look := range []int{0, 7, 1000} {
			q.Limit, q.Look, q.Before = 4, look, 0
			walked := []waypost.Audit{}
			for pages := 0; ; pages++ {
				page, err := f.s.Audits(t.Context(), q)
				f.ok(err)
				walked = append(walked, page.Entries...)
				if q.Before = page.Next; q.Before == 0 {
					break
				}
				if len(page.Entries) < q.Limit && look == 0 || pages > len(all) {
					t.Fatalf("%+v does not end", q)
				}
			}
			f.equal(fmt.Sprintf("%+v", q), walked, want)
		}
		q.Before, q.Look, q.Limit, q.Offset = 0, 0, 3, 2
		page, err := f.s.Audits(t.Context(), q)
		f.ok(err)
		rest := want[min(2, len(want)):]
		f.equal(fmt.Sprintf("by offset %+v", q), append([]waypost.Audit{}, page.Entries...), rest[:min(3, len(rest))])
	}
}

func audited(q *store.AuditQuery, a *waypost.Audit) bool {
	text := strings.ToLower(a.Actor + "\n" + a.Action + "\n" + a.Object + "\n" + a.Text)
	return a.Account == q.Account && (q.Actor == "" || q.Actor == a.Actor) && (q.Action == "" || q.Action == a.Action) &&
		(q.Object == "" || q.Object == a.Object) && strings.Contains(text, strings.ToLower(q.Search)) &&
		(q.From.IsZero() || !a.At.Before(q.From)) && (q.To.IsZero() || a.At.Before(q.To))
}
