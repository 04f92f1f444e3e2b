package compose

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"github.com/waypost-mail/waypost/internal/track"
)

// maxLinks bounds the links that are rewritten in a part. A link becomes longer
// by its token, so a hostile document of links alone must not grow with each.
const maxLinks = 2000

// layout is where a document takes what is put into it. Offsets are of the
// document as it was rendered.
type layout struct {
	preheader int // behind the body tag, else as early as it may stand
	pixel     int // before the last end of the body, else the end
	links     []link
}

// link is a URL to rewrite: doc[start:end] stands for url.
type link struct {
	start, end int
	url        string
}

// layoutOf finds the places in an HTML document; links when they are wanted.
// The tokenizer knows comments, those of Outlook's conditions included, quoted
// attributes, scripts and styles: nothing is found in them.
func layoutOf(doc []byte, wantLinks bool) layout {
	l := layout{pixel: len(doc)}
	z := html.NewTokenizer(bytes.NewReader(doc))
	at, body := 0, false
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			return l
		}
		start := at
		at = min(at+len(z.Raw()), len(doc))
		switch kind { //nolint:exhaustive // other tokens have no place in or before them
		case html.DoctypeToken:
			if !body {
				l.preheader = at
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			// The tokenizer's TagName copies, which is most of the cost here.
			switch tagOf(doc[start+1 : at]) { //nolint:exhaustive // all others are copied
			case atom.A, atom.Area:
				if wantLinks && len(l.links) < maxLinks {
					l.link(z, doc[start:at], start)
				}
			case atom.Body:
				if !body && kind == html.StartTagToken {
					l.preheader, body = at, true
				}
			case atom.Html:
				if !body && kind == html.StartTagToken {
					l.preheader = at
				}
			case atom.Noscript: // mail programs run no scripts, so what is in it is shown
				z.NextIsNotRawText()
			}
		case html.EndTagToken:
			switch tagOf(doc[start+2 : at]) { //nolint:exhaustive // all others are copied
			case atom.Head:
				if !body {
					l.preheader = at
				}
			case atom.Body:
				l.pixel = start
			}
		}
	}
}

// tagOf names the tag whose name begins a text, when it is one that counts
// here.
func tagOf(b []byte) atom.Atom {
	n := 0
	for n < len(b) && !isSpace(b[n]) && b[n] != '/' && b[n] != '>' {
		n++
	}
	for _, a := range [...]atom.Atom{atom.A, atom.Area, atom.Body, atom.Html, atom.Head, atom.Noscript} {
		if s := a.String(); len(s) == n && strings.EqualFold(s, string(b[:n])) {
			return a
		}
	}
	return 0
}

// link notes the target of an a or area tag, which begins at an offset of the
// document, when it is one to track.
func (l *layout) link(z *html.Tokenizer, tag []byte, offset int) {
	start, end, ok := hrefOf(tag)
	if !ok {
		return
	}
	value, ok := hrefValue(z)
	if !ok {
		return
	}
	raw := tag[start:end]
	if bytes.IndexByte(raw, '&') < 0 && bytes.IndexByte(raw, '\r') < 0 && string(raw) != value {
		return // the tokenizer reads the tag in another way: hands off
	}
	if url := strings.Trim(value, " \t\n\f\r"); trackable(url) {
		l.links = append(l.links, link{offset + start, offset + end, url})
	}
}

// hrefValue reads the current tag: its target with references decoded, not ok
// when it has none or asks not to be tracked.
func hrefValue(z *html.Tokenizer) (value string, ok bool) {
	for more := true; more; {
		var key, v []byte
		key, v, more = z.TagAttr()
		switch string(key) {
		case "data-notrack":
			return "", false
		case "href":
			if !ok {
				value, ok = string(v), true
			}
		}
	}
	return value, ok
}

// hrefOf finds the bytes of the first href's value in a start tag (HTML
// standard, 13.2.5.32 to 38), without quotes.
func hrefOf(tag []byte) (start, end int, ok bool) {
	i := 1
	for i < len(tag) && !isSpace(tag[i]) && tag[i] != '/' && tag[i] != '>' {
		i++ // the name
	}
	for i < len(tag) {
		if isSpace(tag[i]) || tag[i] == '/' {
			i++
			continue
		}
		if tag[i] == '>' {
			return 0, 0, false
		}
		name := i
		for i++; i < len(tag) && !isSpace(tag[i]) && tag[i] != '/' && tag[i] != '>' && tag[i] != '='; {
			i++
		}
		key := tag[name:i]
		i = skipSpace(tag, i)
		start, end = i, i
		if i < len(tag) && tag[i] == '=' {
			i = skipSpace(tag, i+1)
			start, end, i = valueAt(tag, i)
		}
		if bytes.EqualFold(key, []byte("href")) {
			return start, end, true
		}
	}
	return 0, 0, false
}

// valueAt finds the value that begins at i, and where the tag goes on.
func valueAt(tag []byte, i int) (start, end, next int) {
	if i < len(tag) && (tag[i] == '"' || tag[i] == '\'') {
		n := bytes.IndexByte(tag[i+1:], tag[i])
		if n < 0 {
			return i + 1, len(tag), len(tag)
		}
		return i + 1, i + 1 + n, i + n + 2
	}
	for start = i; i < len(tag) && !isSpace(tag[i]) && tag[i] != '>'; {
		i++
	}
	return start, i, i
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' }

// trackable tells whether a URL is rewritten: http or https with a host, no
// longer than a token takes, without control characters, which no redirect can
// carry, and not a tracking URL already.
func trackable(url string) bool {
	after, ok := webURL(url)
	if !ok || len(url) > track.MaxURL || after == "" || strings.IndexByte("/?#:", after[0]) >= 0 {
		return false
	}
	for i := range len(url) {
		if url[i] < ' ' || url[i] == 0x7f {
			return false
		}
	}
	return !track.Tracking(url)
}

// webURL gives what follows the scheme of an http or https URL.
func webURL(url string) (after string, ok bool) {
	scheme, after, ok := strings.Cut(url, "://")
	return after, ok && (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http"))
}
