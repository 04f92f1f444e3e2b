package compose

import (
	"bytes"
	"encoding/hex"
	"strconv"

	"github.com/waypost-mail/waypost"
)

// part is a node of a message's MIME tree (RFC 2046): a text to encode, a part
// that is encoded already, or a multipart with its children.
type part struct {
	media string // of a text or a multipart
	text  []byte
	ready []byte // header, empty line and body
	kids  []*part
	multi bool
}

// shareFrom is from how many bytes on a part that many messages have in common
// is not copied into each.
const shareFrom = 16 << 10

// writer gathers a message: what is its own in one buffer, and between, by
// where they belong, the parts that it shares with others.
type writer struct {
	buf    []byte
	shared []inset
}

// inset is a shared part before the byte at an index of the buffer.
type inset struct {
	at   int
	part []byte
}

// pieces is the message in order, behind what is given.
func (w *writer) pieces(out [][]byte) [][]byte {
	done := 0
	for _, s := range w.shared {
		out = append(out, w.buf[done:s.at:s.at], s.part)
		done = s.at
	}
	return append(out, w.buf[done:len(w.buf):len(w.buf)])
}

// endsLine tells whether the message ends with a line end.
func (w *writer) endsLine() bool {
	last := w.buf
	if n := len(w.shared); n > 0 && w.shared[n-1].at == len(w.buf) {
		last = w.shared[n-1].part
	}
	return bytes.HasSuffix(last, crlf)
}

func multipart(kind string, kids ...*part) *part {
	return &part{media: "multipart/" + kind, kids: kids, multi: true}
}

func (p *part) add(ready [][]byte) {
	for _, r := range ready {
		p.kids = append(p.kids, &part{ready: r})
	}
}

// write writes the tree: Content-* fields, empty line, body.
// The root is the message's own in any case: it ends the header.
func (p *part) write(w *writer, id waypost.UUID) {
	if p.ready != nil {
		w.buf = append(w.buf, p.ready...)
		return
	}
	n := 0
	p.writeTo(w, id, &n)
}

func (p *part) writeTo(w *writer, id waypost.UUID, n *int) {
	switch {
	case len(p.ready) >= shareFrom:
		w.shared = append(w.shared, inset{len(w.buf), p.ready})
		return
	case p.ready != nil:
		w.buf = append(w.buf, p.ready...)
		return
	case !p.multi:
		w.buf = appendText(w.buf, p.media, p.text)
		return
	}
	*n++
	var stack [48]byte
	boundary := append(stack[:0], "=_"...)
	boundary = hex.AppendEncode(boundary, id[:])
	boundary = append(boundary, '_')
	boundary = strconv.AppendInt(boundary, int64(*n), 10)

	w.buf = append(w.buf, "Content-Type: "...)
	w.buf = append(w.buf, p.media...)
	if p.media == "multipart/related" { // RFC 2387, section 3.1
		w.buf = append(w.buf, `; type="text/html"`...)
	}
	w.buf = append(w.buf, ";\r\n boundary=\""...)
	w.buf = append(w.buf, boundary...)
	w.buf = append(w.buf, "\"\r\n"...)
	for _, kid := range p.kids {
		w.buf = append(w.buf, "\r\n--"...)
		w.buf = append(w.buf, boundary...)
		w.buf = append(w.buf, crlf...)
		kid.writeTo(w, id, n)
	}
	w.buf = append(w.buf, "\r\n--"...)
	w.buf = append(w.buf, boundary...)
	w.buf = append(w.buf, "--"...)
}

// appendText writes a text part in the encoding that suits it.
func appendText(dst []byte, media string, text []byte) []byte {
	text = canonical(text)
	encoding := chooseEncoding(text)
	dst = append(dst, "Content-Type: "...)
	dst = append(dst, media...)
	dst = append(dst, "; charset=utf-8\r\nContent-Transfer-Encoding: "...)
	dst = append(dst, encoding...)
	dst = append(dst, "\r\n\r\n"...)
	switch encoding {
	case sevenBit:
		return append(dst, text...)
	case quotedPrintable:
		return appendQuotedPrintable(dst, text)
	}
	return appendBase64(dst, text)
}
