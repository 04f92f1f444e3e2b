package api_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/store"
)

// mailed stores n messages of one call, each with its CSProcessed.
func (w *world) mailed(n int, subject string) {
	w.Helper()
	now := time.Now().Truncate(time.Millisecond)
	a := store.Acceptance{Content: waypost.Content{
		ID: waypost.NewUUID(now), Account: w.account.ID, SubAccount: w.sub.ID, From: waypost.Address{Email: "x@example.com"}, Subject: subject, Text: "t",
	}}
	for i := range n {
		m := waypost.Message{
			ID: waypost.NewUUID(now.Add(time.Duration(i) * time.Millisecond)), Account: w.account.ID, SubAccount: w.sub.ID, Content: a.Content.ID,
			Recipient: fmt.Sprintf("r%d@example.org", i), SubmittedAt: now.Add(time.Duration(i) * time.Millisecond), Mailbox: waypost.MailboxDefault,
		}
		a.Messages = append(a.Messages, m)
		a.Events = append(a.Events, waypost.Event{
			Type: waypost.CSProcessed, Account: m.Account, SubAccount: m.SubAccount, Message: m.ID, Recipient: m.Recipient, At: now,
			Source: waypost.SourceAPI, Facets: m.Facets(), Text: "=1+1",
		})
	}
	if err := w.store.Accept(w.Context(), &a); err != nil {
		w.Fatal(err)
	}
}

// walk goes through a list page by page and gives the values of a field.
func (w *world) walk(path, field string, next func(at int, last string) string) []string {
	w.Helper()
	var all []string
	for {
		last := ""
		if len(all) > 0 {
			last = all[len(all)-1]
		}
		list := w.want(200, "GET", path+next(len(all), last), waypost.KeyAccount, nil)["list"].([]any)
		for _, e := range list {
			all = append(all, e.(map[string]any)[field].(string))
		}
		if len(list) < 30 {
			return all
		}
	}
}

func TestPagesOfLists(t *testing.T) {
	w := newWorld(t)
	w.mailed(130, "s")
	byOffset := func(at int, _ string) string { return fmt.Sprintf("&offset=%d", at) }
	byCursor := func(_ int, last string) string {
		if last == "" {
			return ""
		}
		return "&before=" + last
	}
	days := fmt.Sprintf("?limit=30&from=%s&to=%s", time.Now().UTC().Format(time.DateOnly), time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly))
	for _, c := range []struct{ path, field string }{
		{"/api/v1/account/event?limit=30", "eventID"}, {"/api/v1/account/message" + days, "messageID"},
	} {
		first, second := w.walk(c.path, c.field, byOffset), w.walk(c.path, c.field, byCursor)
		seen := map[string]bool{}
		for _, id := range first {
			seen[id] = true
		}
		if len(first) != 130 || len(seen) != 130 || strings.Join(first, " ") != strings.Join(second, " ") {
			t.Errorf("%s: %d by offset (%d different), %d by cursor", c.path, len(first), len(seen), len(second))
		}
		// An offset that no page ended at is counted off.
		if odd := w.want(200, "GET", c.path+"&offset=7", waypost.KeyAccount, nil)["list"].([]any); odd[0].(map[string]any)[c.field] != first[7] {
			t.Errorf("%s: offset 7 is not the eighth", c.path)
		}
		if past := w.want(200, "GET", c.path+"&offset=131", waypost.KeyAccount, nil)["list"].([]any); len(past) != 0 {
			t.Errorf("%s: %d past the end", c.path, len(past))
		}
	}
	if n := w.want(200, "GET", "/api/v1/account/event/count", waypost.KeyAccount, nil); n["count"] != 130.0 {
		t.Errorf("count %v", n)
	}
	if one := w.want(200, "GET", "/api/v1/account/event?search=R7@Example.org", waypost.KeyAccount, nil)["list"].([]any); len(one) != 1 {
		t.Errorf("%d events of one recipient", len(one))
	}
	if none := w.want(200, "GET", "/api/v1/account/event?to=2020-01-01", waypost.KeyAccount, nil)["list"].([]any); len(none) != 0 {
		t.Errorf("%d events before the installation", len(none))
	}
}

// TestLongTextIsNotListed: a page is refused rather than made of more text
// than memory should hold.
func TestLongTextIsNotListed(t *testing.T) {
	w := newWorld(t)
	for range 8 {
		now := time.Now()
		a := store.Acceptance{Content: waypost.Content{ID: waypost.NewUUID(now), Account: w.account.ID, SubAccount: w.sub.ID, HTML: strings.Repeat("x", 5<<20)}}
		a.Messages = []waypost.Message{{ID: waypost.NewUUID(now), Account: w.account.ID, SubAccount: w.sub.ID, Content: a.Content.ID, Recipient: "a@example.org", SubmittedAt: now}}
		if err := w.store.Accept(t.Context(), &a); err != nil {
			t.Fatal(err)
		}
	}
	if _, param := errorOf(w.want(422, "GET", "/api/v1/account/recipient/a@example.org/messages", waypost.KeyAccount, nil)); param != "limit" {
		t.Errorf("param %s", param)
	}
	if some := w.want(200, "GET", "/api/v1/account/recipient/a%40example.org/messages/?limit=3", waypost.KeyAccount, nil)["list"].([]any); len(some) != 3 {
		t.Errorf("%d messages", len(some))
	}
}

func TestExport(t *testing.T) {
	w := newWorld(t)
	w.mailed(2050, "s") // three pages of the store
	status, header, text := w.call("GET", "/api/v1/account/export/event", waypost.KeyAccount, nil)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if status != 200 || header.Get("Content-Type") != "application/x-ndjson" || len(lines) != 2050 {
		t.Fatalf("%d %v, %d lines", status, header, len(lines))
	}
	seen := map[string]bool{}
	for _, line := range lines {
		var e api.ExportedEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		seen[e.EventID] = true
	}
	if len(seen) != 2050 {
		t.Errorf("%d different events", len(seen))
	}
	_, header, text = w.call("GET", "/api/v1/subaccount/export/event?format=csv&search=r5@example.org", waypost.KeySubAccount, nil)
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 2 || len(rows[0]) != len(rows[1]) || !strings.HasPrefix(header.Get("Content-Type"), "text/csv") {
		t.Fatalf("%v %v %v", err, rows, header)
	}
	for i, name := range rows[0] {
		switch got := rows[1][i]; name {
		case "recipient":
			if got != "r5@example.org" {
				t.Errorf("recipient %q", got)
			}
		case "text":
			if got != "'=1+1" {
				t.Errorf("a formula in the table: %q", got)
			}
		}
	}
	if _, header, text := w.call("GET", "/api/v1/account/export/event?format=csv&to=2020-01-01", waypost.KeyAccount, nil); strings.Count(text, "\n") != 1 || header.Get("Content-Disposition") != `attachment; filename="events.csv"` {
		t.Errorf("an empty export: %q", text)
	}
}

// broken fails after a page.
type broken struct {
	store.Store
	calls int
}

func (b *broken) ListEvents(ctx context.Context, q store.EventQuery) ([]waypost.Event, error) {
	if b.calls++; b.calls > 1 {
		return nil, store.ErrUnavailable
	}
	return b.Store.ListEvents(ctx, q)
}

// TestExportBreaksOff: a file that is cut short does not look whole.
func TestExportBreaksOff(t *testing.T) {
	full := newWorld(t)
	full.mailed(1500, "s")
	a := api.New(api.Config{Store: &broken{Store: full.store}, Log: full.logger()})
	full.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != http.ErrAbortHandler { //nolint:errorlint // the sentinel itself
				t.Errorf("the connection is not broken off: %v", v)
			}
		}()
		a.ServeHTTP(rw, r)
	})
	_, _, text := full.call("GET", "/api/v1/account/export/event", waypost.KeyAccount, nil)
	if n := strings.Count(text, "\n"); n != 1000 {
		t.Errorf("%d lines before the end", n)
	}
}

// TestLastUse: when a key was used is stored when the API stops.
func TestLastUse(t *testing.T) {
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.handler.(*api.API).Run(ctx) }()
	before := time.Now().Add(-time.Second)
	w.want(200, "GET", "/api/v1/account/ippool", waypost.KeyAccount, nil)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	keys, err := w.store.Keys(t.Context(), w.account.ID, waypost.KeyAccount, store.Page{Limit: 10})
	if err != nil || len(keys) != 1 || keys[0].LastUsed.Before(before) {
		t.Errorf("%v %+v", err, keys)
	}
}
