package dash_test

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/test/seed"
)

// numbers are the cells of a plot's table, row by row, the head first.
func (b *tab) numbers(plot string) [][]string {
	b.t.Helper()
	return js[[][]string](b, `[...document.querySelectorAll(`+quote(`section[aria-label="`+plot+`"] table tr`)+`)].map(r => [...r.children].map(c => c.textContent.trim()))`)
}

// file reads an address of this server as text.
func (b *tab) file(path string) string {
	b.t.Helper()
	return js[string](b, `fetch(`+quote(path)+`).then(async r => r.headers.get("content-type") + "\n" + await r.text())`)
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.ReplaceAll(s, ",", ""))
	if err != nil {
		t.Fatalf("%q is no number", s)
	}
	return n
}

// TestOverviewPlots: every plot stands beside its numbers, the numbers are in
// its file, and rates beyond their lines are told in words.
func TestOverviewPlots(t *testing.T) {
	b := newTab(t, open(t, seed.Trouble))
	b.login(seed.Email)
	for _, plot := range []string{"Last hour", "Messages per day", "Delivery rate", "Hard bounces", "Complaints", "Messages waiting, last 24 hours", "Earliest message overdue, last 24 hours"} {
		if rows := b.numbers(plot); len(rows) < 15 {
			t.Errorf("%s has %d rows of numbers", plot, len(rows))
		}
	}
	minutes := b.numbers("Last hour")
	if len(minutes) != 61 || minutes[0][1] != "delivered" {
		t.Fatalf("the last hour begins %q and has %d rows", minutes[0], len(minutes))
	}
	delivered := 0
	for _, row := range minutes[1:] {
		delivered += atoi(t, row[1])
	}
	if delivered == 0 {
		t.Error("nothing was delivered in the last hour")
	}
	for _, words := range []string{"of the last days' mail was delivered", "bounced for good: clean the list"} {
		b.sees(words)
	}
	if kind := js[string](b, `document.querySelector('section[aria-label="Hard bounces"] .chip').className`); kind != "chip bad" {
		t.Errorf("the bounce rate is shown as %q", kind)
	}
	waiting := b.numbers("Messages waiting, last 24 hours")
	if last := waiting[len(waiting)-3:]; !slices.ContainsFunc(last, func(row []string) bool { return row[1] == "365" }) { // a quarter may just have begun
		t.Errorf("a queue that does not move ends with %q", last)
	}
	lines := strings.Split(strings.TrimSpace(b.file(js[string](b, `document.querySelector('section[aria-label="Last hour"] a[download]').getAttribute("href")`))), "\n")
	if len(lines) != 62 || lines[0] != "text/csv; charset=utf-8" || lines[1] != "when,delivered,soft bounced,hard bounced,dropped,\"sent, no outcome yet\"" {
		t.Errorf("the file has %d lines and begins %q", len(lines), lines[:2])
	}
}

// TestStatisticsPlots: the funnel only narrows where it must, reasons and times
// are plotted with their files, and the map of the week changes what it shows.
func TestStatisticsPlots(t *testing.T) {
	b := newTab(t, open(t, busy))
	b.login(seed.Email)
	b.open("/statistics")
	funnel := b.numbers("From accepted to clicked")
	if len(funnel) != 6 {
		t.Fatalf("the funnel is %q", funnel)
	}
	for i := 2; i < len(funnel); i++ {
		if n, before := atoi(t, funnel[i][2]), atoi(t, funnel[i-1][2]); n == 0 || n > before {
			t.Errorf("%s %d after %s %d", funnel[i][0], n, funnel[i-1][0], before)
		}
	}
	if file := b.file("/statistics?csv=funnel"); !strings.Contains(file, "step,messages\nAccepted,"+strings.ReplaceAll(funnel[1][2], ",", "")+"\n") {
		t.Errorf("the file of the funnel is %q", file)
	}
	total := 0
	reasons := b.numbers("Why messages bounced")
	for _, row := range reasons[1:] {
		total += atoi(t, row[2])
	}
	bounced := js[[]string](b, `[...document.querySelectorAll(".figures.even li")].filter(li => li.innerText.includes("bounces")).map(li => li.querySelector(".quiet").innerText)`)
	if want := atoi(t, bounced[0]) + atoi(t, bounced[1]); total != want {
		t.Errorf("the reasons sum to %d, the bounces to %d", total, want)
	}
	times := b.numbers("Time from accepted to delivered")
	delivered := 0
	for _, row := range times[1:] {
		delivered += atoi(t, row[1])
	}
	if want := atoi(t, funnel[3][2]); delivered != want {
		t.Errorf("the histogram holds %d deliveries of %d", delivered, want)
	}
	week := func() int {
		sum := 0
		for _, row := range b.numbers("Delivered by hour and weekday")[1:] {
			for _, cell := range row[1:] {
				sum += atoi(t, cell)
			}
		}
		return sum
	}
	if n := week(); n != delivered {
		t.Errorf("the week holds %d deliveries of %d", n, delivered)
	}
	b.press(`#week .tabs a[href*="heat=opened"]`)
	if rows := b.numbers("Opened by hour and weekday"); len(rows) != 25 || len(rows[0]) != 8 {
		t.Errorf("the week of opens has %d rows", len(rows))
	}
	b.open("/statistics?by=reason")
	b.sees("mailbox_full")
	if file := b.file("/statistics.csv?by=reason"); !strings.Contains(file, "\nmailbox_full,The mailbox is full,") {
		t.Errorf("the table's file is %.400q", file)
	}
}

// TestProviderPlots: how fast a provider takes mail and what it answers, and
// how far its agent is, with what to do when it is in trouble.
func TestProviderPlots(t *testing.T) {
	h := open(t, seed.Trouble)
	b := newTab(t, h)
	b.login(seed.Email)
	b.open("/providers/" + id(h.scene.Providers[0].ID))
	if rows := b.numbers("Latency"); len(rows) != 25 || rows[0][2] != "95 % within (p95)" {
		t.Errorf("latency %q", rows[0])
	}
	sum := [5]int{}
	for _, row := range b.numbers("Replies by class")[1:] {
		for i := 1; i < len(row); i++ {
			sum[i] += atoi(t, row[i])
		}
	}
	if sum[1] == 0 || sum[2] == 0 || sum[4] < 340 { // taken, refused for now, and no reply since it is down
		t.Errorf("replies %v", sum)
	}
	card := b.text("#agent")
	for _, words := range []string{"agent silent", "waypost-agent doctor", "/var/log/mail.log", "17.5 MiB unread", "412 events wait", "4bXk2L0kzPz9rxy"} {
		if !strings.Contains(card, words) {
			t.Errorf("the agent's card does not say %q:\n%s", words, card)
		}
	}
}

// silent makes a scene with a provider that takes connections and says nothing:
// whoever asks it waits, until hangUp ends the connections that it has.
func silent(t *testing.T) (make scene, hangUp func()) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var held []net.Conn
	hangUp = func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range held {
			_ = c.Close()
		}
		held = nil
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			held = append(held, c)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); hangUp() })
	return func(ctx context.Context, s store.Store, now time.Time) (*seed.Scene, error) {
		c, err := seed.Empty(ctx, s, now)
		if err != nil {
			return c, err
		}
		p := waypost.Provider{
			Account: c.Account.ID, Name: "Deaf", Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Security: "none", Auth: "none",
			MaxPerHour: 100, Created: now, Updated: now,
		}
		key := waypost.APIKey{Kind: waypost.KeyIngestion, Account: c.Account.ID, Hash: [32]byte{7}, Created: now}
		return c, s.CreateProvider(ctx, &p, &key, nil)
	}, hangUp
}

// TestHealth: the page shows what is known while a test runs, and the test's
// result by itself when it comes.
func TestHealth(t *testing.T) {
	deaf, hangUp := silent(t)
	b := newTab(t, open(t, deaf))
	b.login(seed.Email)
	b.open("/health")
	b.sees("the first test is running") // though the provider still keeps it waiting
	b.sees("Work of this node")
	end := time.Now().Add(patience)
	for !js[bool](b, `document.querySelector("#checks table") !== null`) {
		if time.Now().After(end) {
			t.Fatalf("the first result does not come by itself\n%s", b.dump())
		}
		hangUp() // the test may have got to the provider by now
		time.Sleep(100 * time.Millisecond)
	}
	b.sees("something keeps mail from flowing")
	b.sees("Deaf (1), 127.0.0.1")
	b.press(`form[action="/health/test"] button`)
	b.sees("A new test is running")
	if rows := js[int](b, `document.querySelectorAll("#checks tbody tr").length`); rows < 5 {
		t.Errorf("while it runs, %d checks of the last test are shown", rows)
	}
	b.open("/settings")
	b.sees("above 2.0 %")
}
