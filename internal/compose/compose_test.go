package compose

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	msgauth "github.com/emersion/go-msgauth/dkim"
	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose/merge"
)

var update = flag.Bool("update", false, "rewrite the golden messages")

// TestGolden compares every shape, octet for octet, with its file, which has
// LF line ends to be readable.
func TestGolden(t *testing.T) {
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			got := s.compose(t).Bytes()
			checkLines(t, got)
			path := filepath.Join("testdata", s.name+".eml")
			if *update {
				if err := os.WriteFile(path, bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), strings.ReplaceAll(string(got), "\r\n", "\n")); diff != "" {
				t.Errorf("message differs from %s (-want +got):\n%s", path, diff)
			}
		})
	}
}

// checkLines holds for every message: CRLF only, at most 998 octets a line,
// 76 in the body, no NUL, and eight-bit octets nowhere in the body.
func checkLines(t interface {
	Helper()
	Errorf(string, ...any)
}, message []byte,
) {
	t.Helper()
	if !bytes.HasSuffix(message, crlf) {
		t.Errorf("the message does not end with CRLF")
	}
	body := false
	for line := range strings.SplitSeq(string(message), "\r\n") {
		if strings.ContainsAny(line, "\r\n\x00") {
			t.Errorf("bare CR, LF or NUL in %q", line)
		}
		if len(line) > 998 || body && len(line) > 76 && !strings.HasPrefix(line, "Content-") {
			t.Errorf("line of %d octets: %.100q", len(line), line)
		}
		if body && !ascii(line) {
			t.Errorf("eight-bit octets in the body: %q", line)
		}
		body = body || line == ""
	}
}

func TestSignatureVerifies(t *testing.T) {
	signer := testOptions(t).Signers[0]
	lookup := func(name string) ([]string, error) {
		if name != "sp-dkim._domainkey.shop.example" {
			return nil, errors.New("no such name: " + name)
		}
		return []string{signer.Key.Record()}, nil
	}
	for _, s := range shapes() {
		found, err := msgauth.VerifyWithOptions(bytes.NewReader(s.compose(t).Bytes()), &msgauth.VerifyOptions{LookupTXT: lookup})
		if err != nil || len(found) != 1 || found[0].Err != nil {
			t.Errorf("%s: %v %+v", s.name, err, found)
		}
	}
}

func TestSigned(t *testing.T) {
	byName := map[string]Signed{}
	for _, s := range shapes() {
		byName[s.name] = s.compose(t)
	}
	if byName["scripts"].EightBit() || !byName["smtputf8"].EightBit() {
		t.Error("only a mailbox with a local part beyond ASCII needs SMTPUTF8")
	}
	if got := byName["scripts"].Envelope().Recipient; got != "joerg@xn--bcher-kva.example" {
		t.Errorf("recipient %q", got)
	}
	if got := byName["smtputf8"].Envelope().Recipient; got != "用户@例え.example" {
		t.Errorf("recipient %q", got)
	}
	want := "bounces+" + testID.String() + "+42@sp-bounce.shop.example"
	if got := byName["text"].Envelope().ReturnPath.String(); got != want {
		t.Errorf("return path %q, want %q", got, want)
	}
	c := waypost.Content{From: shop, Text: "x"}
	p, err := Prepare(&c)
	if err != nil {
		t.Fatal(err)
	}
	m, o := testMessage(), testOptions(t)
	o.Separator = '='
	signed, err := p.Message(&m, o)
	if err != nil {
		t.Fatal(err)
	}
	if got := signed.Envelope().ReturnPath.String(); got != strings.ReplaceAll(want, "+", "=") {
		t.Errorf("return path %q", got)
	}
	b := byName["text"].Bytes()
	if cap(b) != len(b) {
		t.Error("an append to Bytes would write behind the message")
	}
}

func TestDeterministic(t *testing.T) {
	for _, s := range shapes() {
		if a, b := s.compose(t), s.compose(t); !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%s: two messages from the same input differ", s.name)
		}
	}
}

// TestShared: many goroutines use one Prepared.
func TestShared(t *testing.T) {
	for _, s := range shapes() {
		p, err := Prepare(&s.content)
		if err != nil {
			t.Fatal(err)
		}
		m, o := testMessage(), s.options(t)
		if s.message != nil {
			s.message(&m)
		}
		want := s.compose(t).Bytes()
		var work sync.WaitGroup
		for range 8 {
			work.Go(func() {
				if got, err := p.Message(&m, o); err != nil || !bytes.Equal(got.Bytes(), want) {
					t.Errorf("%s: %v, or another message", s.name, err)
				}
			})
		}
		work.Wait()
	}
}

func TestSize(t *testing.T) {
	c := waypost.Content{
		From: shop, Text: strings.Repeat("x", 1000), Attachments: []waypost.Attachment{{Data: make([]byte, 30_000)}},
		Variables: map[string]any{"list": []any{strings.Repeat("y", 5000)}},
	}
	p, err := Prepare(&c)
	if err != nil {
		t.Fatal(err)
	}
	if n := p.Size(); n < 46_000 || n > 60_000 {
		t.Errorf("%d bytes", n)
	}
}

func TestScopes(t *testing.T) {
	c := waypost.Content{
		From: shop, Subject: "{{a}} {{b}} {{c}}.", Text: "x", Variables: map[string]any{"a": "call", "b": "call"},
		Headers: []waypost.Header{{Name: "x-other-TPSP-id", Value: "forged"}, {Name: "Reply-To", Value: `"B, A" <a@b.example>, c@d.example`}},
	}
	p, err := Prepare(&c)
	if err != nil {
		t.Fatal(err)
	}
	m := testMessage()
	m.Variables = []byte(`{"a":"recipient\r\nBcc: evil@example.com\u0000"}`)
	o := testOptions(t)
	o.Signers, o.HeaderPrefix = nil, "X-Other-"
	signed, err := p.Message(&m, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\r\nReply-To: \"B, A\" <a@b.example>, c@d.example\r\nSubject: recipientBcc: evil@example.com call .\r\n", "\r\nX-Other-Account-ID: 7\r\n",
	} {
		if !bytes.Contains(signed.Bytes(), []byte(want)) {
			t.Errorf("no %q in\n%s", want, signed.Bytes())
		}
	}
	if bytes.Contains(signed.Bytes(), []byte("DKIM-Signature")) || bytes.Contains(signed.Bytes(), []byte("X-Sendpost")) || bytes.Contains(signed.Bytes(), []byte("forged")) {
		t.Errorf("unwanted fields in\n%s", signed.Bytes())
	}
}

func TestPrepareErrors(t *testing.T) {
	for _, tc := range []struct {
		content waypost.Content
		want    TemplateError
	}{
		{waypost.Content{From: shop, Subject: "a {{b"}, TemplateError{Part: "subject", Line: 1, Column: 3}},
		{waypost.Content{From: shop, HTML: "<p>\n{{#if a}}"}, TemplateError{Part: "htmlBody", Line: 2, Column: 1}},
		{waypost.Content{From: shop, Text: "é{{/if}}"}, TemplateError{Part: "textBody", Line: 1, Column: 2}},
		{waypost.Content{From: shop, PreText: "{{> x}}"}, TemplateError{Part: "preText", Line: 1, Column: 1}},
	} {
		_, err := Prepare(&tc.content)
		var got *TemplateError
		if !errors.As(err, &got) || got.Msg == "" {
			t.Errorf("%+v: %v", tc.want, err)
			continue
		}
		tc.want.Msg = got.Msg
		if *got != tc.want {
			t.Errorf("got %+v, want %+v", got, tc.want)
		}
	}
	if _, err := Prepare(&waypost.Content{From: waypost.Address{Email: "x\r\n@y"}}); !errors.Is(err, waypost.ErrEmail) {
		t.Errorf("hostile From: %v", err)
	}
	var h *HeaderError
	bad := waypost.Content{From: shop, HTML: "x", Attachments: []waypost.Attachment{{ContentID: "a>\r\nBcc: x"}}}
	if _, err := Prepare(&bad); !errors.As(err, &h) || h.Name != "Content-ID" {
		t.Errorf("hostile Content-ID: %v", err)
	}
}

func TestMessageErrors(t *testing.T) {
	p, err := Prepare(&waypost.Content{From: shop, Subject: "{{x}}", Text: "{{#each l}}{{#each ../l}}{{#each ../../l}}{{#each ../../../l}}a{{/each}}{{/each}}{{/each}}{{/each}}"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*waypost.Message, *Options)
		want   error
	}{
		"variables no object": {func(m *waypost.Message, _ *Options) { m.Variables = []byte(`[1]`) }, nil},
		"variables cut":       {func(m *waypost.Message, _ *Options) { m.Variables = []byte(`{"a":`) }, nil},
		"two objects":         {func(m *waypost.Message, _ *Options) { m.Variables = []byte(`{} {}`) }, nil},
		"recipient":           {func(m *waypost.Message, _ *Options) { m.Recipient = "a@b.example>\r\nDATA" }, waypost.ErrEmail},
		"To":                  {func(m *waypost.Message, _ *Options) { m.To.Email = "a b@c.example" }, waypost.ErrEmail},
		"Cc":                  {func(m *waypost.Message, _ *Options) { m.Cc = []waypost.Address{{Email: "none"}} }, waypost.ErrEmail},
		"sender domain":       {func(_ *waypost.Message, o *Options) { o.SenderDomain = "x\r\ny" }, waypost.ErrEmail},
		"prefix":              {func(_ *waypost.Message, o *Options) { o.HeaderPrefix = "X: y\r\n" }, nil},
		"no time":             {func(_ *waypost.Message, o *Options) { o.Now = o.Now.AddDate(-100, 0, 0) }, nil},
		"budget": {func(m *waypost.Message, _ *Options) {
			m.Variables = []byte(`{"l":[` + strings.Repeat("1,", 99) + `1]}`)
		}, merge.ErrBudget},
	} {
		m, o := testMessage(), testOptions(t)
		tc.change(&m, &o)
		signed, err := p.Message(&m, o)
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) || len(signed.Bytes()) != 0 {
			t.Errorf("%s: %v, %d bytes", name, err, len(signed.Bytes()))
		}
	}
}

// A variable cannot make a subject that relays cut off (D-4): the bound holds
// for what comes out of the merge, in characters.
func TestMergedSubjectIsBounded(t *testing.T) {
	p, err := Prepare(&waypost.Content{From: shop, Subject: "é{{x}}", Text: "t"})
	if err != nil {
		t.Fatal(err)
	}
	for n, fits := range map[int]bool{997: true, 998: false} {
		m, o := testMessage(), testOptions(t)
		m.Variables = []byte(`{"x":"` + strings.Repeat("é", n) + `"}`)
		_, err := p.Message(&m, o)
		if (err == nil) != fits {
			t.Errorf("%d characters: %v", n+1, err)
		}
		if err != nil && !strings.Contains(err.Error(), "subject: 999 characters") {
			t.Errorf("%v does not say what is too long", err)
		}
	}
}

func TestCheckHeaders(t *testing.T) {
	for _, h := range []waypost.Header{
		{Name: "X-Ok", Value: "value\twith tab"},
		{Name: "X-Ünicode", Value: ""},
		{Name: "X-A", Value: "a\r\nBcc: b@c.example"},
		{Name: "X-A", Value: "a\nb"},
		{Name: "X-A", Value: "a\rb"},
		{Name: "X-A", Value: "a\x00"},
		{Name: "X-A", Value: "\x1b[1m"},
		{Name: ""},
		{Name: "X A"},
		{Name: "X:A"},
		{Name: "X\r\nY"},
		{Name: strings.Repeat("x", 77)},
		{Name: "X-A", Value: strings.Repeat("x", MaxHeaderValue+1)},
		{Name: "from"},
		{Name: "TO"},
		{Name: "Subject"},
		{Name: "cc"},
		{Name: "BCC"},
		{Name: "Sender"},
		{Name: "Return-Path"},
		{Name: "DKIM-signature"},
		{Name: "received"},
		{Name: "Date"},
		{Name: "MIME-Version"},
		{Name: "Content-Type"},
		{Name: "Content-Foo"},
		{Name: "Resent-To"},
		{Name: "ARC-Seal"},
		{Name: "x-sendpost-message-uuid", Value: "1"},
		{Name: "Message-ID", Value: "no brackets"},
		{Name: "Message-ID", Value: "<a b@c>"},
		{Name: "Message-ID", Value: "<é@c>"},
		{Name: "Message-ID", Value: "<@c>"},
		{Name: "Reply-To", Value: "nobody"},
		{Name: "Reply-To", Value: "a@b"},
	} {
		err := CheckHeaders([]waypost.Header{h})
		var he *HeaderError
		if h.Name == "X-Ok" {
			if err != nil {
				t.Error(err)
			}
		} else if !errors.As(err, &he) || he.Why == "" {
			t.Errorf("%q: %q passed: %v", h.Name, h.Value, err)
		}
	}
	two := []waypost.Header{{Name: "Message-ID", Value: "<a@b.example>"}, {Name: "message-id", Value: "<a@b.example>"}}
	if CheckHeaders(two) == nil || CheckHeaders(two[:1]) != nil {
		t.Error("Message-ID may be given once")
	}
	if err := CheckHeaders([]waypost.Header{{Name: "Reply-To", Value: `"A, B" <a@b.example>, c@d.example`}}); err != nil {
		t.Error(err)
	}
}

func TestPreheaderPlace(t *testing.T) {
	for doc, want := range map[string]string{
		"":                                   "|",
		"<p>x":                               "|<p>x",
		"<!doctype html><p>x":                "<!doctype html>|<p>x",
		"<HTML><Body bgcolor='>'>x":          "<HTML><Body bgcolor='>'>|x",
		"<head><title><body></title></head>": "<head><title><body></title></head>|",
		"<!-- <body> --><body\n id=1>x":      "<!-- <body> --><body\n id=1>|x",
		"<script>'<body>'</script>x<body>y":  "<script>'<body>'</script>x<body>|y",
		"<body":                              "|<body",
		"\xff\x00\r\n<body>\xfe":             "\xff\x00\r\n<body>|\xfe",
	} {
		at := layoutOf([]byte(doc), true).preheader
		if got := doc[:at] + "|" + doc[at:]; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestContentType(t *testing.T) {
	for _, tc := range []struct{ name, given, data, want string }{
		{"a.pdf", "", "", "application/pdf"},
		{"A.PDF", "image/png", "", "image/png"},
		{"a.pdf", "nonsense", "", "application/pdf"},
		{"a.pdf", "text/x\r\ny", "", "application/pdf"},
		{"noext", "", "\x89PNG\r\n\x1a\n", "image/png"},
		{"noext", "", "<html>", "text/html"},
		{"", "", "\x00\x01", "application/octet-stream"},
		{"a.eml", "message/rfc822", "", "application/octet-stream"},
		{"a", "multipart/mixed; boundary=x", "", "application/octet-stream"},
		{"a", strings.Repeat("x", 200) + "/y", "plain", "text/plain"},
	} {
		got, _ := contentType(&waypost.Attachment{Filename: tc.name, ContentType: tc.given, Data: []byte(tc.data)})
		if got != tc.want {
			t.Errorf("%q %q: %q, want %q", tc.name, tc.given, got, tc.want)
		}
	}
	for extension, media := range byExtension {
		if extension != strings.ToLower(extension) || !mediaType(media) {
			t.Errorf("%q: %q", extension, media)
		}
	}
}
