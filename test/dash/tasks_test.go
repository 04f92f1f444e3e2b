package dash_test

import (
	"encoding/csv"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/waypost-mail/waypost/test/seed"
)

// TestOverview: in trouble, the overview says in plain words what is wrong and
// leads there; when all is well it says that.
func TestOverview(t *testing.T) {
	b := newTab(t, open(t, seed.Trouble))
	b.login(seed.Email)
	got := b.text("#glance")
	for _, words := range []string{
		"Frankfurt Postfix cannot be reached", "340 messages wait", "The agent of Frankfurt Postfix is silent", "The agent of Helsinki Postfix is late",
		"Backup relay is paused: moving to a new address", "The return path of new-brand.example is not verified",
	} {
		if !strings.Contains(got, words) {
			t.Errorf("the overview does not say %q:\n%s", words, got)
		}
	}
	if rows := js[int](b, `document.querySelectorAll('section[aria-label="Messages per day"] .twin tbody tr').length`); rows != 14 {
		t.Errorf("the plot of two weeks has a table of %d rows", rows)
	}
	b.press(".problems li a")
	b.sees("Test now")

	well := newTab(t, open(t, busy))
	well.login(seed.Email)
	well.sees("All is well")
}

// TestEvents: filters stand in the address and hold for every page and for the
// exports; a filter that is none is named beside its field.
func TestEvents(t *testing.T) {
	h := open(t, busy)
	b := newTab(t, h)
	b.login(seed.Email)
	b.open("/events")
	js[string](b, `document.querySelector("#f-type").value = "CSDelivered"`)
	b.press(".filters button.primary")
	if got := js[string](b, "location.search"); !strings.Contains(got, "type=CSDelivered") {
		t.Errorf("the address does not hold the filter: %s", got)
	}
	seen := map[string]bool{}
	for page := range 3 {
		rows := js[[]string](b, `[...document.querySelectorAll("#list tbody tr")].map(r => r.querySelector(".chip").textContent + r.querySelector("a.strong").href)`)
		if len(rows) != 50 {
			t.Fatalf("page %d has %d rows", page, len(rows))
		}
		for _, r := range rows {
			if !strings.HasPrefix(r, "delivered") {
				t.Errorf("page %d shows %s", page, r)
			}
			if seen[r] {
				t.Errorf("page %d shows %s again", page, r)
			}
			seen[r] = true
		}
		b.press(`a[rel=next]`)
	}
	b.open("/events?type=63")
	if got := b.text("#list tbody"); !strings.Contains(got, "hard bounce") || strings.Contains(got, "delivered") {
		t.Errorf("the type by number shows:\n%.300s", got)
	}
	b.open("/events?message=nonsense")
	if got := b.text("#e-message"); !strings.Contains(got, "no message id") {
		t.Errorf("a filter that is none: %q", got)
	}

	v := newVisitor(t, h)
	v.login(seed.Email, seed.Password)
	_, text := v.ask("GET", "/events.csv?type=63", nil)
	lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(lines) < 2 {
		t.Fatalf("the CSV has %d lines: %v", len(lines), err)
	}
	_, text = v.ask("GET", "/events.ndjson?type=63", nil)
	all := strings.Split(strings.TrimSpace(text), "\n")
	if len(all) != len(lines)-1 {
		t.Errorf("%d lines of JSON, %d of CSV", len(all), len(lines)-1)
	}
	for i, line := range all {
		var e struct {
			ID   string `json:"eventId"`
			Type int    `json:"type"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Type != 63 || e.ID != lines[i+1][0] {
			t.Fatalf("line %d: %+v, %v", i, e, err)
		}
	}
}

// TestLive: a message that is accepted appears in the lists of an open page,
// without a reload.
func TestLive(t *testing.T) {
	h := open(t, busy)
	b := newTab(t, h)
	b.login(seed.Email)
	b.open("/events")
	b.until("the live lamp", `document.querySelector("#live").dataset.state === "on"`)
	js[bool](b, `window.__same = true`)
	v := newVisitor(t, h)
	body := `{"from":{"email":"orders@acme-shop.example"},"to":[{"email":"new.customer@live.example"}],"subject":"x","textBody":"x"}`
	if status := v.post("/api/v1/subaccount/email", body, "X-SubAccount-ApiKey", seed.SubKey); status != 200 {
		t.Fatalf("send: %d", status)
	}
	b.until("the new event", `document.querySelector("#list").textContent.includes("new.customer@live.example")`)
	if !js[bool](b, `window.__same === true`) {
		t.Error("the page was loaded anew")
	}
}

// TestMessage: from the search to the page of a message, which tells its way;
// one that waits can be tried again and cancelled.
func TestMessage(t *testing.T) {
	h := open(t, seed.Trouble)
	b := newTab(t, h)
	b.login(seed.Email)
	b.do("press /", chromedp.KeyEvent("/"))
	b.until("the search has the focus", `document.activeElement.id === "find"`)
	b.do("search", chromedp.KeyEvent("Message-ID: <"+h.scene.Messages["story"].String()+"@acme-shop.example>"), chromedp.KeyEvent(kb.Enter))
	b.sees("Why this way")
	got := b.text("#way")
	for _, words := range []string{"Accepted from the API", "Attempt 1 failed", "Greylisted", "took it at attempt 2", "put it off", "not by a person (image proxy)", "Opened by a person", "https://acme-shop.example/orders/1", "later"} {
		if !strings.Contains(got, words) {
			t.Errorf("the timeline does not say %q:\n%s", words, got)
		}
	}
	if first := strings.Index(got, "A link was followed"); first < 0 || first > strings.Index(got, "Accepted from the API") {
		t.Error("the timeline does not begin with the newest")
	}
	b.until("the mail in its frame", `document.querySelector("iframe.mailframe")`)
	for _, words := range []string{"Your order 31415", "Hello", "X-Sendpost"} {
		if !strings.Contains(js[string](b, `document.querySelector("main").textContent`), words) {
			t.Errorf("the content does not show %q", words)
		}
	}

	waiting := h.scene.Messages["waiting"].String()
	b.open("/messages/" + waiting)
	if got := b.text("#why"); !strings.Contains(got, "Why not yet") || !strings.Contains(got, "paused") && !strings.Contains(got, "attempt") && !strings.Contains(got, "due") {
		t.Errorf("why not yet: %s", got)
	}
	b.press(`form[action$="/retry"] button`)
	b.sees("It is due now")
	js[bool](b, `(window.confirm = () => true, true)`)
	b.press(`form[action$="/cancel"] button`)
	b.sees("It is cancelled")
	b.sees("somebody cancelled it")
}

// TestMessages: a list with filters that hold while paging.
func TestMessages(t *testing.T) {
	h := open(t, busy)
	b := newTab(t, h)
	b.login(seed.Email)
	b.open("/messages")
	rows := `[...document.querySelectorAll("#list tbody tr a.strong")].map(a => a.href)`
	first := js[[]string](b, rows)
	b.press(`a[rel=next]`)
	second := js[[]string](b, rows)
	if len(first) != 50 || len(second) != 50 || first[49] == second[0] {
		t.Errorf("pages of %d and %d messages", len(first), len(second))
	}
	to := b.text("#list tbody a.strong")
	b.open("/messages?to=" + url.QueryEscape(strings.ToUpper(to)))
	if got := b.text("#list tbody"); !strings.Contains(got, to) {
		t.Errorf("the filter by recipient %s in capitals shows %q", to, got)
	}
	b.open("/messages?from=2020-01-01&until=2020-01-02")
	b.sees("No message fits these filters")
}

// TestProvider: a provider is changed, paused with a reason, resumed and its
// key made anew.
func TestProvider(t *testing.T) {
	h := open(t, busy)
	b := newTab(t, h)
	b.login(seed.Email)
	path := "/providers/" + id(h.scene.Providers[1].ID)
	b.open(path)
	if got := b.text("#limits"); !strings.Contains(got, "gmail") || !strings.Contains(got, "2,000 an hour") {
		t.Errorf("the limits show:\n%s", got)
	}
	b.fill("#reason", "new disk")
	b.press(`form[action$="/pause"] button`)
	b.sees("is paused")
	if got := b.text("#state"); !strings.Contains(got, "new disk") {
		t.Errorf("the state does not tell why:\n%s", got)
	}
	b.press(`form[action$="/resume"] button`)
	b.sees("is resumed")
	b.open(path + "/edit")
	b.fill("#f-maxRatePerHour", "0")
	js[bool](b, `document.querySelector(".boxes").open = true`)
	b.fill("input[name='limit.yahoo']", "700")
	b.do("save", chromedp.Click(chromedp.CSS("form.formcard button.primary")))
	b.until("what is wrong", `document.querySelector("#e-maxRatePerHour")`)
	if got := b.text("#e-maxRatePerHour"); !strings.Contains(got, "must be 1 to") {
		t.Errorf("a limit of 0: %q", got)
	}
	if got := js[string](b, `document.querySelector("input[name='limit.yahoo']").value`); got != "700" {
		t.Errorf("the form forgot a limit: %q", got)
	}
	b.fill("#f-maxRatePerHour", "9000")
	b.do("save", chromedp.Click(chromedp.CSS("form.formcard button.primary")))
	b.sees("The provider is changed")
	if at := js[string](b, "location.pathname"); at != path {
		t.Errorf("saving leads to %s", at)
	}
	if got := b.text("main"); !strings.Contains(got, "of 9,000") || !strings.Contains(got, "700 an hour") {
		t.Errorf("the changed limits show:\n%s", got)
	}
	js[bool](b, `(window.confirm = () => true, true)`)
	b.press(`form[action$="/rotate"] button`)
	if key := js[string](b, `document.querySelector(".secret code").textContent`); !strings.HasPrefix(key, "wpe_") {
		t.Errorf("the new key is %q", key)
	}
}

// TestQueue: what waits is listed by lane and message, and a lane can be tried
// again or cancelled.
func TestQueue(t *testing.T) {
	b := newTab(t, open(t, seed.Trouble))
	b.login(seed.Email)
	b.open("/queue")
	b.sees("365 messages wait")
	lanes := js[int](b, `document.querySelectorAll("#lanes tbody tr").length`)
	b.press(`#lanes form[action="/queue/retry"] button`)
	b.sees("due now") // those of the lane that were to wait longer
	js[bool](b, `(window.confirm = () => true, true)`)
	b.press(`#lanes form[action="/queue/cancel"] button`)
	b.sees("cancelled")
	if got := js[int](b, `document.querySelectorAll("#lanes tbody tr").length`); got != lanes-1 {
		t.Errorf("after a lane was cancelled there are %d of %d lanes", got, lanes)
	}
}

// TestWithoutScript: nothing but live updates needs JavaScript.
func TestWithoutScript(t *testing.T) {
	h := open(t, seed.Trouble)
	v := newVisitor(t, h)
	v.login(seed.Email, seed.Password)
	_, page := v.ask("GET", "/queue", nil)
	for _, words := range []string{`<form method="post" action="/queue/retry">`, "<button>Try now</button>", "365 messages wait", "UTC"} {
		if !strings.Contains(page, words) {
			t.Errorf("the page as it is served lacks %s", words)
		}
	}
}
