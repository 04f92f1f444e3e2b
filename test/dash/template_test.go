package dash_test

import (
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/test/seed"
)

// TestTemplateLife: a mistake is named with its line and column beside the
// field, and what was typed stays; the preview shows what is typed with the
// sample data, where no script runs; it is copied and deleted.
func TestTemplateLife(t *testing.T) {
	b := newTab(t, open(t, seed.Empty))
	b.login(seed.Email)
	b.open("/templates/new")
	b.fill("#f-name", "Welcome", "#f-subject", "Hello {{name}}", "#f-html", "<p>Hi</p>\n<p>{{#if}}</p>")
	b.press("form.stack button.primary")
	if got := b.text("#e-html"); !strings.Contains(got, "Line 2, column") {
		t.Errorf("a mistake in the HTML: %q\n%s", got, b.dump())
	}
	if got := js[string](b, `document.querySelector("#f-html").value`); !strings.Contains(got, "{{#if}}") {
		t.Errorf("the form forgot what was typed: %q", got)
	}
	const html = "<h1>Hi {{user.name}}</h1><script>parent.document.title = 'broken'</script>"
	b.fill("#f-html", html, "#f-text", "Hi {{user.name}}")
	b.press("form.stack button.primary")
	b.sees("Welcome is saved.")
	if got := js[string](b, `document.querySelector("#f-sample").value`); !strings.Contains(got, `"user": {`) {
		t.Errorf("the sample data: %s", got)
	}
	page := js[string](b, `(async () => { const f = new FormData(document.querySelector(".editor form")); f.set("part", "html"); f.set("sample", '{"user":{"name":"<b>Grace</b>"}}'); const r = await fetch("/templates/preview", {method: "POST", body: f}); return r.headers.get("Content-Security-Policy") + "\n" + await r.text(); })()`)
	if !strings.Contains(page, "Hi &lt;b&gt;Grace&lt;/b&gt;") || !strings.Contains(page, "sandbox") || !strings.Contains(page, "default-src 'none'") {
		t.Errorf("the preview:\n%s", page)
	}
	b.until("the preview in its frame", `document.querySelector("iframe[name=preview]").getAttribute("sandbox") === ""`)
	if title := js[string](b, "document.title"); strings.Contains(title, "broken") {
		t.Error("a script of the template ran")
	}
	b.press(`form[action$="/copy"] button`)
	b.sees("Welcome (copy)")
	b.press(`a[href$="/delete"]`)
	b.press("button.danger")
	b.sees("Welcome (copy) is deleted.")
}
