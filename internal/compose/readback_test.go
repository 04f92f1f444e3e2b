package compose

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"
	"github.com/emersion/go-message/mail"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/idna"

	"github.com/waypost-mail/waypost"
)

// seen is a message as a mail reader shows it.
type seen struct {
	Names                 []string
	From, To, Cc, ReplyTo [][2]string
	Subject, MessageID    string
	Parts                 []seenPart
	Defects               []string
}

type seenPart struct {
	Type, Disposition, Filename, ID string
	Data                            []byte
}

// expected is what a reader must show of a shape. Text parts are taken from
// the templates, so that only the way into MIME and back is under test.
func expected(t *testing.T, s *shape) seen {
	t.Helper()
	m := testMessage()
	if s.message != nil {
		s.message(&m)
	}
	p, err := Prepare(&s.content)
	if err != nil {
		t.Fatal(err)
	}
	o := s.options(t)
	r, err := p.merge(&m, unsubscribeURL(&m, &o))
	if err != nil {
		t.Fatal(err)
	}
	p.follow(&r, &m, &o)
	want := seen{
		From: pairs(s.content.From), To: pairs(m.To), Cc: pairs(m.Cc...), Subject: string(r.subject),
		MessageID: "<" + m.ID.String() + "@sp-bounce.shop.example>",
	}
	if s.content.ReplyTo.Email != "" {
		want.ReplyTo = pairs(s.content.ReplyTo)
	}
	for _, h := range s.content.Headers {
		if h.Name == "Message-ID" {
			want.MessageID = h.Value
		}
	}
	files := s.content.Attachments
	for i, media := range s.types {
		part := seenPart{Type: media}
		switch {
		case strings.HasPrefix(media, "multipart/"):
		case media == "text/plain" && i < 3:
			part.Data = canonical(r.text)
		case media == "text/html":
			part.Data = canonical(r.html)
		case media == "text/x-amp-html":
			part.Data = canonical([]byte(s.content.AMP))
		default:
			part.Data, part.Filename, part.Disposition = files[0].Data, files[0].Filename, "attachment"
			if files[0].ContentID != "" {
				part.Disposition, part.ID = "inline", "<"+files[0].ContentID+">"
			}
			files = files[1:]
		}
		want.Parts = append(want.Parts, part)
	}
	return want
}

func pairs(list ...waypost.Address) [][2]string {
	var out [][2]string
	for _, a := range list {
		email := a.Email
		if at := strings.LastIndexByte(email, '@'); ascii(email[:at]) {
			domain, _ := idna.Lookup.ToASCII(email[at+1:])
			email = email[:at+1] + domain
		}
		out = append(out, [2]string{a.Name, email})
	}
	return out
}

// unsent takes away what reading adds: the CRLF that ends a message of one
// part, and how nothing is represented.
func (s seen) unsent() seen {
	s.Names = nil
	if len(s.Parts) == 1 {
		s.Parts[0].Data = bytes.TrimSuffix(s.Parts[0].Data, crlf)
	}
	for i := range s.Parts {
		s.Parts[i].Data = append([]byte{}, s.Parts[i].Data...)
	}
	for _, list := range []*[][2]string{&s.From, &s.To, &s.Cc, &s.ReplyTo} {
		*list = append([][2]string{}, *list...)
	}
	s.Defects = append([]string{}, s.Defects...)
	return s
}

func TestReadByPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	dir, args := t.TempDir(), []string{"testdata/read.py"}
	for _, s := range shapes() {
		args = append(args, filepath.Join(dir, s.name))
		if err := os.WriteFile(args[len(args)-1], s.compose(t).Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), python, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var all []seen
	if err := json.Unmarshal(out, &all); err != nil || len(all) != len(shapes()) {
		t.Fatalf("%d messages: %v", len(all), err)
	}
	for i, s := range shapes() {
		got := all[i]
		if s.name == "smtputf8" { // the policy reads ASCII mailboxes only
			got.To, got.Defects = pairs(waypost.Address{Name: "用户", Email: "用户@例え.example"}), nil
		}
		if diff := cmp.Diff(expected(t, &s).unsent(), got.unsent()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.name, diff)
		}
		checkOrder(t, got.Names)
	}
}

// checkOrder compares the fields of ours with their fixed order.
func checkOrder(t *testing.T, names []string) {
	t.Helper()
	order := []string{
		"DKIM-Signature", "Date", "From", "To", "Cc", "Reply-To", "Subject", "Message-ID", "MIME-Version",
		"X-Sendpost-Message-UUID", "X-Sendpost-Account-ID", "X-Sendpost-SubAccount-ID", "X-Sendpost-TPSP-ID", "X-Sendpost-TPSP-Type",
	}
	last := -1
	for i, name := range names {
		at := slices.Index(order, name)
		if at < 0 && strings.HasPrefix(name, "Content-") && i < len(names)-2 {
			t.Errorf("%s before the end of %v", name, names)
		}
		if at >= 0 && at <= last {
			t.Errorf("%s out of order in %v", name, names)
		}
		last = max(last, at)
	}
}

// readGo reads a message with go-message.
func readGo(text []byte) (seen, error) {
	entity, err := message.Read(bytes.NewReader(text))
	if err != nil {
		return seen{}, err
	}
	h := mail.Header{Header: entity.Header}
	var got seen
	for name, to := range map[string]*[][2]string{"From": &got.From, "To": &got.To, "Cc": &got.Cc, "Reply-To": &got.ReplyTo} {
		list, err := h.AddressList(name)
		if err != nil {
			return got, err
		}
		for _, a := range list {
			*to = append(*to, [2]string{a.Name, a.Address})
		}
	}
	if got.Subject, err = h.Subject(); err != nil {
		return got, err
	}
	got.MessageID = h.Get("Message-ID")
	err = entity.Walk(func(_ []int, e *message.Entity, err error) error {
		if err != nil {
			return err
		}
		var part seenPart
		if part.Type, _, err = e.Header.ContentType(); err != nil {
			return err
		}
		if !strings.HasPrefix(part.Type, "multipart/") {
			a := mail.AttachmentHeader{Header: e.Header}
			if part.Filename, err = a.Filename(); err != nil {
				return err
			}
			if e.Header.Get("Content-Disposition") != "" {
				if part.Disposition, _, err = e.Header.ContentDisposition(); err != nil {
					return err
				}
			}
			part.ID = e.Header.Get("Content-ID")
			if part.Data, err = io.ReadAll(e.Body); err != nil {
				return err
			}
		}
		got.Parts = append(got.Parts, part)
		return nil
	})
	return got, err
}

func TestReadByGo(t *testing.T) {
	for _, s := range shapes() {
		got, err := readGo(s.compose(t).Bytes())
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		if diff := cmp.Diff(expected(t, &s).unsent(), got.unsent()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.name, diff)
		}
	}
}

func TestVerifiedByOpenDKIM(t *testing.T) {
	program, err := exec.LookPath("opendkim")
	if errors.Is(err, exec.ErrNotFound) {
		program, err = exec.LookPath("/usr/sbin/opendkim")
	}
	if err != nil {
		t.Skip("opendkim is not installed (Debian: opendkim)")
	}
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	signer := testOptions(t).Signers[0]
	keys := write("keys", []byte("sp-dkim._domainkey.shop.example "+signer.Key.Record()+"\n"))
	config := write("conf", []byte("Mode v\nTestPublicKeys "+keys+"\n"))
	for _, s := range shapes() {
		file := write(s.name+".eml", s.compose(t).Bytes())
		out, err := exec.CommandContext(t.Context(), program, "-x", config, "-vv", "-t", file).CombinedOutput()
		if err != nil || strings.Count(string(out), "dkim=pass") != 1 {
			t.Errorf("%s: %v\n%s", s.name, err, out)
		}
	}
}
