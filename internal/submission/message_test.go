package submission

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
)

const full = `From: a@example.com
To: undisclosed-recipients:;
Subject: parts
Content-Type: multipart/mixed; boundary=m

--m
Content-Type: multipart/alternative; boundary=a

--a
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe
--a
Content-Type: multipart/related; boundary=r

--r
Content-Type: text/html; charset=utf-8

<p>Hello <img src="cid:logo@x">
--r
Content-Type: image/png
Content-ID: <logo@x>
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--r--
--a--
--m
Content-Type: text/csv; charset=iso-8859-1; name="list.csv"
Content-Disposition: attachment; filename*=utf-8''l%C3%AFste.csv
Content-Transfer-Encoding: base64
Content-ID: <unused@x>

/A==
--m--
`

func TestParts(t *testing.T) {
	s, err := read([]byte(strings.ReplaceAll(full, "\n", "\r\n")), []string{"b@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	c := &s.Content
	if strings.TrimSpace(c.Text) != "Grüße" || !strings.Contains(c.HTML, "cid:logo@x") || len(c.Attachments) != 2 {
		t.Fatalf("the content is %+v", c)
	}
	logo, list := c.Attachments[0], c.Attachments[1]
	if logo.ContentID != "logo@x" || logo.ContentType != "image/png" || string(logo.Data) != "\x89PNG\r\n\x1a\n" {
		t.Errorf("the picture is %+v", logo)
	}
	if list.Filename != "lïste.csv" || list.ContentID != "" || string(list.Data) != "\xfc" || !strings.Contains(list.ContentType, "iso-8859-1") {
		t.Errorf("the list is %+v: its bytes and character set must stay", list)
	}
	if to := s.To[0].Shown.To.Email; to != "b@example.org" {
		t.Errorf("without a To it shows %q", to)
	}
}

// TestKept refuses what a change would break.
func TestKept(t *testing.T) {
	multi := func(kind, parts string) string {
		return "From: a@example.com\nContent-Type: multipart/" + kind + "; boundary=x\n\n" + parts + "--x--\n"
	}
	text := "--x\n\nhello\n"
	for name, m := range map[string]string{
		"two texts":          multi("mixed", text+text),
		"two plain":          multi("alternative", text+text),
		"an invitation":      multi("alternative", text+"--x\nContent-Type: text/calendar\n\nBEGIN\n"),
		"a mail in the mail": multi("mixed", text+"--x\nContent-Type: message/rfc822\n\nSubject: x\n\ny\n"),
		"PGP":                multi("encrypted", text),
		"S/MIME":             "From: a@example.com\nContent-Type: application/pkcs7-mime\n\nx\n",
		"a report":           multi("report", text),
		"unknown encoding":   "From: a@example.com\nContent-Transfer-Encoding: x-uuencode\n\nx\n",
		"deep":               "From: a@example.com\n" + strings.Repeat("Content-Type: multipart/mixed; boundary=x\n\n--x\n", 12) + "\nhello\n",
	} {
		_, err := read([]byte(strings.ReplaceAll(m, "\n", "\r\n")), []string{"b@example.org"})
		if r, ok := errors.AsType[*gosmtp.SMTPError](err); !ok || r.Code != 554 {
			t.Errorf("%s: %v, want 554", name, err)
		}
	}
}

func TestSubmissionUser(t *testing.T) {
	for in, want := range map[string]waypost.SubmissionUser{
		"shop@7.sendpost.io": {Name: "shop", SubAccount: 7}, "Shop@7.Mail.Example": {Name: "shop", SubAccount: 7}, "a.b@12": {Name: "a.b", SubAccount: 12},
		"shop@7.other.example": {}, "shop": {}, "shop@": {}, "shop@x.sendpost.io": {}, "@7.sendpost.io": {}, "a b@7": {}, "a@-7": {}, "a@+7": {}, "a@99999999999": {},
	} {
		got, ok := waypost.ParseSubmissionUser(in, "mail.example")
		if ok != (want != waypost.SubmissionUser{}) || ok && got != want {
			t.Errorf("%q: %+v, %t", in, got, ok)
		}
	}
}

// FuzzRead reads anything: what comes out can be composed, and no field has a
// line end in it.
func FuzzRead(f *testing.F) {
	f.Add([]byte(strings.ReplaceAll(full, "\n", "\r\n")))
	f.Add([]byte("From: a@example.com\r\nSubject: =?utf-8?q?a=0Ab?=\r\n\r\nhello"))
	f.Add([]byte("From: =?x?q?=0d?= <a@example.com>\r\nTo: g: a@b.c;\r\nContent-Type: multipart/mixed\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := read(raw, []string{"b@example.org"})
		if err != nil {
			r, ok := errors.AsType[*gosmtp.SMTPError](err)
			if !ok || r.Code < 500 || strings.ContainsAny(r.Message, "\r\n") {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		c := &s.Content
		if err := compose.CheckHeaders(c.Headers); err != nil {
			t.Fatal(err)
		}
		if waypost.CheckEmail(c.From.Email) != nil || !utf8.ValidString(c.Text) || !utf8.ValidString(c.HTML) || strings.ContainsAny(c.From.Name, "\r\n\x00") {
			t.Fatalf("the content is %+v", c)
		}
	})
}
