package compose

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/waypost-mail/waypost"
)

// value makes arbitrary text without the braces that would be a template.
func value(chars string, most int) *rapid.Generator[string] {
	return rapid.Map(rapid.OneOf(
		rapid.StringN(-1, most, -1),
		rapid.StringOfN(rapid.SampledFrom([]rune(chars)), -1, most, -1),
	), func(s string) string { return strings.ReplaceAll(s, "{", "") })
}

// shown is how a name or subject is read back: control characters are blanks.
func shown(s string) string { return clean(s) }

// TestRoundTrip: whatever text, HTML, subject and names are given, a reader
// shows the same.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		header := value("ab  =?_\",\\()<>@.éяшб漢🎉\t\r\n\x00", 200)
		body := value("ab c.=-_\t\r\nF\x00é漢", 600)
		name := rapid.Map(header, func(s string) string { return strings.TrimSpace(shown(s)) })
		c := waypost.Content{
			From: waypost.Address{Name: name.Draw(t, "from"), Email: "news@shop.example"}, Subject: header.Draw(t, "subject"),
			Text: body.Draw(t, "text"), HTML: body.Draw(t, "html"), AMP: body.Draw(t, "amp"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "files") {
			c.Attachments = append(c.Attachments, waypost.Attachment{
				Filename:  strings.TrimSpace(shown(header.Draw(t, "filename"))),
				ContentID: rapid.SampledFrom([]string{"", "id@x"}).Draw(t, "id"),
				Data:      rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "data"),
			})
		}
		m := testMessage()
		m.To.Name = name.Draw(t, "to")
		for range rapid.IntRange(0, 4).Draw(t, "cc") {
			m.Cc = append(m.Cc, waypost.Address{Name: name.Draw(t, "cc name"), Email: "c@reader.example"})
		}
		p, err := Prepare(&c)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := p.Message(&m, Options{SenderDomain: "shop.example", Now: testTime})
		if err != nil {
			t.Fatal(err)
		}
		checkLines(t, signed.Bytes())
		got, err := readGo(signed.Bytes())
		if err != nil {
			t.Fatalf("%v in\n%s", err, signed.Bytes())
		}
		subject := shown(strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(c.Subject))
		if got.Subject != subject {
			t.Errorf("subject %q, want %q", got.Subject, subject)
		}
		if diff := cmp.Diff([][][2]string{pairs(c.From), pairs(m.To), pairs(m.Cc...)}, [][][2]string{got.From, got.To, got.Cc}); diff != "" {
			t.Errorf("addresses (-want +got):\n%s\n%s", diff, signed.Bytes())
		}
		compareParts(t, &c, got.Parts)
	})
}

func compareParts(t *rapid.T, c *waypost.Content, parts []seenPart) {
	var want, got []string
	for _, text := range []string{c.Text, c.AMP, c.HTML} {
		if text != "" {
			want = append(want, string(canonical([]byte(text))))
		}
	}
	for _, inline := range []bool{true, false} {
		for _, a := range c.Attachments {
			if inline == (a.ContentID != "" && c.HTML != "") {
				want = append(want, a.Filename+"\n"+string(a.Data))
			}
		}
	}
	for _, p := range parts {
		switch {
		case strings.HasPrefix(p.Type, "multipart/"):
		case p.Disposition != "":
			got = append(got, p.Filename+"\n"+string(p.Data))
		default:
			got = append(got, string(p.Data))
		}
	}
	if len(want) == 0 {
		want = []string{""}
	}
	if c.Text == "" && c.HTML == "" && c.AMP == "" && len(c.Attachments) > 0 {
		want = slices.Insert(want, 0, "")
	}
	if len(parts) == 1 { // one part: its end is the message's
		got[0], want[0] = strings.TrimSuffix(got[0], "\r\n"), strings.TrimSuffix(want[0], "\r\n")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

// FuzzMessage: no input breaks the form of a message or forges a field.
func FuzzMessage(f *testing.F) {
	f.Add("Hi {{name}}", "<body>{{#if a}}x{{/if}}", "text {{b}}", "pre", "Name", "X-A", "value", "file.txt", []byte(`{"name":"x\r\nBcc: y"}`))
	f.Add("=?utf-8?q?x?=", "<!--", "From x\r\n.\r\n--=_", "{{p}}", "\"q\\", "List-Unsubscribe", "<https://x>", "é\r\n.pdf", []byte(`{"a":[1,{"b":null}]}`))
	f.Add("\xff\xfe", "\x00", "\r", "\n", "漢,字", "Message-ID", "<a@b>", "", []byte(``))
	f.Fuzz(func(t *testing.T, subject, html, text, pre, name, header, value, filename string, variables []byte) {
		c := waypost.Content{
			From: waypost.Address{Name: name, Email: "news@shop.example"}, Subject: subject, HTML: html, Text: text, PreText: pre,
			Headers:     []waypost.Header{{Name: header, Value: value}},
			Attachments: []waypost.Attachment{{Filename: filename, ContentType: value, ContentID: header, Data: variables}},
		}
		p, err := Prepare(&c)
		if err != nil {
			return
		}
		m := testMessage()
		m.Variables, m.To.Name = variables, name
		signed, err := p.Message(&m, Options{SenderDomain: "shop.example", Now: testTime})
		if err != nil {
			return
		}
		if !json.Valid(variables) && len(variables) > 0 && !p.static {
			t.Errorf("variables %q passed", variables)
		}
		b := signed.Bytes()
		checkLines(t, b)
		if !utf8.Valid(b) {
			t.Error("not UTF-8")
		}
		head, _, _ := bytes.Cut(b, []byte("\r\n\r\n"))
		for line := range bytes.SplitSeq(head, crlf) {
			lower := bytes.ToLower(line)
			if bytes.HasPrefix(lower, []byte("bcc:")) || len(bytes.TrimSpace(line)) == 0 || !ascii(string(line)) {
				t.Errorf("header line %q in\n%s", line, head)
			}
		}
		if got, err := readGo(b); err != nil || len(got.Parts) == 0 {
			t.Errorf("%v in\n%s", err, b)
		}
	})
}
