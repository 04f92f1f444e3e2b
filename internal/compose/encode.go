package compose

import (
	"bytes"
	"encoding/base64"
	"slices"
	"unicode/utf8"
)

var crlf = []byte("\r\n")

// The transfer encodings in use (RFC 2045, section 6).
const (
	sevenBit        = "7bit"
	quotedPrintable = "quoted-printable"
	base64Encoding  = "base64"
)

// maxLine is the longest line of a body, without CRLF (RFC 2045, sections 6.7
// and 6.8).
const maxLine = 76

// perLine is how many bytes a line of base64 stands for.
const perLine = maxLine / 4 * 3

// canonical gives a text valid UTF-8 and CRLF line ends, in place of LF or a
// lone CR. It returns the text itself when nothing is to be done.
func canonical(text []byte) []byte {
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	}
	lone := 0
	for i, c := range text {
		if c == '\n' && (i == 0 || text[i-1] != '\r') || c == '\r' && (i+1 == len(text) || text[i+1] != '\n') {
			lone++
		}
	}
	if lone == 0 {
		return text
	}
	out := make([]byte, 0, len(text)+lone)
	for i, c := range text {
		switch {
		case c == '\r' && i+1 < len(text) && text[i+1] == '\n':
		case c == '\r', c == '\n':
			out = append(out, crlf...)
		default:
			out = append(out, c)
		}
	}
	return out
}

// chooseEncoding judges a canonical text. 7bit is for short lines of printable
// ASCII without anything that a relay or mailbox might change or a boundary
// could be mistaken for.
func chooseEncoding(text []byte) string {
	plain, escaped, column := true, 0, 0
	for i, c := range text {
		switch {
		case c == '\n':
			column = 0
			continue
		case c == '\r':
			continue
		case c < ' ' && c != '\t' || c >= 0x7f:
			escaped++
			plain = false
		case c == '=':
			escaped++
		case c == 'F' && column == 0 && bytes.HasPrefix(text[i:], []byte("From ")):
			plain = false // mailbox files change it to ">From "
		case (c == ' ' || c == '\t') && endsLine(text, i+1):
			plain = false // relays strip it
		}
		if column++; column > maxLine {
			plain = false
		}
	}
	switch {
	case plain && !bytes.Contains(text, []byte("--=_")):
		return sevenBit
	case escaped*2 > len(text)/3:
		return base64Encoding
	}
	return quotedPrintable
}

func endsLine(text []byte, i int) bool { return i == len(text) || text[i] == '\r' }

const upperHex = "0123456789ABCDEF"

// appendQuotedPrintable encodes a canonical text (RFC 2045, section 6.7).
// Dots and "From " at the start of a line are encoded too, as section 6.7's
// note (and RFC 2049, section 3) advise.
func appendQuotedPrintable(dst, text []byte) []byte {
	dst = slices.Grow(dst, len(text)+len(text)/8)
	column := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\r' { // a canonical text has an LF behind it
			dst = append(dst, crlf...)
			column = 0
			i++
			continue
		}
		literal := c >= ' ' && c <= '~' && c != '=' || c == '\t'
		switch {
		case !literal:
		case c == ' ', c == '\t':
			literal = !endsLine(text, i+1)
		case column == 0 && c == '.':
			literal = false
		case column == 0 && c == 'F':
			literal = !bytes.HasPrefix(text[i:], []byte("From "))
		}
		width := 3
		if literal {
			width = 1
		}
		// The last column is the soft break's, unless the line ends here.
		if column+width > maxLine-1 && (column+width > maxLine || !endsLine(text, i+1)) {
			dst = append(dst, "=\r\n"...)
			column = 0
			if c == '.' || c == 'F' {
				i-- // again, as the start of a line
				continue
			}
		}
		if literal {
			dst = append(dst, c)
		} else {
			dst = append(dst, '=', upperHex[c>>4], upperHex[c&15])
		}
		column += width
	}
	return dst
}

// appendBase64 encodes in lines of 76 characters (RFC 2045, section 6.8),
// without a line end behind the last.
func appendBase64(dst, data []byte) []byte {
	dst = slices.Grow(dst, len(data)*4/3+len(data)/perLine*2+8)
	for len(data) > perLine {
		dst = base64.StdEncoding.AppendEncode(dst, data[:perLine])
		dst = append(dst, crlf...)
		data = data[perLine:]
	}
	return base64.StdEncoding.AppendEncode(dst, data)
}
