package dash_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/waypost-mail/waypost/internal/agent"
	"github.com/waypost-mail/waypost/internal/simulator"
	"github.com/waypost-mail/waypost/test/seed"
)

// TestFirstRun: an installation without people leads to the setup; the
// password that init printed makes the owner; what is wrong is said beside the
// field; and the owner stands before the first steps.
func TestFirstRun(t *testing.T) {
	b := newTab(t, open(t, seed.New))
	b.open("/providers")
	if got := js[string](b, "location.pathname"); got != "/setup" {
		t.Fatalf("a new installation shows %s", got)
	}
	b.fill("#f-key", "wpd_wrong", "#f-name", "Grace Example", "#f-email", "grace@example.com", "#f-password", "four calm herons", "#f-again", "four calm herons")
	b.press("button.primary")
	if got := b.text("#e-key"); !strings.Contains(got, "not the dashboard password") {
		t.Errorf("a wrong key: %q", got)
	}
	if got := js[string](b, `document.querySelector("#f-email").value`); got != "grace@example.com" {
		t.Errorf("the form forgot what was typed: %q", got)
	}
	b.fill("#f-key", seed.SetupKey, "#f-password", "four calm herons", "#f-again", "four calm herons")
	b.press("button.primary")
	b.sees("First steps")
	b.sees("0 of 5 done")
	b.open("/setup")
	if got := js[string](b, "location.pathname"); got == "/setup" {
		t.Errorf("the setup is open to a second person")
	}
}

// TestLogin: a wrong password is refused, the right one leads to where one
// wanted to go, and logging out ends it.
func TestLogin(t *testing.T) {
	b := newTab(t, open(t, seed.Empty))
	b.open("/events?code=550")
	b.fill("#f-email", seed.Email, "#f-password", "wrong password")
	b.press("button.primary")
	b.sees("E-mail address or password is wrong")
	if got := js[string](b, `document.querySelector("#f-password").value`); got != "" {
		t.Error("a refused password comes back in the page")
	}
	b.fill("#f-password", seed.Password)
	b.press("button.primary")
	if got := js[string](b, "location.pathname+location.search"); got != "/events?code=550" {
		t.Errorf("the login leads to %s", got)
	}
	b.do("menu", chromedp.Click(chromedp.CSS("details.me summary")))
	b.press(`form[action="/logout"] button`)
	b.open("/")
	b.sees("Log in")
}

// TestFirstDeliveredMail walks the whole way of the checklist: owner, provider
// with its connection test, sender domain with its records, agent, test mail,
// and the page of the message that turns to delivered by itself.
func TestFirstDeliveredMail(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	t.Cleanup(func() { cancel(); parts.Wait() })
	run := func(f func(context.Context) error) { parts.Go(func() { _ = f(ctx) }) }

	names, err := simulator.ListenDNS(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	run(names.Run)
	logPath := filepath.Join(t.TempDir(), "mail.log")
	mailLog, err := os.Create(logPath)
	if err != nil {
		t.Fatal(err)
	}
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mta := simulator.NewMTA(simulator.MTAConfig{MailLog: mailLog, Username: "waypost", Password: "relay secret"})
	run(func(ctx context.Context) error { return mta.Run(ctx, l) })
	_, port, _ := net.SplitHostPort(l.Addr().String())

	b := newTab(t, openWith(t, seed.New, names.Addr()))
	b.open("/")
	b.fill("#f-key", seed.SetupKey, "#f-email", "grace@example.com", "#f-password", "four calm herons", "#f-again", "four calm herons")
	b.press("button.primary")

	key := b.addProvider(port)
	b.addDomain(names)
	run(func(ctx context.Context) error {
		return agent.Run(ctx, agent.Config{
			APIKey: key, Endpoint: b.h.url, LogPath: logPath, StateDir: filepath.Join(t.TempDir(), "agent"), Hostname: "relay.example",
			Flush: 100 * time.Millisecond, FromStart: true, Version: "test", Ready: io.Discard, Log: slog.New(slog.DiscardHandler),
		})
	})
	b.until("the agent's tick", `document.querySelector("#agent .tick .hidden").textContent.startsWith("Done")`)

	b.fill("#f-to", "someone@customer.example")
	b.press(`#test button`)
	b.until("delivered, without a reload", `[...document.querySelectorAll("#way strong")].some(s => s.textContent === "delivered")`)
	for _, words := range []string{"The recipient's server", "queue id", "Accepted from the API", "the agent beside the mail server"} {
		if got := b.text("#way"); !strings.Contains(got, words) {
			t.Errorf("the timeline does not say %q:\n%s", words, got)
		}
	}
	b.open("/start")
	b.sees("Every step is done")
}

// addProvider saves the mail server as a provider: a wrong password is shown
// with the step that failed, the right one leads to the agent's key, which is
// shown this once.
func (b *tab) addProvider(port string) (key string) {
	b.t.Helper()
	b.press(`#provider a.button`)
	b.fill("#f-name", "Main relay", "#f-smtpHost", "127.0.0.1", "#f-smtpPort", port, "#f-smtpUsername", "waypost", "#f-smtpPassword", "wrong")
	js[string](b, `document.querySelector("#f-smtpSecurity").value = "none"`)
	b.do("test", chromedp.Click(chromedp.CSS("button[name=test]")))
	b.until("the end of the test", `(document.querySelector(".probe .chip")||{}).textContent === "failed"`)
	if got := b.text(".probe"); !strings.Contains(got, "failed") || !strings.Contains(got, "Log in") {
		b.t.Errorf("a test with a wrong password shows:\n%s", got)
	}
	if got := js[string](b, `document.querySelector("#f-name").value + document.querySelector("#f-smtpSecurity").value`); got != "Main relaynone" {
		b.t.Errorf("the form forgot what was typed: %q", got)
	}
	b.fill("#f-smtpPassword", "relay secret")
	b.do("save", chromedp.Click(chromedp.CSS("form.formcard button.primary")))
	b.sees("The provider is saved")
	key = js[string](b, `document.querySelector(".secret code").textContent`)
	b.open("/providers")
	b.sees("Main relay")
	b.press("th a.strong")
	if got := js[string](b, "document.documentElement.outerHTML"); strings.Contains(got, key) || strings.Contains(got, "relay secret") {
		b.t.Error("a secret is shown a second time")
	}
	return key
}

// addDomain adds a sender domain and publishes its records as the page gives
// them.
func (b *tab) addDomain(names *simulator.DNS) {
	b.t.Helper()
	b.open("/start")
	b.fill("#domain input[name=name]", "not a domain")
	b.press("#domain button.primary")
	if got := b.text("#e-name"); got == "" {
		b.t.Error("a domain that is none is not refused beside the field")
	}
	b.fill("#domain input[name=name]", "shop.example")
	b.press("#domain button.primary")
	rows := js[[][3]string](b, `[...document.querySelectorAll(".records tbody tr")].map(r => [r.cells[2].querySelector("[data-copy]").dataset.copy, r.cells[1].textContent, r.cells[3].querySelector("[data-copy]").dataset.copy])`)
	var records []simulator.Record
	for _, r := range rows {
		records = append(records, simulator.Record{Host: r[0], Type: r[1], Value: r[2]})
	}
	if len(records) < 4 {
		b.t.Fatalf("the page asks for %d records", len(records))
	}
	if err := names.Set(records); err != nil {
		b.t.Fatal(err)
	}
	b.press(`form[action="/start/check"] button`)
	b.until("the domain's tick", `document.querySelector("#domain .tick .hidden").textContent.startsWith("Done")`)
}
