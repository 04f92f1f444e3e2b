package dash_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/test/seed"
)

// TestAuditLog: an entry is found by who did it, by what was done, by its object
// and by a part of its text; what none has is said, and a day that is none is
// named beside its field.
func TestAuditLog(t *testing.T) {
	b := newTab(t, open(t, seed.Empty))
	b.login(seed.Email)
	b.open("/suppressions/add")
	b.fill("#f-emails", "one@example.org")
	b.press("form.stack button.primary")
	b.sees("1 address is on the list now")

	b.open("/audit")
	b.fill("#f-did", "suppression.add")
	b.press(".filters button.primary")
	if got := js[string](b, "location.search"); !strings.Contains(got, "did=suppression.add") {
		t.Errorf("the address does not hold the filter: %s", got)
	}
	for _, q := range []string{"did=suppression.add", "who=" + url.QueryEscape(seed.Email), "what=sub-account+1", "q=ADDED+1+ADDRESS", "who=" + url.QueryEscape(seed.Email) + "&q=suppression&from=2020-01-01"} {
		b.open("/audit?" + q)
		if got := b.text("table.list tbody"); !strings.Contains(got, "suppression.add") || !strings.Contains(got, seed.Email) {
			t.Errorf("/audit?%s shows %q", q, got)
		}
	}
	for _, q := range []string{"did=suppression", "who=nobody", "q=%25_", "until=2020-01-01"} {
		b.open("/audit?" + q)
		b.sees("No entry fits these filters")
	}
	b.open("/audit?from=yesterday")
	if got := b.text("#e-from"); !strings.Contains(got, "Write a day") {
		t.Errorf("a day that is none: %q", got)
	}
}
