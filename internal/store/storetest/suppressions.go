package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// testSuppressionList compares every filter with the same filter in plain Go.
func testSuppressionList(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	var all []waypost.Suppression
	for i := range 60 {
		s := waypost.Suppression{
			Account: f.account, SubAccount: f.sub, Email: fmt.Sprintf("u%d@%s", i, []string{"example.org", "example.net"}[i%2]),
			Reason: waypost.SuppressionReason(i % 4), Text: "550", Created: epoch.Add(time.Duration(i) * time.Minute),
		}
		switch i % 5 {
		case 1:
			s.Expires = epoch.Add(90 * time.Minute)
		case 2:
			s.Message = waypost.NewUUID(epoch)
		case 3:
			s.SubAccount = f.sub + 1000
		}
		f.equal("new", f.suppress([]waypost.Suppression{s}), 1)
		all = append(all, s)
	}
	slices.Reverse(all)
	now := epoch.Add(time.Hour)
	for name, q := range map[string]store.SuppressionQuery{
		"all":        {},
		"a reason":   {Reasons: []waypost.SuppressionReason{waypost.SuppressHardBounce}},
		"reasons":    {Reasons: []waypost.SuppressionReason{waypost.SuppressManual, waypost.SuppressComplaint}},
		"an address": {Email: "u12@example.org"},
		"none":       {Email: "u12@example.net"},
		"a domain":   {Domain: "example.net"},
		"no domain":  {Domain: "example.ne"},
		"of both":    {Domain: "example.org", Reasons: []waypost.SuppressionReason{waypost.SuppressHardBounce}, Search: "u1"},
		"a part":     {Search: "Example.NET"},
		"not a wild": {Search: "u_@%"},
		"from":       {From: epoch.Add(10 * time.Minute)},
		"to":         {To: epoch.Add(10 * time.Minute)},
		"range":      {From: epoch.Add(10*time.Minute - time.Microsecond), To: epoch.Add(20*time.Minute + time.Microsecond)},
		"expired":    {Now: epoch.Add(90 * time.Minute)},
		"not yet":    {Now: epoch.Add(90*time.Minute - time.Millisecond)},
		"mixed":      {Search: "example.org", Reasons: []waypost.SuppressionReason{waypost.SuppressHardBounce}, From: epoch.Add(time.Minute)},
		"stranger's": {SubAccount: f.sub + 1000},
		"nobody's":   {SubAccount: f.sub + 1},
	} {
		if q.SubAccount == 0 {
			q.SubAccount = f.sub
		}
		if q.Now.IsZero() {
			q.Now = now
		}
		want := slices.DeleteFunc(slices.Clone(all), func(s waypost.Suppression) bool { return !selects(&q, &s) })
		n, err := f.s.CountSuppressions(ctx, q)
		f.ok(err)
		f.equal("count of "+name, n, len(want))
		var walked []waypost.Suppression
		for q.Limit = 7; ; q.Before = walked[len(walked)-1].ID {
			page, err := f.s.ListSuppressions(ctx, q)
			f.ok(err)
			walked = append(walked, page...)
			if len(page) < q.Limit {
				break
			}
		}
		q.Before, q.Limit, q.Offset = 0, 5, 3
		page, err := f.s.ListSuppressions(ctx, q)
		f.ok(err)
		for i := range walked {
			walked[i].ID = 0
		}
		f.equal(name+", page by page", fmt.Sprint(walked), fmt.Sprint(want))
		for i := range page {
			page[i].ID = 0
		}
		f.equal(name+" by offset", fmt.Sprint(page), fmt.Sprint(want[min(3, len(want)):min(8, len(want))]))
	}
}

func selects(q *store.SuppressionQuery, s *waypost.Suppression) bool {
	switch {
	case s.SubAccount != q.SubAccount, !s.Expires.IsZero() && !s.Expires.After(q.Now),
		len(q.Reasons) > 0 && !slices.Contains(q.Reasons, s.Reason), q.Email != "" && s.Email != q.Email,
		!strings.Contains(s.Email, strings.ToLower(q.Search)), q.Domain != "" && !strings.HasSuffix(s.Email, "@"+q.Domain),
		!q.From.IsZero() && s.Created.Before(q.From), !q.To.IsZero() && !s.Created.Before(q.To):
		return false
	}
	return true
}

// testSuppressionLook: a call looks through no more rows than it may, of those
// that an index selects.
func testSuppressionLook(t *testing.T, e Engine) {
	f := newFixture(t, e)
	var all []waypost.Suppression
	for i := range 20 {
		all = append(all, waypost.Suppression{Account: f.account, SubAccount: f.sub, Email: fmt.Sprintf("u%d@%s", i, []string{"example.org", "example.net"}[i%2]), Created: epoch})
	}
	for _, s := range all { // one by one, so that ids are in this order
		f.suppress([]waypost.Suppression{s})
	}
	for _, tt := range []struct {
		q    store.SuppressionQuery
		want string
	}{
		{store.SuppressionQuery{Search: "u1", Look: 5}, "u19 u18 u17 u16 u15"},
		{store.SuppressionQuery{Search: "u2", Look: 17}, ""},
		{store.SuppressionQuery{Search: "u2", Look: 18}, "u2"},
		{store.SuppressionQuery{Search: "u1", Look: 3, Domain: "example.org"}, "u18 u16 u14"},
	} {
		tt.q.SubAccount, tt.q.Now, tt.q.Limit = f.sub, epoch, 10
		got, err := f.s.ListSuppressions(t.Context(), tt.q)
		f.ok(err)
		var names []string
		for i := range got {
			name, _, _ := strings.Cut(got[i].Email, "@")
			names = append(names, name)
		}
		f.equal(fmt.Sprintf("%+v", tt.q), strings.Join(names, " "), tt.want)
		n, err := f.s.CountSuppressions(t.Context(), tt.q)
		f.ok(err)
		f.equal(fmt.Sprintf("count of %+v", tt.q), n, len(got))
	}
}

func testSuppressAdded(t *testing.T, e Engine) {
	f := newFixture(t, e)
	at := func(emails ...string) (all []waypost.Suppression) {
		for _, email := range emails {
			all = append(all, waypost.Suppression{Account: f.account, SubAccount: f.sub, Email: email, Created: f.now, Expires: f.now.Add(time.Hour)})
		}
		return all
	}
	f.equal("new", f.suppress(at("a", "b", "a")), 2)
	f.equal("one is there", f.suppress(at("b", "c")), 1)
	f.equal("all are there", f.suppress(at("a", "b", "c")), 0)
	f.equal("none", f.suppress(nil), 0)
	f.now = f.now.Add(2 * time.Hour)
	f.equal("they have expired", f.suppress(at("a", "b")), 2)
}

func testUnsuppress(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	add := func(sub int64, email string, reason waypost.SuppressionReason) waypost.Suppression {
		s := waypost.Suppression{
			Account: f.account, SubAccount: sub, Email: email, Reason: reason, Text: "t", Message: waypost.NewUUID(epoch), Created: epoch,
		}
		f.equal("new", f.suppress([]waypost.Suppression{s}), 1)
		return s
	}
	a := add(f.sub, "a@example.org", waypost.SuppressHardBounce)
	b := add(f.sub, "b@example.org", waypost.SuppressManual)
	add(f.sub, "c@example.org", waypost.SuppressManual)
	add(f.sub+1000, "a@example.org", waypost.SuppressManual)
	gone, err := f.s.Unsuppress(ctx, f.sub, []string{"b@example.org", "a@example.org", "nobody@example.org", "a@example.org"})
	f.ok(err)
	slices.SortFunc(gone, func(x, y waypost.Suppression) int { return strings.Compare(x.Email, y.Email) })
	for i := range gone {
		if gone[i].ID == 0 {
			t.Fatalf("no id: %+v", gone[i])
		}
		gone[i].ID = 0
	}
	f.equal("the rows that went", gone, []waypost.Suppression{a, b})
	gone, err = f.s.Unsuppress(ctx, f.sub, []string{"a@example.org"})
	f.ok(err)
	f.equal("again", len(gone), 0)
	gone, err = f.s.Unsuppress(ctx, f.sub, nil)
	f.ok(err)
	f.equal("nobody", len(gone), 0)
	for sub, want := range map[int64]int{f.sub: 1, f.sub + 1000: 1} {
		n, err := f.s.CountSuppressions(ctx, store.SuppressionQuery{SubAccount: sub, Now: epoch})
		f.ok(err)
		f.equal("left", n, want)
	}
}

func testPruneSuppressions(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	for i := range 6 {
		s := waypost.Suppression{Account: f.account, SubAccount: f.sub, Email: fmt.Sprint(i), Created: epoch}
		if i > 0 {
			s.Expires = epoch.Add(time.Duration(i) * time.Hour)
		}
		f.suppress([]waypost.Suppression{s})
	}
	for _, want := range []int{2, 1, 0} {
		n, err := f.s.PruneSuppressions(ctx, epoch.Add(4*time.Hour), 2)
		f.ok(err)
		f.equal("pruned", n, want)
	}
	n, err := f.s.CountSuppressions(ctx, store.SuppressionQuery{SubAccount: f.sub, Now: epoch})
	f.ok(err)
	f.equal("left", n, 3)
}
