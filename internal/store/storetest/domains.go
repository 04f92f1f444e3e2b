package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func (f *fixture) domain(name string) waypost.SenderDomain {
	return waypost.SenderDomain{
		Account: f.account, SubAccount: f.sub, Name: name, Selector: waypost.DKIMSelector, Key: waypost.Sealed("sealed\x00"),
		Records: []waypost.DNSRecord{
			{Kind: waypost.RecordDKIM, Host: "sp-dkim._domainkey." + name, Type: "TXT", Value: "v=DKIM1; p=x", Verified: true, Found: "v=DKIM1; p=x"},
			{Kind: waypost.RecordReturnPath, Host: "sp." + name, Type: "CNAME", Value: "bounce.example.net", Failure: "no such host", Failures: 2},
		},
		Created: epoch,
	}
}

func testDomains(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	d := f.domain("example.com")
	f.ok(f.s.CreateDomain(ctx, &d))
	for name, look := range map[string]func() (waypost.SenderDomain, error){
		"by id":   func() (waypost.SenderDomain, error) { return f.s.Domain(ctx, f.sub, d.ID) },
		"by name": func() (waypost.SenderDomain, error) { return f.s.DomainByName(ctx, f.sub, "example.com") },
		"any":     func() (waypost.SenderDomain, error) { return f.s.AnyDomain(ctx, d.ID) },
	} {
		got, err := look()
		f.ok(err)
		f.equal(name, got, d)
	}
	clash := f.domain("example.com")
	f.is(f.s.CreateDomain(ctx, &clash), store.ErrExists)
	elsewhere := f.domain("example.com")
	elsewhere.SubAccount = f.sub + 1000
	f.ok(f.s.CreateDomain(ctx, &elsewhere)) // unique in a sub-account, not beyond

	d.Records[0].Verified, d.CheckedAt, d.NextCheck = false, epoch.Add(time.Minute), epoch.Add(time.Hour)
	checked := func(c *waypost.SenderDomain) error {
		c.Records, c.CheckedAt, c.NextCheck = d.Records, d.CheckedAt, d.NextCheck
		return nil
	}
	_, err := f.s.ChangeDomain(ctx, f.sub, d.ID, checked)
	f.ok(err)
	got, err := f.s.AnyDomain(ctx, d.ID)
	f.ok(err)
	f.equal("after checks", got, d)

	f.ok(f.s.DeleteDomain(ctx, f.sub, d.ID))
	_, err = f.s.Domain(ctx, f.sub, d.ID)
	f.is(err, store.ErrNotFound)
	_, err = f.s.AnyDomain(ctx, d.ID)
	f.is(err, store.ErrNotFound)
	_, err = f.s.ChangeDomain(ctx, f.sub, d.ID, checked)
	f.is(err, store.ErrNotFound)
	f.is(f.s.DeleteDomain(ctx, f.sub, d.ID), store.ErrNotFound)
	again := f.domain("example.com")
	f.ok(f.s.CreateDomain(ctx, &again))
}

// testChangeDomain changes a domain in every respect, and from many sides at
// once without losing a change.
func testChangeDomain(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	d, taken := f.domain("example.com"), f.domain("taken.example")
	f.ok(f.s.CreateDomain(ctx, &d))
	f.ok(f.s.CreateDomain(ctx, &taken))
	want := d
	want.Name, want.Selector, want.Key = "new.example", "next", waypost.Sealed("other\x00")
	want.Keys = []waypost.DKIMKey{
		{Selector: "old", Role: waypost.DKIMRetired, Key: waypost.Sealed("\x00old"), Created: epoch, Until: epoch.Add(time.Hour)},
		{Selector: "ed", Role: waypost.DKIMEd25519, Key: waypost.Sealed("ed"), Created: epoch},
	}
	want.Records = []waypost.DNSRecord{{Kind: waypost.RecordBounceMX, Type: "MX", Value: "b.example", Verified: true, Since: epoch}}
	want.CheckedAt, want.NextCheck, want.DirectBounce, want.DNSProvider = epoch, epoch.Add(time.Hour), true, "Example DNS"
	got, err := f.s.ChangeDomain(ctx, f.sub, d.ID, func(c *waypost.SenderDomain) error {
		f.equal("what there is to change", *c, d)
		*c = want
		c.ID, c.Account, c.SubAccount, c.Created = 77, 77, 77, epoch.Add(time.Hour) // are not stored
		return nil
	})
	f.ok(err)
	f.equal("what is said to be stored", got, want)
	got, err = f.s.Domain(ctx, f.sub, d.ID)
	f.ok(err)
	f.equal("what is stored", got, want)

	refused := errors.New("refused")
	_, err = f.s.ChangeDomain(ctx, f.sub, d.ID, func(c *waypost.SenderDomain) error { c.Name = "lost.example"; return refused })
	f.is(err, refused)
	_, err = f.s.ChangeDomain(ctx, f.sub, d.ID, func(c *waypost.SenderDomain) error { c.Name = "taken.example"; return nil })
	f.is(err, store.ErrExists)
	never := func(*waypost.SenderDomain) error { t.Error("another tenant's domain can be changed"); return nil }
	_, err = f.s.ChangeDomain(ctx, f.sub+1, d.ID, never)
	f.is(err, store.ErrNotFound)
	_, err = f.s.ChangeDomain(ctx, f.sub, d.ID+1000, never)
	f.is(err, store.ErrNotFound)
	got, err = f.s.Domain(ctx, f.sub, d.ID)
	f.ok(err)
	f.equal("after refusals", got, want)

	const sides, times = 8, 10
	var work sync.WaitGroup
	for range sides {
		work.Go(func() {
			for range times {
				if _, err := f.s.ChangeDomain(ctx, f.sub, d.ID, func(c *waypost.SenderDomain) error { c.Records[0].Failures++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	got, err = f.s.Domain(ctx, f.sub, d.ID)
	f.ok(err)
	if n := got.Records[0].Failures; n != sides*times {
		t.Errorf("%d of %d changes are left", n, sides*times)
	}
}

func testDomainsDue(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	for i := range 5 {
		d := f.domain(fmt.Sprintf("d%d.example", i))
		d.NextCheck = epoch.Add(time.Duration(i) * time.Minute)
		f.ok(f.s.CreateDomain(ctx, &d))
	}
	never := f.domain("never.example") // a zero NextCheck has come long ago
	f.ok(f.s.CreateDomain(ctx, &never))
	names := func(now time.Time, limit int) map[string]bool {
		all, err := f.s.DomainsDue(ctx, now, limit)
		f.ok(err)
		out := map[string]bool{}
		for _, d := range all {
			out[d.Name] = true
		}
		if len(out) != len(all) {
			t.Fatalf("a domain is due twice: %+v", all)
		}
		return out
	}
	f.equal("due", names(epoch.Add(2*time.Minute), 10),
		map[string]bool{"never.example": true, "d0.example": true, "d1.example": true, "d2.example": true})
	f.equal("due before", names(epoch.Add(-time.Millisecond), 10), map[string]bool{"never.example": true})
	if n := len(names(epoch.Add(time.Hour), 3)); n != 3 {
		t.Fatalf("limit 3 gave %d", n)
	}
}

func testSuppressions(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	var all []waypost.Suppression
	var asked []string
	for i := range 1000 {
		asked = append(asked, fmt.Sprintf("u%d@example.org", i))
		if i%2 == 0 {
			all = append(all, waypost.Suppression{
				Account: f.account, SubAccount: f.sub, Email: asked[i], Reason: waypost.SuppressHardBounce,
				Text: "550 no such user", Message: waypost.NewUUID(epoch), Created: epoch,
			})
		}
	}
	all[0].Expires = epoch.Add(time.Hour)
	all[1].Message, all[1].Text, all[1].Reason = waypost.UUID{}, "", waypost.SuppressManual
	f.suppress(all)
	got, err := f.s.Suppressed(ctx, f.sub, asked, epoch)
	f.ok(err)
	if len(got) != 500 {
		t.Fatalf("%d suppressed, want 500", len(got))
	}
	for _, want := range all {
		have := got[want.Email]
		if have.ID == 0 {
			t.Fatalf("%s has no id", want.Email)
		}
		have.ID = 0
		f.equal(want.Email, have, want)
	}

	// What is there keeps its row; what has expired does not count and is replaced.
	second := all[1]
	second.Reason, second.Text = waypost.SuppressComplaint, "later"
	later := all[0]
	later.Created, later.Expires, later.Reason = epoch.Add(2*time.Hour), time.Time{}, waypost.SuppressUnsubscribe
	f.suppress([]waypost.Suppression{second})
	got, err = f.s.Suppressed(ctx, f.sub, asked[:3], epoch.Add(time.Hour))
	f.ok(err)
	if len(got) != 1 || got[asked[2]].Reason != waypost.SuppressManual {
		t.Fatalf("after expiry and a second reason: %+v", got)
	}
	f.suppress([]waypost.Suppression{later})
	got, err = f.s.Suppressed(ctx, f.sub, asked[:1], later.Created)
	f.ok(err)
	if got[asked[0]].Reason != waypost.SuppressUnsubscribe {
		t.Fatalf("an expired suppression was not replaced: %+v", got)
	}
	none, err := f.s.Suppressed(ctx, f.sub, nil, epoch)
	f.ok(err)
	if len(none) != 0 {
		t.Fatalf("no question, answer %v", none)
	}
	f.suppress(nil)
}
