package compose

import (
	"bytes"
	"strings"
	"testing"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"github.com/waypost-mail/waypost"
)

// TestPieces: messages with large files share them, and are signed and ended as
// others are.
func TestPieces(t *testing.T) {
	file := bytes.Repeat([]byte("0123456789 \n"), 20_000)
	small := []byte("a small one")
	amp := "<!doctype html><html ⚡4email>" + strings.Repeat("<p>paragraph</p>\n", 3000) + "</html>"
	for name, tc := range map[string]struct {
		c      waypost.Content
		shared int // pieces that two messages share
	}{
		"file":            {waypost.Content{Text: "x", Attachments: []waypost.Attachment{{Filename: "a", Data: file}}}, 1},
		"three files":     {waypost.Content{Text: "x", Attachments: []waypost.Attachment{{Data: file}, {Data: small}, {Data: file}}}, 2},
		"inline":          {waypost.Content{HTML: `<img src="cid:a">`, Attachments: []waypost.Attachment{{ContentID: "a", Data: file}, {Data: file}}}, 2},
		"small file":      {waypost.Content{Text: "x", Attachments: []waypost.Attachment{{Data: small}}}, 0},
		"AMP and text":    {waypost.Content{Text: "x", AMP: amp}, 1},
		"AMP alone":       {waypost.Content{AMP: amp}, 0}, // it ends the header
		"AMP with a file": {waypost.Content{AMP: amp, Attachments: []waypost.Attachment{{Data: file}}}, 2},
	} {
		tc.c.From = shop
		p, err := Prepare(&tc.c)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m, o := testMessage(), testOptions(t)
		one, err := p.Message(&m, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m.Recipient = "other@example.net"
		other, err := p.Message(&m, o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		shared, size := 0, 0
		for i, piece := range one.Pieces() {
			if size += len(piece); i < len(other.Pieces()) && &piece[0] == &other.Pieces()[i][0] {
				shared++
				size -= len(piece)
			}
		}
		if shared != tc.shared || one.Own() != size || tc.shared > 0 && one.Own() > 6000 {
			t.Errorf("%s: %d shared pieces of %d, want %d; %d bytes of its own, said to be %d", name, shared, len(one.Pieces()), tc.shared, size, one.Own())
		}
		b := one.Bytes()
		if !bytes.HasSuffix(b, crlf) {
			t.Errorf("%s: ends with %q", name, b[len(b)-10:])
		}
		checkLines(t, b)
		found, err := msgauth.VerifyWithOptions(bytes.NewReader(b), &msgauth.VerifyOptions{LookupTXT: func(string) ([]string, error) {
			return []string{o.Signers[0].Key.Record()}, nil
		}})
		if err != nil || len(found) != 1 || found[0].Err != nil {
			t.Errorf("%s: %v %+v", name, err, found)
		}
		if _, err := readGo(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkLargeFile makes a message with a file of 5 MB.
func BenchmarkLargeFile(b *testing.B) {
	c := trackedContent()
	c.Attachments = []waypost.Attachment{{Filename: "a.bin", Data: bytes.Repeat([]byte("0123456789"), 500_000)}}
	p, err := Prepare(&c)
	if err != nil {
		b.Fatal(err)
	}
	m, o := testMessage(), testOptions(b)
	o.Track = testSite
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Message(&m, o); err != nil {
			b.Fatal(err)
		}
	}
}
