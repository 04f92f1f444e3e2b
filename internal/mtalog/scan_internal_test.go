package mtalog

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestEightLetters compares what looks at eight letters at once with what
// looks at one after the other.
func TestEightLetters(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	const plain = "abcXYZ019 <>@.,=, , !#[]~"
	const odd = "\"\\\x00\x02\x1f\x7f\x80\xa0\xff"
	for range 200_000 {
		b := make([]byte, rnd.IntN(70))
		for i := range b {
			b[i] = plain[rnd.IntN(len(plain))]
		}
		if n := len(b); n > 0 && rnd.IntN(2) == 0 {
			b[rnd.IntN(n)] = odd[rnd.IntN(len(odd))]
		}
		s := string(b)
		good := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f }) < 0
		if got := printable(s); got != good {
			t.Fatalf("printable(%q) = %v", s, got)
		}
		ok, simple := inspect(s)
		if ok != good || simple && strings.ContainsAny(s, `"\`) || len(s) >= 8 && ok && !simple && !strings.ContainsAny(s, `"\`) {
			t.Fatalf("inspect(%q) = %v, %v", s, ok, simple)
		}
		at := rnd.IntN(len(s) + 1)
		end := len(s)
		if i := strings.Index(s[at:], ", "); i >= 0 {
			end = at + i
		}
		if got := fieldEnd(s, at); got != end {
			t.Fatalf("fieldEnd(%q, %d) = %d, want %d", s, at, got, end)
		}
	}
}

// TestLeads keeps leads of every length and finds each again, and no other.
func TestLeads(t *testing.T) {
	var ls leads
	const letters = "postfix-far/relay/smtp[1234567890123]:"
	for n := 1; n < len(letters); n++ {
		lead := letters[len(letters)-n:]
		mark := &tag{whole: lead}
		ls.keep([]byte(strings.TrimSuffix(lead, ":")), mark)
		got, length := ls.cut([]byte(lead + " 3F2A1B: removed and so on, up to 32 letters"))
		if fits := n+1 >= 9 && n+1 <= 32; fits != (length > 0) || fits && (length != n+1 || got.tag != mark) {
			t.Errorf("%q: %v, %d", lead, got, length)
		}
		if _, length := ls.cut([]byte("x" + lead[1:] + " 3F2A1B: removed and so on, up to 32 letters")); length > 0 {
			t.Errorf("%q is found by another beginning", lead)
		}
	}
}

// TestBeginning changes each byte of beginnings of every length in turn.
func TestBeginning(t *testing.T) {
	text := []byte("Nov 24 04:02:53 a-rather-long-host-name.of-a-mail-server.example.com postfix")
	for n := 1; n < len(text); n++ {
		var kept beginning
		kept.keep(text[:n])
		want := n
		if n > 48 {
			want = 0 // too long to be kept
		}
		if got := kept.cut(text); got != want {
			t.Fatalf("%q: %d, want %d", text[:n], got, want)
		}
		if got := kept.cut(text[:47]); got != 0 {
			t.Fatalf("%q is found in a line of 47 bytes", text[:n])
		}
		line := slices.Clone(text)
		for i := range want {
			line[i] ^= 0x20
			if got := kept.cut(line); got != 0 {
				t.Fatalf("%q is taken for the beginning of %q", text[:n], line)
			}
			line[i] ^= 0x20
		}
	}
}
