package dkim

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/*.eml.signed")

var testTime = time.Unix(1764000000, 0)

func testSigners(tb testing.TB) []Signer {
	return []Signer{
		{"example.com", "sp-dkim", readKey(tb, "rsa2048.pem")},
		{"example.com", "sp-ed", readKey(tb, "ed25519.pem")},
	}
}

func readKey(tb testing.TB, name string) Key {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	k, err := ParseKey(text)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// crlfLines makes a message from text with LF line ends.
func crlfLines(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

// verify has go-msgauth check every signature of the message.
func verify(signers []Signer, signed []byte) error {
	lookup := func(name string) ([]string, error) {
		for _, s := range signers {
			if name == s.Selector+"._domainkey."+s.Domain {
				return []string{s.Key.Record()}, nil
			}
		}
		return nil, errors.New("no such name: " + name)
	}
	found, err := msgauth.VerifyWithOptions(bytes.NewReader(signed), &msgauth.VerifyOptions{LookupTXT: lookup})
	if err != nil {
		return err
	}
	if len(found) != len(signers) {
		return errors.New("not every signature was found")
	}
	for _, v := range found {
		if v.Err != nil {
			return v.Err
		}
	}
	return nil
}

func mustSign(tb testing.TB, message []byte, signers ...Signer) []byte {
	tb.Helper()
	signed, err := Sign(nil, message, testTime, signers...)
	if err != nil {
		tb.Fatal(err)
	}
	return signed
}

func TestSignGolden(t *testing.T) {
	signers := testSigners(t)
	files, err := filepath.Glob("testdata/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no messages in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := mustSign(t, crlfLines(string(text)), signers...)
			if err := verify(signers, got); err != nil {
				t.Errorf("go-msgauth: %v", err)
			}
			got = bytes.ReplaceAll(got, crlf, crlf[1:])
			golden := file + ".signed"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("signed message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSignLines(t *testing.T) {
	f := func(domain, selector string, extra string) {
		t.Helper()
		s := Signer{domain, selector, readKey(t, "rsa2048.pem")}
		message := crlfLines(extra + "From: a@example.com\n\nbody\n")
		signed := mustSign(t, message, s)
		if err := verify([]Signer{s}, signed); err != nil {
			t.Errorf("%s: %v\n%s", domain, err, signed)
		}
		header, ok := bytes.CutSuffix(signed, message)
		if !ok {
			t.Fatalf("message changed: %q", signed)
		}
		for line := range bytes.SplitSeq(header, crlf) {
			if len(line) >= 78 && !bytes.Contains(line, []byte(domain)) && !bytes.Contains(line, []byte(selector)) {
				t.Errorf("line of %d bytes: %s", len(line), line)
			}
		}
		if bytes.Contains(header, []byte("b=\r\n")) {
			t.Errorf("fold after b=:\n%s", header)
		}
	}
	// Every domain length moves the folds by one.
	for n := range 60 {
		f(strings.Repeat("d", n+1)+".example", "s", "")
		f("example.com", strings.Repeat("s", n+1), strings.Repeat("References: <1@x>\n", n))
	}
	label := strings.Repeat("a", 60)
	f(label+"."+label+"."+label+".example", "sp-dkim", "")
}

func TestSignAppends(t *testing.T) {
	s := testSigners(t)[0]
	message := crlfLines("From: a@example.com\n\nbody\n")
	signed, err := s.Sign([]byte("before"), message, testTime)
	if err != nil {
		t.Fatal(err)
	}
	if want := append([]byte("before"), mustSign(t, message, s)...); !bytes.Equal(signed, want) {
		t.Errorf("got %q\nwant %q", signed, want)
	}
}

func TestSignRefuses(t *testing.T) {
	s := testSigners(t)[0]
	f := func(message string, want error) {
		t.Helper()
		got, err := s.Sign([]byte("x"), []byte(message), testTime)
		if !errors.Is(err, want) || got != nil {
			t.Errorf("%q: got %q, %v, want %v", message, got, err, want)
		}
	}
	f("", ErrHeader)
	f("From: a@b\r\n", ErrHeader)
	f("From: a@b", ErrHeader)
	f("\r\nFrom: a@b\r\n\r\n", ErrFrom)
	f("To: a@b\r\n\r\nFrom: a@b\r\n", ErrFrom)
	f("From: a@b\r\nfrom: c@d\r\n\r\n", ErrFrom)
	f("From: a@b\n\nbody\n", ErrLineEnds)
	f("From: a@b\r\n\r\nbody\n", ErrLineEnds)
	f("From: a@b\r\n\r\nbo\rdy\r\n", ErrLineEnds)
	f("From: a@b\r\n\r\nbody\r", ErrLineEnds)
	f("From: a@b\r\n\r\nbody\n\r\n", ErrLineEnds)
	f("From: a@b\r\n\r\nbo\ndy\rx", ErrLineEnds)
	f(" From: a@b\r\n\r\n", ErrHeader)
	f("From a@b\r\n\r\n", ErrHeader)
	f(": a@b\r\n\r\n", ErrHeader)
	f("From : a@b\r\n\r\n", ErrHeader)
	f("From: a@b\r\nX\x00Y: 1\r\n\r\n", ErrHeader)
	f("From: a@b\r\nX: \x00\r\n\r\n", ErrHeader)
	f("From: a@b\r\nX: a\r\n \x00\r\n\r\n", ErrHeader)
	f("From: a@b\r\n"+strings.Repeat("X: 1\r\n", maxFields)+"\r\n", ErrHeader)
}

func TestSignRefusesSigner(t *testing.T) {
	good := testSigners(t)[0]
	message := []byte("From: a@b\r\n\r\n")
	f := func(want string, now time.Time, signers ...Signer) {
		t.Helper()
		if _, err := Sign(nil, message, now, signers...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("0 signers", testTime)
	f("5 signers", testTime, good, good, good, good, good)
	f("time", time.Time{}, good)
	f("no DKIM key", testTime, Signer{"example.com", "s", Key{}})
	for _, name := range []string{"", ".", "a..b", "a.", ".a", "a b", "a;b", "a\r\nX: y", "ä.example", strings.Repeat("a", 64)} {
		f("domain", testTime, Signer{name, "s", good.Key})
		f("selector", testTime, Signer{"example.com", name, good.Key})
	}
	f("DNS allows", testTime, Signer{strings.Repeat("a.", 115) + "b", "sp-dkim.longer", good.Key})
}

// TestOversigned adds a second field of each oversigned name in front, where
// many programs look first.
func TestOversigned(t *testing.T) {
	signers := testSigners(t)
	signed := mustSign(t, crlfLines("From: a@example.com\nSubject: true\n\nbody\n"), signers...)
	for _, f := range signedFields {
		err := verify(signers, append([]byte(f.name+": <b@example.net>\r\n"), signed...))
		if f.over && err == nil {
			t.Errorf("an added %s goes unnoticed", f.name)
		}
		if !f.over && err != nil {
			t.Errorf("an added %s: %v", f.name, err)
		}
	}
	if err := verify(signers, append([]byte("Received: from x\r\n"), signed...)); err != nil {
		t.Errorf("an added Received: %v", err)
	}
}

func TestTamper(t *testing.T) {
	signers := testSigners(t)
	signed := string(mustSign(t, crlfLines("From: a@example.com\nSubject: true\nX-Other: 1\n\nbody  text\n\n"), signers...))
	f := func(old, replace string, ok bool) {
		t.Helper()
		changed := strings.Replace(signed, old, replace, 1)
		if changed == signed {
			t.Fatalf("%q not found", old)
		}
		if err := verify(signers, []byte(changed)); (err == nil) != ok {
			t.Errorf("%q to %q: %v", old, replace, err)
		}
	}
	f("body", "Body", false)
	f("Subject: true", "Subject: false", false)
	f("body  text", "bodytext", false)
	f("body  text", "body \t text \t", true)
	f("Subject: true", "SUBJECT:true ", true)
	f("Subject: true", "Subject:\r\n\ttrue", true)
	f("X-Other: 1", "X-Other: 2", true)
	f("text\r\n\r\n", "text\r\n\r\n\r\n \r\n", true)
}
