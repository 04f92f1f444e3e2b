package compose

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// fields writes header fields and folds their lines (RFC 5322, section 2.2.3).
type fields struct {
	buf      []byte
	start    int  // where the current line begins in buf
	words    int  // on the current line, behind the field name
	eightBit bool // an address has raw UTF-8
}

const (
	foldAt   = 76  // columns of a header line with encoded words (RFC 2047, section 2)
	hardFold = 900 // a blank-free run longer than this could pass the 998 octets of a line
)

func (f *fields) name(name string) {
	f.start, f.words = len(f.buf), 0
	f.buf = append(f.buf, name...)
	f.buf = append(f.buf, ':')
}

func (f *fields) end() { f.buf = append(f.buf, crlf...) }

func (f *fields) column() int { return len(f.buf) - f.start }

func (f *fields) fold() {
	f.buf = append(f.buf, crlf...)
	f.start, f.words = len(f.buf), 0
}

// word writes a blank and the word, on a new line when this one is full. The
// first word stays beside the field name.
func (f *fields) word(w string) {
	if f.words > 0 && f.column()+1+len(w) > foldAt {
		f.fold()
	}
	f.buf = append(f.buf, ' ')
	f.buf = append(f.buf, w...)
	f.words++
}

// line writes a whole field whose value is clean and must not be folded.
func (f *fields) line(name, value string) {
	f.name(name)
	f.word(value)
	f.end()
}

func (f *fields) prefixed(prefix, name, value string) {
	f.buf = append(f.buf, prefix...)
	f.line(name, value)
}

// text writes an unstructured value: as it is when it is printable ASCII that
// can be folded and not mistaken for an encoded word, else as encoded words.
func (f *fields) text(s string) {
	s = clean(s)
	if s == "" {
		return
	}
	if !plainText(s) {
		f.encoded(s)
		return
	}
	for first := true; s != ""; first = false {
		blanks := len(s) - len(strings.TrimLeft(s, " "))
		n := strings.IndexByte(s[blanks:], ' ')
		if n < 0 {
			n = len(s) - blanks
		}
		token := s[:blanks+n]
		s = s[blanks+n:]
		switch {
		case first:
			f.buf = append(f.buf, ' ')
		case f.words > 0 && f.column()+len(token) > foldAt:
			f.fold()
		}
		f.buf = append(f.buf, token...)
		f.words++
	}
}

// clean makes a value valid UTF-8 without control characters; each becomes a
// blank.
func clean(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			s = strings.ToValidUTF8(s, "\uFFFD")
			return strings.Map(func(r rune) rune {
				if r < ' ' || r >= 0x7f && r < 0xa0 {
					return ' '
				}
				return r
			}, s)
		}
	}
	return s
}

// plainText tells whether a clean value may stand in a header as it is.
func plainText(s string) bool {
	if s[0] == ' ' || s[len(s)-1] == ' ' || strings.Contains(s, "=?") {
		return false
	}
	run := 0 // octets since the last place to fold
	for i := range len(s) {
		if s[i] >= 0x7f {
			return false
		}
		if s[i] == ' ' && s[i-1] != ' ' {
			run = 0
		}
		if run++; run > hardFold {
			return false
		}
	}
	return true
}

const (
	wordFrame = len("=?utf-8?q??=")
	wordRoom  = 75 - wordFrame // octets of an encoded word's text (RFC 2047, section 2)
)

// encoded writes encoded words in Q or B, whichever is shorter. Q uses only
// the characters that are safe in a display name (RFC 2047, section 5), and
// no word splits a character.
func (f *fields) encoded(s string) {
	q := 0
	for i := range len(s) {
		q += qWidth(s[i])
	}
	size := (len(s) + 2) / 3 * 4
	useQ := q <= size
	size = min(q, size)
	// One word rather than two: some readers show a blank between them.
	if f.words > 0 && size <= wordRoom && size > foldAt-f.column()-1-wordFrame {
		f.fold()
	}
	for s != "" {
		room := foldAt - f.column() - 1 - wordFrame
		if room < 16 {
			if f.words > 0 {
				f.fold()
			}
			room = wordRoom
		}
		room = min(room, wordRoom)
		n := fit(s, room, useQ)
		f.buf = append(f.buf, " =?utf-8?"...)
		if useQ {
			f.buf = append(f.buf, "q?"...)
			f.buf = appendQ(f.buf, s[:n])
		} else {
			f.buf = append(f.buf, "b?"...)
			f.buf = base64.StdEncoding.AppendEncode(f.buf, []byte(s[:n]))
		}
		f.buf = append(f.buf, "?="...)
		f.words++
		s = s[n:]
	}
}

// fit is how many octets of s, in whole characters, fit into room.
func fit(s string, room int, useQ bool) int {
	n, used := 0, 0
	for n < len(s) {
		_, size := utf8.DecodeRuneInString(s[n:])
		if useQ {
			for i := range size {
				used += qWidth(s[n+i])
			}
		} else {
			used = (n + size + 2) / 3 * 4
		}
		if used > room {
			break
		}
		n += size
	}
	return n
}

func qSafe(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '!' || c == '*' || c == '+' || c == '-' || c == '/'
}

func qWidth(c byte) int {
	if qSafe(c) || c == ' ' {
		return 1
	}
	return 3
}

func appendQ(dst []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case qSafe(c):
			dst = append(dst, c)
		case c == ' ':
			dst = append(dst, '_')
		default:
			dst = append(dst, '=', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}
