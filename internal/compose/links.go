package compose

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Link is a URL that the parts of a message lead to.
type Link struct {
	URL     string
	HTML    int // places in the HTML
	Text    int // places in the plain text
	Tracked int // of all places, those that click tracking rewrites
}

// Links lists the URLs of a message as it was merged, before tracking goes in,
// in the order of their first place: those of the HTML, whatever their scheme,
// then those that are in the text alone. Links within the message are left
// out. It looks at the first 2,000 places of each part, as tracking does.
func Links(htmlPart, text []byte) []Link {
	l := linkList{at: map[string]int{}}
	for _, url := range hrefs(htmlPart) {
		l.of(url).HTML++
	}
	for _, one := range layoutOf(htmlPart, true).links {
		if i, ok := l.at[one.url]; ok && l.all[i].Tracked < l.all[i].HTML {
			l.all[i].Tracked++
		}
	}
	for _, one := range textLinks(text) {
		to := l.of(one.url)
		to.Text++
		to.Tracked++
	}
	return l.all
}

type linkList struct {
	all []Link
	at  map[string]int
}

func (l *linkList) of(url string) *Link {
	i, ok := l.at[url]
	if !ok {
		i = len(l.all)
		l.at[url] = i
		l.all = append(l.all, Link{URL: url})
	}
	return &l.all[i]
}

// hrefs are the targets of the links of an HTML document, tracked or not.
func hrefs(doc []byte) []string {
	var out []string
	z := html.NewTokenizer(bytes.NewReader(doc))
	at := 0
	for len(out) < maxLinks {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		start := at
		at = min(at+len(z.Raw()), len(doc))
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		switch tagOf(doc[start+1 : at]) { //nolint:exhaustive // others lead nowhere
		case atom.A, atom.Area:
			if url := hrefOnly(z); url != "" && url[0] != '#' {
				out = append(out, url)
			}
		case atom.Noscript:
			z.NextIsNotRawText()
		}
	}
	return out
}

// hrefOnly is the target of the current tag.
func hrefOnly(z *html.Tokenizer) string {
	for more := true; more; {
		var key, v []byte
		key, v, more = z.TagAttr()
		if string(key) == "href" {
			return strings.Trim(string(v), " \t\n\f\r")
		}
	}
	return ""
}
