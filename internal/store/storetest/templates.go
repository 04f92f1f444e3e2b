package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func testCountDomains(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	count := func(sub int64, want int) {
		t.Helper()
		n, err := f.s.CountDomains(ctx, sub)
		f.ok(err)
		f.equal("number of domains", n, want)
	}
	count(f.sub, 0)
	d := f.domain("example.com")
	d.Keys = []waypost.DKIMKey{{Selector: "sp-dkim-ed", Role: waypost.DKIMEd25519, Key: waypost.Sealed("\x00sealed\xff"), Created: epoch}}
	f.ok(f.s.CreateDomain(ctx, &d))
	got, err := f.s.AnyDomain(ctx, d.ID)
	f.ok(err)
	f.equal("with a second key", got, d)
	second := f.domain("example.net")
	f.ok(f.s.CreateDomain(ctx, &second))
	count(f.sub, 2)
	count(f.sub+1000, 0)

	f.ok(f.s.DeleteDomain(ctx, f.sub, d.ID))
	count(f.sub, 1)
	got, err = f.s.Domain(ctx, f.sub, second.ID)
	f.ok(err)
	f.equal("the other", got, second)
}

func testTemplates(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	var all []*waypost.Template
	for i := range 5 {
		tpl := &waypost.Template{
			Account: f.account, Name: fmt.Sprintf("Welcome %d", i), Subject: "Hello {{name}}", HTML: "<p>Hello", Text: "Hello",
			Design: `{"blocks":[]}`, Created: epoch.Add(time.Duration(i) * time.Minute), Updated: epoch.Add(time.Hour),
		}
		f.ok(f.s.CreateTemplate(ctx, tpl))
		all = append(all, tpl)
	}
	a, b := all[0], all[1]
	got, err := f.s.Template(ctx, f.account, a.ID)
	f.ok(err)
	f.equal("by id", got, *a)
	got, err = f.s.TemplateByName(ctx, f.account, b.Name)
	f.ok(err)
	f.equal("by name", got, *b)
	f.is(f.s.CreateTemplate(ctx, &waypost.Template{Account: f.account, Name: a.Name}), store.ErrExists)
	f.ok(f.s.CreateTemplate(ctx, &waypost.Template{Account: f.account + 1, Name: a.Name, Created: epoch, Updated: epoch})) // unique in the account

	list := func(account int64, p store.Page) (ids []int64) {
		t.Helper()
		page, err := f.s.Templates(ctx, account, p)
		f.ok(err)
		for _, tpl := range page {
			ids = append(ids, tpl.ID)
		}
		return ids
	}
	f.equal("a page", list(f.account, store.Page{Limit: 2, Offset: 1}), []int64{all[1].ID, all[2].ID})
	f.equal("by part of the name", list(f.account, store.Page{Limit: 10, Search: "COME 4"}), []int64{all[4].ID})
	f.equal("another account's", len(list(f.account+1, store.Page{Limit: 10})), 1)
	f.equal("of nobody", list(f.account+2, store.Page{Limit: 10}), []int64(nil))
	n, err := f.s.CountTemplates(ctx, f.account)
	f.ok(err)
	f.equal("number", n, 5)

	a.Name, a.Subject, a.HTML, a.Text, a.Design, a.Updated = "Bye", "Bye", "", "Bye", "", epoch.Add(2*time.Hour)
	changed := *a
	changed.Created = epoch.Add(5 * time.Hour)
	f.ok(f.s.UpdateTemplate(ctx, &changed))
	got, err = f.s.TemplateByName(ctx, f.account, "Bye")
	f.ok(err)
	f.equal("after an update", got, *a)
	taken := *a
	taken.Name = b.Name
	f.is(f.s.UpdateTemplate(ctx, &taken), store.ErrExists)

	stranger := *a
	stranger.Account++
	f.is(f.s.UpdateTemplate(ctx, &stranger), store.ErrNotFound)
	f.is(f.s.DeleteTemplate(ctx, f.account+1, a.ID), store.ErrNotFound)
	_, err = f.s.Template(ctx, f.account+1, a.ID)
	f.is(err, store.ErrNotFound)
	_, err = f.s.TemplateByName(ctx, f.account+1, "Bye")
	f.is(err, store.ErrNotFound)
	f.ok(f.s.DeleteTemplate(ctx, f.account, a.ID))
	f.is(f.s.DeleteTemplate(ctx, f.account, a.ID), store.ErrNotFound)
	f.is(f.s.UpdateTemplate(ctx, a), store.ErrNotFound)
	_, err = f.s.Template(ctx, f.account, a.ID)
	f.is(err, store.ErrNotFound)
}
