package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// counted stores a message with groups and a category, and some of its events.
func (h *house) counted(day time.Time, box waypost.Mailbox, groups []string, events ...waypost.Event) {
	h.Helper()
	m := waypost.Message{
		ID: waypost.NewUUID(day), Account: h.account.ID, SubAccount: h.sub.ID, Content: waypost.NewUUID(day), Recipient: "a@example.org",
		Provider: 1, Mailbox: box, SubmittedAt: day, Groups: groups,
	}
	a := store.Acceptance{Content: waypost.Content{ID: m.Content, Account: m.Account, SubAccount: m.SubAccount}, Messages: []waypost.Message{m}}
	fill := func(e waypost.Event) waypost.Event {
		e.Account, e.SubAccount, e.Provider, e.Message, e.Recipient, e.At, e.Facets = m.Account, m.SubAccount, 1, m.ID, m.Recipient, day, m.Facets()
		return e
	}
	a.Events = []waypost.Event{fill(waypost.Event{Type: waypost.CSProcessed, Source: waypost.SourceAPI})}
	h.ok(h.store.Accept(h.Context(), &a))
	for _, e := range events {
		first := ""
		if e.Visit != nil {
			first = e.Type.String()
		}
		_, err := h.store.Record(h.Context(), []store.Fact{{Event: fill(e), First: first}})
		h.ok(err)
	}
}

func TestStatistics(t *testing.T) {
	h := newHouse(t)
	first := time.Date(2026, 3, 14, 0, 0, 0, 0, time.UTC)
	last := time.Date(2026, 3, 16, 23, 59, 59, 999e6, time.UTC)
	open := waypost.Event{Type: waypost.CSOpen, Source: waypost.SourceTrack, Visit: &waypost.Visit{}}
	gone := waypost.Event{Type: waypost.CSHardBounced, Source: waypost.SourceAgent, Code: 550}
	later := waypost.Event{Type: waypost.CSSoftBounced, Source: waypost.SourceAgent, Code: 452}
	box := func(name string) waypost.Mailbox { b, _ := waypost.ParseMailbox(name); return b }
	h.counted(first, box("gmail"), []string{"a", "b"}, open, open)
	h.counted(first, box("yahoo"), []string{"a"}, gone)
	h.counted(last, box("gmail"), nil, later)
	h.counted(first.Add(-time.Millisecond), box("gmail"), []string{"a"})
	h.counted(last.Add(time.Millisecond), box("gmail"), []string{"a"})

	get := func(path string) []any {
		t.Helper()
		sep := "?"
		if path[len(path)-1] == '&' {
			sep = ""
		}
		m := h.want(200, "GET", "/api/v1"+path+sep+"from=2026-03-14&to=2026-03-16", waypost.KeyAccount, nil)
		if list, ok := m["list"].([]any); ok {
			return list
		}
		return []any{m}
	}
	numbers := func(v any) string {
		m := v.(map[string]any)
		if s, ok := m["stat"].(map[string]any); ok {
			m = s
		}
		return fmt.Sprintf("%v %v %v %v", m["processed"], m["opened"], m["hardBounced"], m["softBounced"])
	}
	f := func(path string, want ...string) {
		t.Helper()
		got := get(path)
		if len(got) != len(want) {
			t.Errorf("%s: %d lines: %v", path, len(got), got)
			return
		}
		for i := range want {
			if n := numbers(got[i]); n != want[i] {
				t.Errorf("%s, line %d: %s, want %s", path, i, n, want[i])
			}
		}
	}
	sub := fmt.Sprintf("/account/subaccount/stat/%d", h.sub.ID)
	for _, days := range []string{"/account/stat", sub} {
		f(days, "2 2 1 0", "0 0 0 0", "1 0 0 1")
		f(days+"/aggregate", "3 2 1 1")
	}
	f("/account/stat/group?group=a&", "2 2 1 0", "0 0 0 0", "0 0 0 0")
	f("/account/stat/aggregate/group?group=b&", "1 2 0 0")
	f("/account/stat/aggregate/group?group=none&", "0 0 0 0")
	f(sub+"/group?group=a&", "2 2 1 0")
	f("/account/stat/breakdown?by=mailbox&", "2 2 0 1", "1 0 1 0")
	f("/account/stat/breakdown?by=mailbox&key=yahoo&", "1 0 1 0")
	f("/account/stat/breakdown?by=mailbox&perDay=true&", "1 2 0 0", "1 0 1 0", "1 0 0 1")
	f("/account/stat/breakdown?by=total&tpspId=1&", "3 2 1 1")
	f("/account/stat/breakdown?by=total&tpspId=2&")
	f("/account/stat/breakdown?by=group&", "2 2 1 0", "1 2 0 0")
	f("/account/stat/breakdown?by=subaccount&", "3 2 1 1")
	row := get("/account/stat/breakdown?by=provider&")[0].(map[string]any)
	if stat := row["stat"].(map[string]any); row["name"] != "mta1" || stat["uniqueOpened"] != 1.0 || stat["opened"] != 2.0 {
		t.Errorf("by provider: %v", row)
	}
	part := fmt.Sprintf("/account/smtp/stat/subaccount/%d", h.sub.ID)
	all := fmt.Sprint(get("/account/smtp/stat"))
	for _, path := range []string{
		part, part + "/ip/1", part + "/provider/mta1", part + "/provider/1", "/account/smtp/stat/ip/1", "/account/smtp/stat/ip/1/provider/mta1",
		fmt.Sprintf("/account/smtp/stat/ip/1/subaccount/%d", h.sub.ID),
	} {
		if codes := fmt.Sprint(get(path + "/aggregate/")); codes != all {
			t.Errorf("%s: %s, want %s", path, codes, all)
		}
	}
	if all, none := fmt.Sprint(get("/account/smtp/stat?mailboxCategory=zoho&")), fmt.Sprint(get(part+"/provider/zoho/aggregate")); all != "[]" || none != "[]" {
		t.Errorf("a category without mail: %s, %s", all, none)
	}
	gmail, yahoo := get("/account/smtp/stat?mailboxCategory=gmail&"), get(part+"/provider/yahoo/aggregate")
	if len(gmail)+len(yahoo) != 2 || fmt.Sprint(gmail) != fmt.Sprint(get("/account/smtp/stat/ip/1/provider/gmail/aggregate")) ||
		fmt.Sprint(gmail) != fmt.Sprint(get("/account/smtp/stat?tpspId=1&mailboxCategory=gmail&")) {
		t.Errorf("codes of gmail %v, of yahoo %v", gmail, yahoo)
	}
	h.want(400, "GET", "/api/v1/account/smtp/stat?mailboxCategory=moon&from=2026-03-14&to=2026-03-16", waypost.KeyAccount, nil)
	for _, path := range []string{"/subaccount/99", "/ip/2", part[len("/account/smtp/stat"):] + "/ip/2", "/ip/1/provider/nobody", "/ip/1/provider/99", "/ip/1/subaccount/99"} {
		h.want(404, "GET", "/api/v1/account/smtp/stat"+path+"/aggregate?from=2026-03-14&to=2026-03-16", waypost.KeyAccount, nil)
	}
	if codes := get("/account/smtp/stat"); len(codes) != 2 || codes[0].(map[string]any)["smtpCode"] != 452.0 || codes[1].(map[string]any)["count"] != 1.0 {
		t.Errorf("codes %v", codes)
	}
}
