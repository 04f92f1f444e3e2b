package dkim

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawText draws bytes with many of those that canonicalisation looks at.
func drawText(t *rapid.T, pieces []string, label string, most int) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, most).Draw(t, label), "")
}

var (
	bodyPieces = []string{
		" ", "\t", "\r\n", "\r\n\r\n", " \r\n", "a", "word", ".", "ü", "\xff", "\x00", "=20",
		"From: x@y\r\n", strings.Repeat("long ", 300), strings.Repeat("x", 1200),
	}
	valuePieces = []string{
		" ", "\t", "\r\n ", "\r\n\t", "a", "word", ":", ";", "ü", "\xfe", "<a@b>", "\r\n \r\n\tx",
		strings.Repeat("y", 90),
	}
	fieldNames = []string{
		"To", "to", "Cc", "Subject", "SUBJECT", "Date", "Message-ID", "Reply-To", "Content-Type", "MIME-Version",
		"List-Unsubscribe", "List-Unsubscribe-Post", "References", "X-Other", "Received", "Sender",
	}
)

func drawMessage(t *rapid.T) []byte {
	var b bytes.Buffer
	addFields := func(label string) {
		for range rapid.IntRange(0, 6).Draw(t, label) {
			b.WriteString(rapid.SampledFrom(fieldNames).Draw(t, "name") + ":")
			// go-msgauth ends the header at a line of blanks only, so a
			// field here does not end in one.
			b.WriteString(drawText(t, valuePieces, "value", 6) + "v\r\n")
		}
	}
	addFields("fields before")
	b.WriteString("From: a@example.com\r\n")
	addFields("fields after")
	b.WriteString("\r\n")
	b.WriteString(drawText(t, bodyPieces, "body", 12))
	return b.Bytes()
}

// TestSignVerifies signs arbitrary messages and has go-msgauth verify them.
func TestSignVerifies(t *testing.T) {
	signers := testSigners(t)
	rapid.Check(t, func(t *rapid.T) {
		message := drawMessage(t)
		signed, err := Sign(nil, message, testTime, signers...)
		if err != nil {
			t.Fatalf("sign %q: %v", message, err)
		}
		if !bytes.HasSuffix(signed, message) {
			t.Fatalf("message changed")
		}
		if err := verify(signers, signed); err != nil {
			t.Fatalf("verify %q: %v", signed, err)
		}
	})
}

// TestFieldsOfPieces: the signature does not depend on how a message is cut.
func TestFieldsOfPieces(t *testing.T) {
	signers := testSigners(t)
	rapid.Check(t, func(t *rapid.T) {
		whole := drawMessage(t)
		pieces := [][]byte{whole}
		for _, p := range rapid.SliceOfN(rapid.SampledFrom(bodyPieces), 0, 12).Draw(t, "more") {
			pieces, whole = append(pieces, []byte(p)), append(slices.Clip(whole), p...)
		}
		want, err := Fields(nil, [][]byte{whole}, testTime, signers...)
		if err != nil {
			t.Fatalf("sign %q: %v", whole, err)
		}
		got, err := Fields(nil, pieces, testTime, signers...)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q:\n got %q, %v\nwant %q", pieces, got, err, want)
		}
	})
	for _, pieces := range [][]string{{}, {"From: a@b\r\n\r"}, {"From: a@b\r\n\r\n", "x\r", "\ny"}, {"From: a@b\r\n", "\r\nx"}} {
		var in [][]byte
		for _, p := range pieces {
			in = append(in, []byte(p))
		}
		if got, err := Fields(nil, in, testTime, signers...); err == nil || got != nil {
			t.Errorf("%q was signed", pieces)
		}
	}
}

// relaxLine is RFC 6376 section 3.4.4 (a), said the slow way.
func relaxLine(line string) string {
	line = strings.ReplaceAll(line, "\t", " ")
	for strings.Contains(line, "  ") {
		line = strings.ReplaceAll(line, "  ", " ")
	}
	return strings.TrimSuffix(line, " ")
}

type recorder struct{ bytes.Buffer }

func (r *recorder) Sum(b []byte) []byte { return append(b, r.Bytes()...) }
func (*recorder) Size() int             { return 0 }
func (*recorder) BlockSize() int        { return 1 }

func FuzzBody(f *testing.F) {
	for _, s := range []string{"", "\r\n", "a", " ", " a \t b\r\n", "a\r\n\r\n \r\n", "\ta\r\n\tb", "a \r\n b  c\r\n"} {
		for cut := range uint(4) {
			f.Add([]byte(s), cut)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, cut uint) {
		if checkLineEnds(body) != nil {
			return
		}
		lines := strings.Split(string(body), "\r\n")
		for i := range lines {
			lines[i] = relaxLine(lines[i])
		}
		for len(lines) > 0 && lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		want := strings.Join(lines, "\r\n")
		if len(lines) > 0 {
			want += "\r\n"
		}
		var got recorder
		w := relaxer{h: &got}
		a, b := body[:cut%uint(len(body)+1)], body[cut%uint(len(body)+1):]
		if checkLineEnds(a) != nil { // it would be cut between CR and LF
			a, b = body, nil
		}
		w.add(a)
		w.add(b)
		w.end()
		if got.String() != want {
			t.Errorf("%q and %q\n got %q\nwant %q", a, b, got.String(), want)
		}
	})
}

func FuzzSplitMessage(f *testing.F) {
	f.Add([]byte("From: a@b\r\nSubject: x\r\n\ty \r\n\r\nbody"))
	f.Add([]byte("From:a\r\n \r\n\r\n\r\n"))
	f.Add([]byte("A:\r\n"))
	f.Fuzz(func(t *testing.T, message []byte) {
		fields, body, err := splitMessage(nil, message)
		if err != nil {
			return
		}
		var again []byte
		for _, fl := range fields {
			again = append(append(again, fl.raw...), crlf...)
			relaxed := appendRelaxed(nil, fl.raw, fl.colon)
			if bytes.ContainsAny(relaxed, "\r\n\t") || bytes.HasSuffix(relaxed, oneSpace) || bytes.Contains(relaxed, []byte("  ")) {
				t.Errorf("%q relaxed to %q", fl.raw, relaxed)
			}
			if twice := appendRelaxed(nil, relaxed, fl.colon); !bytes.Equal(twice, relaxed) {
				t.Errorf("%q relaxed twice is %q", relaxed, twice)
			}
		}
		again = append(append(again, crlf...), body...)
		if !bytes.Equal(again, message) {
			t.Errorf("%q put together is %q", message, again)
		}
	})
}
