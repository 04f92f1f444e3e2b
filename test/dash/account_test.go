package dash_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/waypost-mail/waypost/test/seed"
)

// TestKeyLife: a key with a bad network is refused beside the field with what
// was typed; a good one is shown once and never again, is changed, and ends
// after a question.
func TestKeyLife(t *testing.T) {
	b := newTab(t, open(t, seed.Empty))
	b.login(seed.Email)
	b.open("/keys/new")
	b.do("scope", chromedp.Click(chromedp.CSS(`[name="scope.send"]`)))
	b.fill("#f-name", "Web shop", "#f-networks", "203.0.113.0/99")
	b.press("form.stack button.primary")
	if got := b.text("#e-networks"); !strings.Contains(got, "Must be a prefix") {
		t.Errorf("beside the networks: %q\n%s", got, b.dump())
	}
	if !js[bool](b, `document.querySelector('[name="scope.send"]').checked && document.querySelector("#f-networks").value === "203.0.113.0/99"`) {
		t.Error("the form forgot what was typed")
	}
	b.fill("#f-networks", "203.0.113.0/24")
	b.press("form.stack button.primary")
	b.sees("It is shown only now")
	key := b.text(".secret code")
	if !strings.HasPrefix(key, "wps_") {
		t.Fatalf("the page shows %q as the key", key)
	}
	b.press("main > a.button.primary") // "I stored it"
	b.sees("Web shop")
	if text := js[string](b, "document.documentElement.outerHTML"); strings.Contains(text, key) {
		t.Error("the list shows the key again")
	}
	b.press(`tr:has(th .break) a[href$="/edit"]`)
	if got := js[string](b, `document.querySelector("#f-networks").value`); got != "203.0.113.0/24" {
		t.Errorf("the form shows the network %q", got)
	}
	b.fill("#f-name", "Old web shop")
	b.press("form.stack button.primary")
	b.sees("Old web shop")
	b.press(`tr:has(th .break) a[href$="/delete"]`)
	b.sees("End the key Old web shop?")
	b.press("button.danger")
	b.sees("is ended.")
	if strings.Contains(b.text("main table"), "Old web shop") {
		t.Error("the key is still listed")
	}
	b.open("/audit")
	b.sees("key.delete")
}

// TestSubAccountLife: made with a key that is shown once, blocked with a
// reason, unblocked, renamed, deleted.
func TestSubAccountLife(t *testing.T) {
	b := newTab(t, open(t, seed.Empty))
	b.login(seed.Email)
	b.open("/subaccounts")
	b.fill("#f-name", "Default")
	b.press("form.stack button.primary")
	if got := b.text("#e-name"); !strings.Contains(got, "exists already") {
		t.Errorf("a name that is taken: %q", got)
	}
	b.fill("#f-name", "Brand two")
	b.press("form.stack button.primary")
	b.sees("The key of Brand two")
	b.press("main > a.button.primary")
	b.press(`main table a[href="/subaccounts/2"]`)
	b.fill("#f-blockReason", "too many complaints")
	b.press(`form[action$="/block"] button`)
	b.sees("its calls to send are refused")
	b.sees("too many complaints")
	b.press(`form[action$="/unblock"] button`)
	b.sees("may send again")
	b.fill("#f-name", "Brand three")
	b.press(`form[action$="/name"] button`)
	b.sees("It is named Brand three now.")
	b.do("check", chromedp.Click(chromedp.CSS(`#f-dropNullMX`)))
	b.press(`form[action$="/settings"] button`)
	if !js[bool](b, `document.querySelector("#f-dropNullMX").checked`) {
		t.Error("a check is not kept")
	}
	b.press(`a[href$="/2/delete"]`)
	b.press("button.danger")
	b.sees("Brand three is deleted.")
}

// TestStatistics: a breakdown shows plot and table of the same numbers, and
// days out of order are refused beside the field.
func TestStatistics(t *testing.T) {
	h := open(t, busy)
	b := newTab(t, h)
	b.login(seed.Email)
	b.open("/statistics?by=provider")
	for _, p := range h.scene.Providers {
		if !strings.Contains(b.text("table.stats"), p.Name) {
			t.Errorf("the table lacks %s", p.Name)
		}
	}
	if n := js[int](b, `document.querySelectorAll("svg.plot path.line").length`); n != len(h.scene.Providers) {
		t.Errorf("%d lines in the plot of %d providers", n, len(h.scene.Providers))
	}
	csv := js[string](b, `fetch(document.querySelector("a[download]").href).then(r => r.text())`)
	if lines := strings.Split(strings.TrimSpace(csv), "\n"); len(lines) != 1+len(h.scene.Providers) || !strings.HasPrefix(lines[0], "provider,name,accepted") {
		t.Errorf("the file:\n%s", csv)
	}
	for _, by := range []string{"day", "domain", "mailbox", "code", "group"} {
		b.open("/statistics?by=" + by)
		if n := js[int](b, `document.querySelectorAll("table.stats tbody tr").length`); n == 0 && by != "group" {
			t.Errorf("by %s: no line\n%s", by, b.dump())
		}
	}
	b.open("/statistics?from=2026-03-02&until=2026-03-01")
	if got := b.text("#e-until"); !strings.Contains(got, "before the first day") {
		t.Errorf("days out of order: %q", got)
	}
}

// TestRoles: who may not change something is neither offered it nor served it.
func TestRoles(t *testing.T) {
	h := open(t, busy)
	b := newTab(t, h)
	b.login("vera@example.com") // a viewer
	for _, path := range []string{"/domains", "/domains/1", "/pools", "/pools/1", "/subaccounts", "/subaccounts/1", "/statistics", "/suppressions", "/webhooks", "/webhooks/1"} {
		b.open(path)
		if n := js[int](b, `document.querySelectorAll("main form[method=post], main .danger").length`); n != 0 {
			t.Errorf("%s offers a viewer %d changes", path, n)
		}
	}
	for _, path := range []string{"/keys", "/keys/new", "/smtp", "/pools/new", "/pools/1/edit", "/pools/1/delete", "/domains/1/delete", "/subaccounts/1/delete", "/suppressions/add", "/suppressions/import", "/webhooks/new", "/webhooks/1/secret/new", "/templates/new", "/templates/1/delete", "/audit", "/settings", "/people"} {
		if got := js[int](b, `fetch(`+quote(path)+`).then(r => r.status)`); got != 403 {
			t.Errorf("a viewer gets %d for %s", got, path)
		}
	}
	for _, path := range []string{"/domains", "/domains/1/verify", "/domains/1/delete", "/pools", "/pools/1/edit", "/pools/1/delete", "/keys", "/subaccounts", "/subaccounts/1/block", "/suppressions/add", "/suppressions/remove", "/suppressions/import", "/webhooks", "/webhooks/1/secret", "/webhooks/1/test", "/webhooks/1/replay", "/webhooks/1/delete", "/templates", "/templates/1", "/templates/1/delete"} {
		if got := js[int](b, `fetch(`+quote(path)+`, {method: "POST"}).then(r => r.status)`); got != 403 {
			t.Errorf("a viewer's POST to %s answers %d", path, got)
		}
	}
	b.open("/domains/1")
	b.sees(h.scene.Domains[0].Name)
}

// TestAskedWithoutScript: what cannot be undone is asked for by a page when no
// script asked: nothing is changed until the answer.
func TestAskedWithoutScript(t *testing.T) {
	h := open(t, busy)
	b := newTab(t, h)
	b.login(seed.Email)
	path := "/providers/" + id(h.scene.Providers[2].ID)
	b.open(path)
	js[bool](b, `document.querySelector('form[action$="/delete"]').removeAttribute("data-confirm"), true`)
	b.press(`form[action$="/delete"] button`)
	b.sees("Delete this provider?")
	b.press("main a.button")
	if got := js[string](b, "location.pathname"); got != path {
		t.Errorf("to keep it leads to %s", got)
	}
	b.sees(h.scene.Providers[2].Name)
	js[bool](b, `document.querySelector('form[action$="/delete"]').removeAttribute("data-confirm"), true`)
	b.press(`form[action$="/delete"] button`)
	b.press("button.danger")
	b.sees("is deleted.")
}
