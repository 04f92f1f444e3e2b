package api_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// TestHostileContent sends what is meant to hurt: each is refused with a word
// on why, or carried as it is.
func TestHostileContent(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	w.verified("example.com")
	letter := func(field string, value any) map[string]any {
		b := map[string]any{
			"from": map[string]any{"email": "x@example.com"}, "to": []any{map[string]any{"email": "a@example.org"}}, "subject": "s", "textBody": "t",
		}
		b[field] = value
		return b
	}
	refused := func(path, field string, value any, param, word string) {
		t.Helper()
		message, got := errorOf(w.want(422, "POST", path, waypost.KeySubAccount, letter(field, value)))
		if got != param || !strings.Contains(message, word) {
			t.Errorf("%s: %s: %.200s", field, got, message)
		}
	}
	loop := "{{#each a}}{{#each ../a}}{{#each ../../a}}{{#each ../../../a}}x{{/each}}{{/each}}{{/each}}{{/each}}"
	refused(sendCall, "htmlBody", strings.Repeat("{{#if x}}", 40)+strings.Repeat("{{/if}}", 40), "htmlBody", "line 1, column")
	refused(sendCall, "htmlBody", "a\n{{#each x}}", "htmlBody", "line 2, column 1")
	refused(sendCall, "textBody", strings.Repeat("{{x}} ", 20_000), "textBody", "more than 10000 parts")
	refused(sendCall, "headers", map[string]any{"X-A": "b\nc"}, "headers", "line end")
	refused(sendCall, "headers", map[string]any{"X-A": "b\x00c"}, "headers", "NUL")
	refused(sendCall, "headers", map[string]any{"X-A\r\nBcc": "b"}, "headers", "not allowed")
	refused(sendCall, "from", map[string]any{"email": strings.Repeat("a", 488) + "@example.com"}, "from.email", "254")
	refused(sendCall, "attachments", []any{map[string]any{"filename": "a", "content": "%%%"}}, "attachments[0].content", "base64")
	refused(sendCall, "attachments", []any{map[string]any{"filename": "a", "content": 5}}, "attachments[0].content", "base64")
	refused(sendCall, "attachments", []any{map[string]any{"filename": "a", "content": "", "contentId": "a\r\nb"}}, "attachments[0].contentId", "ASCII")
	refused(sendCall, "htmlBody", strings.Repeat("x", 5<<20+1), "htmlBody", "at most")
	many := make([]int, 200)
	unsigned := map[string]any{"email": "x@other.example"} // the world's verified domain has no key to sign with
	b := letter("htmlBody", loop)
	b["from"] = unsigned
	b["templateVariables"] = map[string]any{"a": many}
	if message, _ := errorOf(w.want(422, "POST", sendCall+"/preview", waypost.KeySubAccount, b)); !strings.Contains(message, "line 1, column") {
		t.Errorf("a loop without end: %s", message)
	}

	carried := func(field string, value any) waypost.Content {
		t.Helper()
		answer := w.want(200, "POST", sendCall, waypost.KeySubAccount, letter(field, value))["list"].([]any)[0].(map[string]any)
		c, _ := w.content(answer["messageId"].(string))
		return c
	}
	html := "<p>" + strings.Repeat("five megabytes ", 349_000) + "</p>"
	if c := carried("htmlBody", html); c.HTML != html {
		t.Error("an HTML body of 5 MB is not carried as it is")
	}
	link := `<a href="https://shop.example/?q=` + strings.Repeat("%41b&amp;", 1024) + `">x</a>`
	if c := carried("htmlBody", link); c.HTML != link {
		t.Error("a link of 8 KB is not carried as it is")
	}
	b = letter("htmlBody", link)
	b["from"] = unsigned
	if p := w.want(200, "POST", sendCall+"/preview", waypost.KeySubAccount, b); p["html"] != link {
		t.Error("a link of 8 KB is not shown as it is")
	}
	name := "Иван 太郎 علي Ελένη Jörg"
	if c := carried("from", map[string]any{"email": "x@example.com", "name": name}); c.From.Name != name {
		t.Errorf("name %q", c.From.Name)
	}
	file := strings.Repeat("é", 251) + ".txt" // 255 characters, 506 bytes
	if c := carried("attachments", []any{map[string]any{"filename": file, "content": ""}}); c.Attachments[0].Filename != file {
		t.Errorf("file name %q", c.Attachments[0].Filename)
	}
	refused(sendCall, "attachments", []any{map[string]any{"filename": "é" + file, "content": ""}}, "attachments[0].filename", "255 characters")
	data := []byte("\x00\xff\r\n.\r\n")
	if c := carried("attachments", []any{map[string]any{"filename": "a", "content": base64.StdEncoding.EncodeToString(data)}}); string(c.Attachments[0].Data) != string(data) {
		t.Errorf("attachment %q", c.Attachments[0].Data)
	}
	for _, to := range []string{strings.Repeat("a", 488) + "@example.org", "a@" + strings.Repeat("b", 500), "a\r\nRCPT TO:<b@c.example>@example.org"} {
		l := w.want(200, "POST", sendCall, waypost.KeySubAccount, letter("to", []any{map[string]any{"email": to}}))["list"].([]any)
		if m := l[0].(map[string]any); m["errorCode"] != 1.0 || !strings.Contains(fmt.Sprint(m["message"]), "not an email address") {
			t.Errorf("%.40q: %v", to, m)
		}
	}
}
