package dkim

import (
	"crypto/sha256"
	"hash"
)

var crlf, oneSpace = []byte("\r\n"), []byte(" ")

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func isLineEnd(c byte) bool { return c == '\r' || c == '\n' }

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
// 3.4.4), without making that form, or the body, as a whole.
func hashBody(first []byte, rest ...[]byte) [sha256.Size]byte {
	w := relaxer{h: sha256.New()}
	w.add(first)
	for _, piece := range rest {
		w.add(piece)
	}
	w.end()
	var sum [sha256.Size]byte
	w.h.Sum(sum[:0])
	return sum
}

// relaxer writes the relaxed form of a body to a hash. Short pieces are
// collected first, since a call of the hash costs more than copying them.
type relaxer struct {
	h   hash.Hash
	n   int // bytes of buf in use
	buf [1024]byte

	some  bool // something was written
	lines int  // line ends since then, which count when something follows
	space bool // blanks since the last of those, likewise
}

func (w *relaxer) write(p []byte) {
	if w.n+len(p) > len(w.buf) {
		w.flush()
		if len(p) > len(w.buf) {
			w.h.Write(p)
			return
		}
	}
	w.n += copy(w.buf[w.n:], p)
}

func (w *relaxer) flush() {
	w.h.Write(w.buf[:w.n])
	w.n = 0
}

// add takes the next piece of a body, cut anywhere but between CR and LF.
func (w *relaxer) add(piece []byte) {
	piece = w.skip(piece)
	if len(piece) == 0 {
		return
	}
	for ; w.lines > 0; w.lines-- {
		w.write(crlf)
	}
	if w.space {
		w.write(oneSpace)
		w.space = false
	}
	n := len(piece)
	for isSpace(piece[n-1]) || isLineEnd(piece[n-1]) {
		n--
	}
	w.inner(piece[:n])
	w.some = true
	w.skip(piece[n:])
}

// skip notes the blanks and line ends that the piece starts with, and returns
// what is behind them.
func (w *relaxer) skip(piece []byte) []byte {
	for i, c := range piece {
		switch {
		case isSpace(c):
			w.space = true
		case c == '\n':
			w.lines++
			w.space = false
		case c != '\r':
			return piece[i:]
		}
	}
	return nil
}

// inner writes text that neither starts nor ends with blanks or line ends.
// What relaxing does not change goes out in one piece.
func (w *relaxer) inner(text []byte) {
	done := 0 // text[:done] is written
	for i := 0; i < len(text); i++ {
		if !isSpace(text[i]) {
			continue
		}
		end := i + 1
		for isSpace(text[end]) { // the last byte is never a space
			end++
		}
		switch {
		case text[end] == '\r':
			w.write(text[done:i])
			done = end
		case end-i > 1 || text[i] == '\t':
			w.write(text[done:i])
			w.write(oneSpace)
			done = end
		}
		i = end
	}
	w.write(text[done:])
}

// end writes the end of the last line that is not empty. An empty body stays
// empty, without CRLF.
func (w *relaxer) end() {
	if w.some {
		w.write(crlf)
	}
	w.flush()
}
