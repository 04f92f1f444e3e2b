package dash_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/waypost-mail/waypost/test/seed"
)

// TestSuppressions: a bad address among good ones is named with its number and
// what was typed stays; a file is read with a report of its bad lines; an
// address is found, and removed after a question.
func TestSuppressions(t *testing.T) {
	b := newTab(t, open(t, seed.Empty))
	b.login(seed.Email)
	b.open("/suppressions/add")
	b.fill("#f-emails", "one@example.org\nnot an address")
	b.press("form.stack button.primary")
	if got := b.text("#e-emails"); !strings.Contains(got, "Address 2") {
		t.Errorf("a bad address: %q\n%s", got, b.dump())
	}
	b.fill("#f-emails", "one@example.org\ntwo@example.org", "#f-text", "<img src=x onerror=alert(1)>")
	b.press("form.stack button.primary")
	b.sees("2 addresses are on the list now")
	b.sees("<img src=x onerror=alert(1)>")

	file := filepath.Join(t.TempDir(), "list.csv")
	if err := os.WriteFile(file, []byte("email,type\nthree@example.org,hardBounce\nnobody at all,manual\none@example.org,manual\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.open("/suppressions/import")
	b.press("form.stack button.primary")
	if got := b.text("#e-file"); !strings.Contains(got, "Choose a file") {
		t.Errorf("without a file: %q\n%s", got, b.dump())
	}
	b.choose("#f-file", file)
	b.press("form.stack button.primary")
	if report := b.text("[aria-labelledby=h-report]"); !strings.Contains(report, "list.csv") || !strings.Contains(report, "What was passed over") {
		t.Errorf("the report:\n%s", report)
	}
	for _, q := range []string{"three", "three@example.org", "@example.org", "hree@"} {
		b.open("/suppressions?q=" + url.QueryEscape(q))
		if got := b.text("table.list tbody"); !strings.Contains(got, "three@example.org") {
			t.Errorf("the filter %s shows %q", q, got)
		}
	}
	b.open("/suppressions")
	b.sees("3 addresses")
	b.open("/suppressions?q=three")
	csv := js[string](b, `fetch("/suppressions/export").then(r => r.text())`)
	if n := strings.Count(csv, "@example.org"); n != 3 {
		t.Errorf("the file out has %d addresses:\n%s", n, csv)
	}
	b.press(`a[aria-label="Remove three@example.org"]`)
	b.sees("Mail three@example.org again?")
	b.press("button.danger")
	b.sees("is off the list")
	b.open("/suppressions?q=three")
	b.sees("No suppressed address fits")
}

// choose puts a file into a field.
func (b *tab) choose(selector, path string) {
	b.t.Helper()
	b.do("choose "+path, chromedp.SetUploadFiles(chromedp.CSS(selector), []string{path}))
}
