package dkim

import (
	"bytes"
	"crypto/sha256"
	"hash"
)

var crlf, oneSpace = []byte("\r\n"), []byte(" ")

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// appendRelaxed appends one header field in relaxed form (RFC 6376 section
// 3.4.2) without a final CRLF. field is name, colon and value, folded or not,
// without its final CRLF; colon is the index of the colon.
func appendRelaxed(dst, field []byte, colon int) []byte {
	for _, c := range field[:colon] {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	dst = append(dst, ':')
	space := false
	start := len(dst)
	for _, c := range field[colon+1:] {
		switch c {
		case ' ', '\t':
			space = true
		case '\r', '\n': // the line break of a fold; the blank after it counts
		default:
			if space && len(dst) > start {
				dst = append(dst, ' ')
			}
			space = false
			dst = append(dst, c)
		}
	}
	return dst
}

// hashBody returns the SHA-256 of the body in relaxed form (RFC 6376 section
// 3.4.4), without making that form as a whole.
func hashBody(body []byte) [sha256.Size]byte {
	w := gather{h: sha256.New()}
	w.relaxBody(body)
	var sum [sha256.Size]byte
	w.h.Sum(sum[:0])
	return sum
}

// gather writes to a hash. Short pieces are collected first, since a call of
// the hash costs more than copying them.
type gather struct {
	h   hash.Hash
	n   int // bytes of buf in use
	buf [1024]byte
}

func (w *gather) write(p []byte) {
	if w.n+len(p) > len(w.buf) {
		w.flush()
		if len(p) > len(w.buf) {
			w.h.Write(p)
			return
		}
	}
	w.n += copy(w.buf[w.n:], p)
}

func (w *gather) flush() {
	w.h.Write(w.buf[:w.n])
	w.n = 0
}

// relaxBody writes the body in relaxed form. What relaxing does not change
// goes out in one piece.
func (w *gather) relaxBody(body []byte) {
	body = trimEmptyLines(body)
	if len(body) == 0 {
		return // an empty body stays empty, without CRLF
	}
	done := 0 // body[:done] is written
	for i := 0; i < len(body); i++ {
		if !isSpace(body[i]) {
			continue
		}
		end := i + 1
		for isSpace(body[end]) { // the last byte is never a space
			end++
		}
		switch {
		case body[end] == '\r':
			w.write(body[done:i])
			done = end
		case end-i > 1 || body[i] == '\t':
			w.write(body[done:i])
			w.write(oneSpace)
			done = end
		}
		i = end
	}
	w.write(body[done:])
	w.write(crlf)
	w.flush()
}

// trimEmptyLines cuts the last line's end, its trailing spaces, and all lines
// before it that are empty or hold only spaces.
func trimEmptyLines(body []byte) []byte {
	for {
		n := len(body)
		for n > 0 && isSpace(body[n-1]) {
			n--
		}
		body = body[:n]
		if !bytes.HasSuffix(body, crlf) {
			return body
		}
		body = body[:n-2]
	}
}
