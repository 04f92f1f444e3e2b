package mtalog

import (
	"strings"
	"unicode/utf8"
	"unsafe"
)

// view is the function clean without the copy when b needs no repair: the string shares b's
// memory. That is what makes reading a log cost no memory, and why a Fact lives as long as its line.
func view(b []byte) string { return repair(share(b)) }

// repair is view for a string that shares the memory of its line already.
func repair(s string) string {
	if printable(s) {
		return s
	}
	return clean([]byte(s))
}

// share gives a string that shares b's memory.
func share(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// word reads the first eight bytes of s, the first as the lowest.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// skipBlanks drops blanks from the start of b.
func skipBlanks(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return b
}

// clean copies b into a string that is valid UTF-8 without control characters: a byte that is not
// UTF-8 becomes U+FFFD, a control character '?', as Postfix itself writes it. The "#001" that
// rsyslog writes for a control character stays as it is: it may as well be a ticket number.
func clean(b []byte) string {
	if printable(share(b)) {
		return string(b)
	}
	var out strings.Builder
	out.Grow(len(b) + 16)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r < ' ' || (r >= 0x7f && r < 0xa0):
			out.WriteByte('?')
		default:
			out.WriteRune(r)
		}
		b = b[n:]
	}
	return out.String()
}

// Words of eight equal bytes, for looking at eight letters at once.
const ones, tops = 0x0101010101010101, 0x8080808080808080

// zeroByte sets the top bit of the lowest byte of x that is zero; what it says of the bytes above
// that one is void. Without a zero byte it is 0.
func zeroByte(x uint64) uint64 { return (x - ones) &^ x & tops }

// printable reports whether b is plain ASCII without control characters: a word at a time, without
// a look at the result before the end, as nearly all lines are.
func printable(s string) bool {
	if len(s) < 8 {
		for i := range len(s) {
			if c := s[i]; c < ' ' || c >= 0x7f {
				return false
			}
		}
		return true
	}
	odd := odd8(word(s[len(s)-8:]))
	for at := 0; at < len(s)-7; at += 8 {
		odd |= odd8(word(s[at : at+8]))
	}
	return odd&tops == 0
}

// inspect reports whether s is printable, and if so whether it is plain besides: without a quote or
// a backslash. Nearly all texts are both, which is found out at once.
func inspect(s string) (ok, plain bool) {
	if len(s) < 8 {
		return printable(s), false
	}
	odd, at := special8(word(s[len(s)-8:])), 0
	for ; at < len(s)-15; at += 16 {
		odd |= special8(word(s[at:at+8])) | special8(word(s[at+8:at+16]))
	}
	if at < len(s)-7 {
		odd |= special8(word(s[at : at+8]))
	}
	if odd&tops == 0 {
		return true, true
	}
	return printable(s), false
}

// special8 is odd8 for quotes and backslashes, too. The bit that is turned puts the quote below all
// that is allowed, as the least of what is left is ' '+1.
func special8(x uint64) uint64 {
	return (x ^ 0x02*ones - (' '+1)*ones) | (x ^ '\\'*ones - ones) | (x + ones)
}

// odd8 sets the top bit of a byte of x that is below ' ', or 0x7f and above; where it sets none,
// there is none, but what it says of the bytes above the lowest one set is void.
func odd8(x uint64) uint64 { return (x - ' '*ones) | (x + ones) }

// cutAddress reads `<address>` at the start of s and gives the address and what follows. A local
// part in quotes may hold a '>'. Otherwise the address ends at the first '>' before a separator,
// as releases before Postfix 3.5 log strange addresses without quotes.
func cutAddress(s string) (addr, rest string, ok bool) {
	if len(s) < 2 || s[0] != '<' {
		return "", s, false
	}
	if s[1] != '"' {
		if i := strings.IndexByte(s, '>'); i > 0 && i+1 < len(s) && s[i+1] == ',' {
			return s[1:i], s[i+1:], true // as nearly all are
		}
	}
	s = s[1:]
	if n := quotedLocalPart(s); n > 0 {
		if end := strings.IndexByte(s[n:], '>'); end >= 0 {
			return s[:n+end], s[n+end+1:], true
		}
	}
	for from := 0; ; {
		i := strings.IndexByte(s[from:], '>')
		if i < 0 {
			return "", s, false
		}
		i += from
		if from = i + 1; from == len(s) {
			return s[:i], "", true
		}
		switch s[from] {
		case ',', ' ', ';', ':', ')':
			return s[:i], s[from:], true
		}
	}
}

// quotedLocalPart gives the length of a quoted string at the start of s that an @ or the end of
// the address follows, else 0.
func quotedLocalPart(s string) int {
	if s == "" || s[0] != '"' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			if i+1 < len(s) && (s[i+1] == '@' || s[i+1] == '>') {
				return i + 1
			}
			return 0
		}
	}
	return 0
}

// replyCode reads the three digits at the start of an SMTP reply (RFC 5321 section 4.2); 0 when
// there are none.
func replyCode(s string) int {
	if len(s) < 3 || s[0] < '2' || s[0] > '5' || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9' {
		return 0
	}
	if len(s) > 3 && s[3] != ' ' && s[3] != '-' {
		return 0
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
}

// enhancedCode gives the RFC 3463 code at the start of s; "" when there is none.
func enhancedCode(s string) string {
	end := strings.IndexByte(s, ' ')
	if end < 0 {
		end = len(s)
	}
	if end < 5 || end > 9 || s[1] != '.' || (s[0] != '2' && s[0] != '4' && s[0] != '5') {
		return ""
	}
	part, width := 1, 0
	for i := 2; i < end; i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9' && width < 3:
			width++
		case c == '.' && width > 0 && part == 1:
			part, width = 2, 0
		default:
			return ""
		}
	}
	if part != 2 || width == 0 {
		return ""
	}
	return s[:end]
}

// number reads the decimal digits at the start of s; ok is false when there are none or too many.
func number(s string) (n int64, rest string, ok bool) {
	i, most := 0, min(len(s), 18)
	for ; i < most; i++ {
		d := s[i] - '0'
		if d > 9 {
			break
		}
		n = n*10 + int64(d)
	}
	return n, s[i:], i > 0
}

// lastIndex is strings.LastIndex by way of the faster strings.Index, for marks that are rare.
func lastIndex(s, mark string) int {
	last := -1
	for {
		i := strings.Index(s[last+1:], mark)
		if i < 0 {
			return last
		}
		last += 1 + i
	}
}
