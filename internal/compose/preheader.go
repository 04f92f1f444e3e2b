package compose

import (
	"bytes"
	stdhtml "html"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

const (
	preheaderOpen  = `<div style="display:none;max-height:0;max-width:0;overflow:hidden;opacity:0;mso-hide:all">`
	preheaderClose = `</div>`
)

// insertPreheader puts the text, hidden, behind the body tag; without one,
// behind the head, the html tag or the document type, else at the start. The
// document's own bytes stay as they are.
func insertPreheader(doc, text []byte) []byte {
	at := preheaderPlace(doc)
	escaped := stdhtml.EscapeString(string(text))
	out := make([]byte, 0, len(doc)+len(preheaderOpen)+len(escaped)+len(preheaderClose))
	out = append(out, doc[:at]...)
	out = append(out, preheaderOpen...)
	out = append(out, escaped...)
	out = append(out, preheaderClose...)
	return append(out, doc[at:]...)
}

// preheaderPlace is an offset into doc. The tokenizer knows comments, quoted
// attributes and scripts, where a body tag is none.
func preheaderPlace(doc []byte) int {
	z := html.NewTokenizer(bytes.NewReader(doc))
	place, at := 0, 0
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return min(place, len(doc))
		}
		at += len(z.Raw())
		switch kind { //nolint:exhaustive // other tokens have no place before them
		case html.DoctypeToken:
			place = at
		case html.StartTagToken, html.EndTagToken:
			name, _ := z.TagName()
			switch tag := atom.Lookup(name); {
			case tag == atom.Body && kind == html.StartTagToken:
				return at
			case tag == atom.Head && kind == html.EndTagToken, tag == atom.Html && kind == html.StartTagToken:
				place = at
			}
		}
	}
}
