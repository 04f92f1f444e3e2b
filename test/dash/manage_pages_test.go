package dash_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/test/seed"
)

// managePages are the screens on which things are set up, and the statistics.
var managePages = []string{
	"/domains", "/domains/1", "/domains/1/delete", "/pools", "/pools/1", "/pools/1/edit", "/pools/new", "/pools/1/delete", "/pools/explain?recipient=a@gmail.com&ippool=Transactional",
	"/templates", "/templates/1", "/templates/new", "/suppressions", "/suppressions/add", "/suppressions/import", "/suppressions/remove?email=angry@example.com",
	"/webhooks", "/webhooks/1", "/webhooks/1/edit", "/webhooks/1/secret/new", "/subaccounts", "/subaccounts/1", "/keys", "/keys/new", "/keys/1/delete", "/smtp",
	"/audit", "/tools", "/settings", "/statistics", "/statistics?by=provider", "/statistics?by=code", "/statistics?from=x",
}

// TestManageAccessible: none of them has a serious finding, in light and in
// dark, at a desk and on a phone; and none scrolls sideways.
func TestManageAccessible(t *testing.T) {
	for name, make := range map[string]scene{"busy": busy, "empty": seed.Empty} {
		t.Run(name, func(t *testing.T) {
			h := open(t, make)
			b := newTab(t, h)
			b.login(seed.Email)
			for i, path := range managePages {
				width := int64(1280)
				if i%2 == 1 {
					width = 390
				}
				b.look(width, 900, i%4 > 1)
				b.open(path)
				b.accessible(fmt.Sprintf("%s (%d wide)", path, width))
				b.look(390, 900, false)
				if wide := js[int](b, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
					t.Errorf("%s scrolls sideways by %d pixels on a phone", path, wide)
				}
			}
		})
	}
}

const evil = `"><script>window.pwned=1</script><img src=x onerror=window.pwned=2>`

// hostileSettings has hostile text wherever the store takes any.
func hostileSettings(ctx context.Context, s store.Store, now time.Time) (*seed.Scene, error) {
	c, err := seed.Busy(ctx, s, now, 20)
	if err != nil {
		return c, err
	}
	sub := waypost.SubAccount{Account: c.Account.ID, Name: evil, Blocked: true, BlockedAt: now, BlockReason: evil, Created: now}
	key := waypost.APIKey{Kind: waypost.KeySubAccount, Account: c.Account.ID, Hash: [32]byte{1}, Hint: evil, Name: evil, Scopes: []string{evil}, Networks: []string{evil}, Created: now}
	hook := waypost.Webhook{Account: c.Account.ID, UUID: waypost.NewUUID(now), URL: "javascript:alert(1)//" + evil, State: waypost.WebhookDisabled, DisabledReason: evil, Created: now}
	domain := waypost.SenderDomain{
		Account: c.Account.ID, SubAccount: c.Sub.ID, Name: "hostile.example", Selector: evil, DNSProvider: evil, Created: now, CheckedAt: now, NextCheck: now,
		Records: []waypost.DNSRecord{{Kind: waypost.RecordDKIM, Host: evil, Type: evil, Value: evil, Found: evil + "2", Failure: evil}},
	}
	for _, do := range []func() error{
		func() error { return s.CreateSubAccount(ctx, &sub, &key) },
		func() error {
			p := c.Providers[0]
			p.Name = evil
			return s.UpdateProvider(ctx, &p)
		},
		func() error {
			return s.CreatePool(ctx, &waypost.Pool{Account: c.Account.ID, Name: evil, Strategy: waypost.StrategySendingDomain, Members: []waypost.PoolMember{{Provider: c.Providers[0].ID, Weight: 1}}, Lists: map[string][]int64{evil: {c.Providers[0].ID}, "others": {c.Providers[0].ID}}, Metadata: "{}", Created: now})
		},
		func() error { return s.CreateWebhook(ctx, &hook) },
		func() error { return s.CreateDomain(ctx, &domain) },
		func() error {
			_, err := s.Suppress(ctx, []waypost.Suppression{{Account: c.Account.ID, SubAccount: c.Sub.ID, Email: evil + "@example.org", Text: evil, Created: now}})
			return err
		},
		func() error {
			return s.CreateTemplate(ctx, &waypost.Template{Account: c.Account.ID, Name: evil, Subject: evil, HTML: evil, Text: evil, Created: now, Updated: now})
		},
		func() error {
			return s.AddAudit(ctx, &waypost.Audit{Account: c.Account.ID, At: now, Actor: evil, Action: evil, Object: evil, Text: evil})
		},
	} {
		if err := do(); err != nil {
			return c, err
		}
	}
	return c, nil
}

// TestManageHostile: hostile text in every field is inert on every screen.
func TestManageHostile(t *testing.T) {
	h := open(t, hostileSettings)
	b := newTab(t, h)
	b.login(seed.Email)
	const query = `%22%3E%3Cscript%3Ewindow.pwned%3D1%3C%2Fscript%3E`
	more := []string{
		"/domains/3", "/domains/3/delete", "/pools/5", "/pools/5/edit", "/pools/5/delete", "/templates/2", "/templates/2/delete", "/webhooks/2", "/webhooks/2/edit", "/webhooks/2/delete",
		"/subaccounts/2", "/subaccounts/2/delete", "/statistics?by=subaccount", "/statistics?by=" + query + "&from=" + query, "/suppressions?q=" + query, "/pools/explain?recipient=" + query + "&ippool=" + query, "/keys?q=" + query,
	}
	for _, path := range append(more, managePages...) {
		b.inMail = path == "/templates/1" || path == "/templates/2" // the frame reports what its policy refused
		b.open(path)
		if got := js[string](b, `String(window.pwned)`); got != "undefined" {
			t.Errorf("%s: script number %s ran", path, got)
		}
		if got := js[int](b, `document.querySelectorAll("img[src=x], [onerror], script:not([src^='/assets/']), iframe:not(.mailframe), a[href^='javascript:' i]").length`); got != 0 {
			t.Errorf("%s: %d hostile elements are in the page", path, got)
		}
	}
}
