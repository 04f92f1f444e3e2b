package dash_test

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/server"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
	"github.com/waypost-mail/waypost/test/seed"
)

var perDay = flag.Int("per-day", 3000, "messages a day of the benchmark's installation: two weeks; one of five million events is made by test/seed/run --scene large")

var seeded = flag.String("seeded", "", "a database that test/seed/run made, of the benchmark in the place of one of its own")

// installation starts a server on the installation of the benchmark, and gives
// its URL and a message of it that has a story.
func installation(b *testing.B) (where string, story waypost.UUID) {
	b.Helper()
	quiet := func(c *server.Config) { c.Roles, c.Log = []string{"api", "dash"}, slog.New(slog.DiscardHandler) }
	if *seeded == "" {
		h := openSet(b, func(ctx context.Context, s store.Store, now time.Time) (*seed.Scene, error) {
			return seed.Busy(ctx, s, now, *perDay)
		}, quiet)
		return h.url, h.scene.Messages["story"]
	}
	s, err := sqlite.Open(b.Context(), *seeded, sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	found, err := s.FindMessages(b.Context(), store.Search{
		MessageQuery: store.MessageQuery{Account: 1, Limit: 1}, Status: waypost.StatusDelivered, Subject: "Your order 31415 is", Look: 10_000_000,
	})
	if err != nil || len(found.Messages) == 0 {
		b.Fatal("the database has no story", err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return serve(b, filepath.Dir(*seeded), func(c *server.Config) { quiet(c); c.BounceHost = "bounce.example.com" }), found.Messages[0].ID
}

// BenchmarkPages measures whole pages of the dashboard and whole answers of the
// API of a running server, from the request to the last byte, and exports to
// their first one. It reports the median and the longest beside the mean.
func BenchmarkPages(b *testing.B) {
	where, story := installation(b)
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	resp, err := browser.PostForm(where+"/login", url.Values{"email": {seed.Email}, "password": {seed.Password}})
	if err != nil {
		b.Fatal(err)
	}
	_ = resp.Body.Close()
	for _, page := range slices.Concat(benchLists(story), benchSettings(), benchStatistics()) {
		b.Run(page.name, func(b *testing.B) { measure(b, browser, where+page.path, nil) })
	}
	key := http.Header{"X-Subaccount-Apikey": {seed.SubKey}}
	for _, call := range benchCalls(story) {
		b.Run("api/"+call.name, func(b *testing.B) {
			measure(b, http.DefaultClient, where+"/api/v1/subaccount"+call.path, key)
		})
	}
}

// benchLists are what people look for mail with.
func benchLists(story waypost.UUID) []view {
	return []view{
		{"overview", "/"},
		{"messages", "/messages"},
		{"messages-queued", "/messages?status=queued"},
		{"messages-sent", "/messages?status=sent"},
		{"messages-delivered", "/messages?status=delivered"},
		{"messages-dropped", "/messages?status=dropped"},
		{"messages-dropped-sub", "/messages?status=dropped&sub=2"},
		{"messages-from", "/messages?q=from:orders@acme-shop.example"},
		{"messages-from-dropped", "/messages?q=from:orders@acme-shop.example+status:dropped"},
		{"messages-tag", "/messages?q=tag:campaign-7"},
		{"messages-tag-none", "/messages?q=tag:nothing"},
		{"messages-tag-from", "/messages?q=tag:campaign-7+from:orders@acme-shop.example"},
		{"messages-days", "/messages?q=" + daysAgo(60, 59)},
		{"messages-subject", "/messages?q=invoice"},
		{"messages-subject-none", "/messages?q=nothing-like-it"},
		{"messages-to", "/messages?q=to:anna.becker10@gmail.com"},
		{"messages-to-none", "/messages?q=to:nobody@example.com"},
		{"messages-queue-id", "/messages?q=queue:" + string(seed.QueueID(story))},
		{"message", "/messages/" + story.String()},
		{"events", "/events"},
		{"events-type", "/events?type=CSHardBounced"},
		{"events-types", "/events?type=CSHardBounced&type=CSDropped&type=CSSpamReport"},
		{"events-code", "/events?code=452"},
		{"events-provider", "/events?provider=1"},
		{"events-domain", "/events?domain=1"},
		{"events-sub", "/events?sub=2"},
		{"events-provider-domain-code", "/events?provider=1&domain=1&code=452"},
		{"events-days", "/events?" + daysOf(60, 59)},
		{"events-recipient", "/events?to=anna.becker10@gmail.com"},
		{"events-recipient-none", "/events?to=nobody@example.com"},
		{"events-message", "/events?message=" + story.String()},
		{"events-tail", "/events?after=1"},
		{"events-csv-first", "/events.csv"},
		{"events-csv-code-first", "/events.csv?code=452"},
		{"events-ndjson-first", "/events.ndjson"},
		{"queue", "/queue"},
	}
}

// benchSettings are what people set up, and look after.
func benchSettings() []view {
	return []view{
		{"providers", "/providers"},
		{"provider", "/providers/1"},
		{"domains", "/domains"},
		{"domain", "/domains/1"},
		{"pools", "/pools"},
		{"pool", "/pools/13"},
		{"templates", "/templates"},
		{"suppressions", "/suppressions"},
		{"suppressions-type", "/suppressions?type=manual"},
		{"suppressions-part", "/suppressions?q=anna.becker"},
		{"suppressions-none", "/suppressions?q=nothing-like-it"},
		{"suppressions-domain", "/suppressions?q=@gmx.net"},
		{"suppressions-domain-type", "/suppressions?q=@gmx.net&type=manual"},
		{"suppressions-csv-first", "/suppressions/export"},
		{"webhooks", "/webhooks"},
		{"webhook", "/webhooks/1"},
		{"subaccounts", "/subaccounts"},
		{"subaccount", "/subaccounts/1"},
		{"keys", "/keys"},
		{"smtp", "/smtp"},
		{"people", "/people"},
		{"audit", "/audit"},
		{"audit-who", "/audit?who=cli"},
		{"audit-did-days", "/audit?did=login&" + daysOf(60, 50)},
		{"audit-what", "/audit?what=provider+77"},
		{"audit-part", "/audit?q=8999"},
		{"audit-none", "/audit?q=nothing-like-it"},
		{"tools", "/tools"},
		{"health", "/health"},
		{"settings", "/settings"},
		{"start", "/start"},
	}
}

// benchStatistics are the counters, of 14 and of 90 days.
func benchStatistics() []view {
	out := []view{{"statistics", "/statistics"}}
	for _, by := range []string{"day", "provider", "domain", "mailbox", "code", "group", "reason", "subaccount"} {
		out = append(out, view{"statistics-90-" + by, "/statistics?by=" + by + "&" + daysOf(89, 0)})
	}
	return append(out,
		view{"statistics-90-provider-1", "/statistics?provider=1&" + daysOf(89, 0)},
		view{"statistics-90-csv-first", "/statistics.csv?by=group&" + daysOf(89, 0)},
	)
}

// benchCalls are the operations of the API behind them.
func benchCalls(story waypost.UUID) []view {
	return []view{
		{"messages", "/message?limit=50"},
		{"messages-dropped", "/message?limit=50&status=dropped"},
		{"messages-queue-id", "/message?queueId=" + string(seed.QueueID(story))},
		{"message", "/message/" + story.String()},
		{"events", "/event?limit=50"},
		{"events-type", "/event?limit=50&type=63"},
		{"events-count", "/event/count"},
		{"events-count-type", "/event/count?type=60"},
		{"events-count-few", "/event/count?type=64"},
		{"events-recipient", "/event?search=nobody@example.com"},
		{"suppressions", "/suppression/entry"},
		{"suppressions-part", "/suppression/entry?search=anna.becker"},
		{"suppressions-none", "/suppression/entry?search=nothing-like-it"},
		{"suppressions-count", "/suppression/count"},
	}
}

// daysOf is a range of days as the filters of a page have it.
func daysOf(from, until int) string {
	day := func(back int) string { return time.Now().UTC().AddDate(0, 0, -back).Format(time.DateOnly) }
	return "from=" + day(from) + "&until=" + day(until)
}

// daysAgo is one as a query has it.
func daysAgo(from, until int) string {
	return strings.NewReplacer("from=", "since:", "until=", "until:", "&", "+").Replace(daysOf(from, until))
}

// measure asks for a page again and again. Of what is named so, it waits for the
// first byte only.
func measure(b *testing.B, browser *http.Client, address string, header http.Header) {
	first := strings.HasSuffix(b.Name(), "-first")
	var took []time.Duration
	for b.Loop() {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, address, http.NoBody)
		if err != nil {
			b.Fatal(err)
		}
		if header != nil {
			r.Header = header.Clone()
		}
		began := time.Now()
		resp, err := browser.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		if first {
			_, err = io.ReadFull(resp.Body, make([]byte, 1))
		} else {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		took = append(took, time.Since(began))
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatalf("%s: %s, %v", address, resp.Status, err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
}
