package api_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

const suppressions = "/api/v1/subaccount/suppression"

// days is a range that holds today and more.
func days() string {
	now := time.Now().UTC()
	return "?from=" + now.AddDate(0, 0, -1).Format(time.DateOnly) + "&to=" + now.AddDate(0, 0, 1).Format(time.DateOnly)
}

func TestSuppressionCalls(t *testing.T) {
	w := newWorld(t)
	list := w.want(200, "POST", suppressions, waypost.KeySubAccount, `{
		"spamComplaint":[{"email":"Angry@Reader.example"}], "unsubscribe":[{"email":"left@reader.example"}],
		"manual":[{"email":"legal@reader.example"},{"email":"böse@bücher.example"}], "hardBounce":[{"email":"gone@reader.example"},{"email":"angry@reader.example"}]}`)["list"].([]any)
	var got []string
	for _, entry := range list {
		e := entry.(map[string]any)
		got = append(got, fmt.Sprintf("%v=%v", e["email"], e["reason"]))
		if len(e) != 5 || e["id"] == nil || e["smtp_error"] != "" || e["created"].(float64) < 1e18 {
			t.Errorf("legacy entry %v", e)
		}
	}
	if want := "gone@reader.example=2 angry@reader.example=2 legal@reader.example=0 böse@xn--bcher-kva.example=0 left@reader.example=1"; strings.Join(got, " ") != want {
		t.Errorf("created %v, want %s", got, want)
	}
	again := w.wantV1(200, "POST", suppressions+"/", waypost.KeySubAccount, `{"manual":[{"email":"gone@reader.example"}]}`)["list"].([]any)
	if e := again[0].(map[string]any); len(e) != 7 || e["reason"] != 2.0 || e["reasonText"] != "hard bounce" || e["messageUUID"] != "" {
		t.Errorf("an address that was there: %v", again)
	}
	count := func(path string, want int) {
		t.Helper()
		if n := w.want(200, "GET", path, waypost.KeySubAccount, nil)["count"]; n != float64(want) {
			t.Errorf("%s: %v, want %d", path, n, want)
		}
	}
	count(suppressions+"/count", 5)
	count(suppressions+"/count"+days(), 5)
	count(suppressions+"/count"+days()+"&type=manual,unsubscribe", 3)
	count(suppressions+"/count?from=2001-01-01&to=2001-01-31", 0)
	for query, want := range map[string]int{"": 5, "&limit=2": 2, "&limit=2&offset=4": 1, "&search=READER": 4, "&type=hardBounce": 2, "&type=unsubscribe&search=gone": 0} {
		if l := w.want(200, "GET", suppressions+days()+query, waypost.KeySubAccount, nil)["list"].([]any); len(l) != want {
			t.Errorf("%s: %d entries, want %d: %v", query, len(l), want, l)
		}
	}
	for query, param := range map[string]string{
		"?to=2026-01-01": "from", "?from=2026-01-01": "to", "?from=2026-01-01&to=2026-03-03": "to", "?from=1.1.2026&to=2026-01-01": "from",
		"?from=2026-02-01&to=2026-01-01": "to", "?from=2026-01-01&to=2026-01-02&type=all": "type", "?from=2026-01-01&to=2026-01-02&limit=0": "limit",
	} {
		if _, got := errorOf(w.want(422, "GET", suppressions+query, waypost.KeySubAccount, nil)); got != param {
			t.Errorf("%s: param %q, want %q", query, got, param)
		}
	}
	w.want(200, "GET", suppressions+"?from=2026-01-01&to=2026-03-02", waypost.KeySubAccount, nil) // 60 days apart
	if _, param := errorOf(w.want(422, "POST", suppressions, waypost.KeySubAccount, `{"manual":[{"email":"a@b.example"},{"email":"nobody"}]}`)); param != "manual[1].email" {
		t.Errorf("param %q", param)
	}
	for _, body := range []string{"{}", `{"manual":[]}`} {
		w.want(406, "POST", suppressions, waypost.KeySubAccount, body)
		w.want(406, "DELETE", suppressions, waypost.KeySubAccount, body)
	}
	gone := w.want(200, "DELETE", suppressions, waypost.KeySubAccount, `{"suppressions":[{"email":"LEFT@reader.example"},{"email":"böse@BÜCHER.example"},{"email":"never@reader.example"}]}`)["list"].([]any)
	if len(gone) != 2 || gone[0].(map[string]any)["message"] != "Suppression (left@reader.example) has been deleted successfully" {
		t.Errorf("deleted %v", gone)
	}
	if m := w.wantV1(200, "DELETE", suppressions, waypost.KeySubAccount, `{"suppressions":[{"email":"gone@reader.example"}]}`); len(m) != 1 || m["message"] != "Suppression (gone@reader.example) has been deleted successfully" {
		t.Errorf("deleted in v1: %v", m)
	}
	count(suppressions+"/count", 2)
}

// TestSuppressionExpires holds that an entry counts until its time and no
// longer, when a message is accepted.
func TestSuppressionExpires(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	w.verified("example.com")
	code := func() float64 {
		return w.want(200, "POST", "/api/v1/subaccount/email", waypost.KeySubAccount,
			`{"from":{"email":"x@example.com"},"to":[{"email":"Back@reader.example"}],"subject":"s","textBody":"t"}`)["list"].([]any)[0].(map[string]any)["errorCode"].(float64)
	}
	if code() != 0 {
		t.Fatal("not suppressed, and refused")
	}
	until := time.Now().Add(2 * time.Second)
	e := w.want(200, "POST", suppressions+"/entry", waypost.KeySubAccount, map[string]any{"entries": []any{map[string]any{
		"email": "back@reader.example", "type": "unsubscribe", "text": "asked for a pause", "expires": until,
	}}})["entries"].([]any)[0].(map[string]any)
	if e["type"] != "unsubscribe" || e["text"] != "asked for a pause" || e["messageId"] != "" || e["expires"] == nil {
		t.Errorf("entry %v", e)
	}
	if time.Now().Before(until) && code() != 2 && time.Now().Before(until) {
		t.Error("a suppressed address was accepted")
	}
	for deadline := time.Now().Add(time.Minute); code() != 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the suppression never expires")
		}
	}
	if time.Now().Before(until) {
		t.Error("it expired before its time")
	}
	for field, body := range map[string]string{
		"entries":            `{}`,
		"entries[0].email":   `{"entries":[{"email":"x"}]}`,
		"entries[0].type":    `{"entries":[{"email":"a@b.example","type":"dislike"}]}`,
		"entries[0].expires": `{"entries":[{"email":"a@b.example","expires":"2001-01-01T00:00:00Z"}]}`,
		"entries[0].text":    `{"entries":[{"email":"a@b.example","text":"a\r\nb"}]}`,
	} {
		if _, param := errorOf(w.want(422, "POST", suppressions+"/entry", waypost.KeySubAccount, body)); param != field {
			t.Errorf("%s: param %q", body, param)
		}
	}
}

func TestSuppressionFiles(t *testing.T) {
	w := newWorld(t)
	file, err := os.ReadFile("../suppresslist/testdata/sendgrid-bounces.csv")
	if err != nil {
		t.Fatal(err)
	}
	bad := string(file) + "5.1.1,550 no,not an address,1772371800\n5.1.1,550 no,GONE@reader.example,1772371800\n"
	load := func(query, text string) string {
		t.Helper()
		m := w.want(200, "POST", suppressions+"/import"+query, waypost.KeySubAccount, text)
		return fmt.Sprint(m["format"], m["read"], m["added"], m["known"], m["rejected"], m["dryRun"], len(m["errors"].([]any)))
	}
	if got := load("?dryRun=true", bad); got != "sendgrid4 2 1 1 true 1" {
		t.Errorf("dry run: %s", got)
	}
	if got := load("", bad); got != "sendgrid4 2 1 1 false 1" {
		t.Errorf("import: %s", got)
	}
	if got := load("", bad); got != "sendgrid4 0 3 1 false 1" {
		t.Errorf("import again: %s", got)
	}
	if got := load("?type=spamComplaint", "email\na@reader.example\n"); got != "plain1 1 0 0 false 0" {
		t.Errorf("import of a bare list: %s", got)
	}
	entries := w.want(200, "GET", suppressions+"/entry?limit=2", waypost.KeySubAccount, nil)
	first := entries["entries"].([]any)[0].(map[string]any)
	if first["email"] != "a@reader.example" || first["type"] != "spamComplaint" || entries["next"] == "" {
		t.Errorf("entries %v", entries)
	}
	rest := w.want(200, "GET", suppressions+"/entry?limit=2&before="+entries["next"].(string), waypost.KeySubAccount, nil)
	if l := rest["entries"].([]any); len(l) != 1 || rest["next"] != "" || l[0].(map[string]any)["created"] != "2026-03-01T13:30:00Z" {
		t.Errorf("second page %v", rest)
	}
	_, header, text := w.call("GET", suppressions+"/export", waypost.KeySubAccount, nil)
	if !strings.HasPrefix(header.Get("Content-Type"), "text/csv") || !strings.HasPrefix(text, "email,type,created,expires,text,messageId\na@reader.example,spamComplaint,") || strings.Count(text, "\n") != 4 {
		t.Errorf("export %q %q", header.Get("Content-Type"), text)
	}
	if got := load("", text); got != "waypost3 0 3 0 false 0" {
		t.Errorf("our own export comes back: %s", got)
	}
	for _, file := range []string{"", "name\nx\n", "[{", "\"" + strings.Repeat("x", 1<<20)} {
		w.want(422, "POST", suppressions+"/import", waypost.KeySubAccount, file)
	}
}
