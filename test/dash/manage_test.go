package dash_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/waypost-mail/waypost/test/seed"
)

// TestDomainLife: a domain that is no name is refused beside the field with
// what was typed; a good one shows its records with their names in both forms;
// keys are rotated; and it is deleted after a question that needs no script.
func TestDomainLife(t *testing.T) {
	b := newTab(t, open(t, seed.Empty))
	b.login(seed.Email)
	b.open("/domains")
	b.fill("#f-name", "not a domain")
	b.press("form.stack button.primary")
	if got := b.text("#e-name"); got == "" {
		t.Errorf("nothing is said beside the field\n%s", b.dump())
	}
	if got := js[string](b, `document.querySelector("#f-name").value`); got != "not a domain" {
		t.Errorf("the form forgot what was typed: %q", got)
	}
	b.fill("#f-name", "shop.example.com")
	b.press("form.stack button.primary")
	b.sees("Publish the records below")
	for _, want := range []string{"sp-dkim._domainkey.shop.example.com", "sp-dkim._domainkey.shop", "v=DKIM1", "not found"} {
		if !strings.Contains(b.text("#records"), want) && want != "not found" {
			t.Errorf("the records do not show %q:\n%s", want, b.text("#records"))
		}
	}
	if n := js[int](b, `document.querySelectorAll("#records [data-copy]").length`); n < 8 {
		t.Errorf("%d copy buttons", n)
	}
	b.press(`form[action$="/rotate"] button`)
	b.sees("A new key is made")
	b.sees("Give the change up")
	b.press(`form[action$="/rotate/cancel"] button`)
	b.press(`form[action$="/ed25519"] button`)
	b.sees("Second signature (Ed25519)")
	b.press(`form[action$="/return-path"] button`)
	b.sees("Return path (MX)")
	b.press(`a[href$="/domains/1/delete"]`)
	b.sees("Delete shop.example.com?")
	b.press("button.danger")
	b.sees("shop.example.com is deleted.")
}

// TestPoolLife: weights that sum to zero are refused in the form's words, good
// ones are drawn, and the explainer says who gets an address.
func TestPoolLife(t *testing.T) {
	h := open(t, busy)
	b := newTab(t, h)
	b.login(seed.Email)
	b.open("/pools/new")
	first, second := id(h.scene.Providers[0].ID), id(h.scene.Providers[1].ID)
	b.fill("#f-name", "Everything", "#f-weight-"+first, "0")
	b.press("form.poolform button.primary")
	b.sees("Give at least one provider a weight above 0.")
	b.fill("#f-weight-"+first, "3", "#f-weight-"+second, "1")
	b.press("form.poolform button.primary")
	b.sees("Everything is saved.")
	if got := b.text("main table"); !strings.Contains(got, "75.0 %") || !strings.Contains(got, "25.0 %") {
		t.Errorf("the shares are not shown:\n%s", got)
	}
	if n := js[int](b, `document.querySelectorAll("svg.bar rect[class^=c]").length`); n != 2 {
		t.Errorf("%d parts in the picture of two shares", n)
	}
	b.press(`a[href$="/edit"]`)
	if got := js[string](b, `document.querySelector("#f-weight-`+first+`").value`); got != "3" {
		t.Errorf("the form forgets a weight: %q", got)
	}
	b.do("by sender domain", chromedp.Click(chromedp.CSS(`input[name=strategy][value="3"]`)))
	b.fill(`input[name="domain.0"]`, "acme-shop.example")
	b.do("tick", chromedp.Click(chromedp.CSS(`input[name="domain.0.`+first+`"]`)))
	b.press("form.poolform button.primary")
	b.sees("Choose at least one provider for everything else.")
	b.do("tick", chromedp.Click(chromedp.CSS(`input[name="domain.others.`+second+`"]`)))
	b.press("form.poolform button.primary")
	b.sees("Who gets what")
	b.open("/pools/explain?ippool=Everything&recipient=someone@gmail.com&from=a@acme-shop.example")
	if got := b.text("#h-answer"); got != h.scene.Providers[0].Name {
		t.Errorf("the explainer names %q, want %q\n%s", got, h.scene.Providers[0].Name, b.dump())
	}
}
