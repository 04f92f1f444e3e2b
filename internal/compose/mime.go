package compose

import (
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

func multipart(kind string, kids ...*part) *part {
	return &part{media: "multipart/" + kind, kids: kids, multi: true}
}

func (p *part) add(ready [][]byte) {
	for _, r := range ready {
		p.kids = append(p.kids, &part{ready: r})
	}
}

// append writes the tree: Content-* fields, empty line, body.
func (p *part) append(dst []byte, id waypost.UUID) []byte {
	n := 0
	return p.appendTo(dst, id, &n)
}

func (p *part) appendTo(dst []byte, id waypost.UUID, n *int) []byte {
	switch {
	case p.ready != nil:
		return append(dst, p.ready...)
	case !p.multi:
		return appendText(dst, p.media, p.text)
	}
	*n++
	var stack [48]byte
	boundary := append(stack[:0], "=_"...)
	boundary = hex.AppendEncode(boundary, id[:])
	boundary = append(boundary, '_')
	boundary = strconv.AppendInt(boundary, int64(*n), 10)

	dst = append(dst, "Content-Type: "...)
	dst = append(dst, p.media...)
	if p.media == "multipart/related" { // RFC 2387, section 3.1
		dst = append(dst, `; type="text/html"`...)
	}
	dst = append(dst, ";\r\n boundary=\""...)
	dst = append(dst, boundary...)
	dst = append(dst, "\"\r\n"...)
	for _, kid := range p.kids {
		dst = append(dst, "\r\n--"...)
		dst = append(dst, boundary...)
		dst = append(dst, crlf...)
		dst = kid.appendTo(dst, id, n)
	}
	dst = append(dst, "\r\n--"...)
	dst = append(dst, boundary...)
	return append(dst, "--"...)
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
