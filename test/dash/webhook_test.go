package dash_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/waypost-mail/waypost/test/seed"
)

// TestWebhookLife: a URL that cannot be called is refused beside the field;
// the secret is shown after the making; a test tells what the receiver
// answered, as text whatever it is; it is disabled, enabled, and deleted.
func TestWebhookLife(t *testing.T) {
	got := make(chan http.Header, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case got <- r.Header.Clone():
		default:
		}
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte("<script>document.title = 'broken'</script>"))
	}))
	defer receiver.Close()
	b := newTab(t, open(t, seed.Empty))
	b.login(seed.Email)
	b.open("/webhooks")
	b.press(`a[href="/webhooks/new"]`)
	b.fill("#f-url", "gopher://example.com")
	b.press("form.stack button.primary")
	if got := b.text("#e-url"); got == "" {
		t.Errorf("nothing is said beside the URL\n%s", b.dump())
	}
	b.fill("#f-url", receiver.URL+"/hook")
	b.press("form.stack button.primary")
	b.sees("The secret of the new webhook")
	b.press("main > a.button.primary")
	b.press(`form[action$="/test"] button`)
	b.sees("It answered 418")
	if h := <-got; h.Get("X-SendPost-Signature") == "" {
		t.Errorf("the test is not signed: %v", h)
	}
	b.do("the answer", chromedp.Click(chromedp.CSS("#h-test ~ details summary, [aria-labelledby=h-test] details summary")))
	if text := b.text("[aria-labelledby=h-test] pre"); !strings.Contains(text, "<script>") {
		t.Errorf("the answer is shown as %q", text)
	}
	if title := js[string](b, "document.title"); strings.Contains(title, "broken") {
		t.Error("the answer of a receiver ran as a script")
	}
	b.press(`form[action$="/disable"] button`)
	b.sees("nothing is sent to it")
	b.press(`form[action$="/enable"] button`)
	b.sees("begins anew")
	b.press(`a[href$="/delete"]`)
	b.press("button.danger")
	b.sees("The webhook is deleted.")
}
