package compose

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/track"
)

var (
	trackingURL = regexp.MustCompile(`https://track\.shop\.example/track/tpsp/(open|click|unsubscribe)/([A-Za-z0-9_-]+)(/1\.png)?`)
	pixelTag    = regexp.MustCompile(`<img src="(\[open\])" width="1" height="1" alt="" style="[^"]*">`)
)

// readable puts what a token says in the place of each tracking URL: [1/3 URL]
// for a click.
func readable(t interface {
	Helper()
	Errorf(string, ...any)
}, doc string,
) string {
	t.Helper()
	doc = trackingURL.ReplaceAllStringFunc(doc, func(s string) string {
		m := trackingURL.FindStringSubmatch(s)
		token, err := testSite.Keys.Open(m[2])
		if err != nil || token.Message != testID {
			t.Errorf("token of %s: %v, %+v", s, err, token)
			return s
		}
		switch {
		case token.Kind == track.Click && m[1] == "click":
			return fmt.Sprintf("[%d/%d %s]", token.Link, token.Links, token.URL)
		case token.Kind == track.Open && m[1] == "open", token.Kind == track.Unsubscribe && m[1] == "unsubscribe":
			return "[" + m[1] + "]"
		}
		t.Errorf("%s has a token of kind %d", s, token.Kind)
		return s
	})
	return pixelTag.ReplaceAllString(doc, "$1")
}

// tracked renders the bodies of a content as they are sent.
func tracked(tb testing.TB, c waypost.Content) (html, text string) {
	tb.Helper()
	c.From = shop
	p, err := Prepare(&c)
	if err != nil {
		tb.Fatal(err)
	}
	m := testMessage()
	o := Options{SenderDomain: "shop.example", Now: testTime, Track: testSite}
	r, err := p.merge(&m, unsubscribeURL(&m, &o))
	if err != nil {
		tb.Fatal(err)
	}
	p.follow(&r, &m, &o)
	return string(r.html), string(r.text)
}

// TestRewrittenHTML compares documents with what became of them: files of two
// parts, before and after. A document with and without a variable comes out the
// same: one is laid out once, the other for each recipient.
func TestRewrittenHTML(t *testing.T) {
	files, err := filepath.Glob("testdata/links/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	const rule = "\n----\n"
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		in, want, _ := strings.Cut(string(content), rule)
		static, _ := tracked(t, waypost.Content{HTML: in, TrackOpens: true, TrackClicks: true})
		got := readable(t, static)
		if *update {
			if err := os.WriteFile(file, []byte(in+rule+got), 0o644); err != nil {
				t.Fatal(err)
			}
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
		varied, _ := tracked(t, waypost.Content{HTML: in + "{{nothing}}", TrackOpens: true, TrackClicks: true})
		if varied != static {
			t.Errorf("%s: laid out for each recipient it comes out as\n%s", file, varied)
		}
	}
}

func TestRewrittenText(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "",
		"no link, http:// nor https://":   "no link, http:// nor https://",
		"https://a.example":               "[1/1 https://a.example]",
		"See http://a.example/x?y=1&z=2.": "See [1/1 http://a.example/x?y=1&z=2].",
		"HTTPS://A.example, and (https://b.example/(c)) and <https://d.example/e>": "[1/3 HTTPS://A.example], and ([2/3 https://b.example/(c)]) and <[3/3 https://d.example/e]>",
		"[https://a.example/[1]]: \"https://b.example/\"":                          "[[1/2 https://a.example/[1]]]: \"[2/2 https://b.example/]\"",
		"https://a.example/x_ *https://b.example/*!":                               "[1/2 https://a.example/x_] *[2/2 https://b.example/*]!",
		"xhttps://a.example svn+https://b.example ftp://c.example":                 "xhttps://a.example svn+https://b.example ftp://c.example",
		"https://ru.example/Россия, «https://b.example/»":                          "[1/2 https://ru.example/Россия], «[2/2 https://b.example/]»",
		"请看https://a.example/页。":                                                   "请看[1/1 https://a.example/]页。",
		"https://a.example/\r\nhttps://b.example/?;":                               "[1/2 https://a.example/]\r\n[2/2 https://b.example/]?;",
		"https:///x https://?x https://#x https://:80/":                            "https:///x https://?x https://#x https://:80/",
		"out {{unsubscribe}}.":                                                     "out [unsubscribe].",
		"https://a.example/https://b.example/":                                     "[1/1 https://a.example/https://b.example/]",
	} {
		_, got := tracked(t, waypost.Content{Text: in, TrackOpens: true, TrackClicks: true})
		if got = readable(t, got); got != want {
			t.Errorf("%q\n got %q\nwant %q", in, got, want)
		}
	}
}

func TestWhatIsNotTracked(t *testing.T) {
	const doc = `<body><a href="https://a.example/">a</a> {{{unsubscribe}}}</body>`
	f := func(opens, clicks bool, want string) {
		t.Helper()
		html, text := tracked(t, waypost.Content{HTML: doc, Text: "https://a.example/", TrackOpens: opens, TrackClicks: clicks})
		if got := readable(t, html); got != want {
			t.Errorf("opens %v, clicks %v: %s", opens, clicks, got)
		}
		if (text == "https://a.example/") == clicks {
			t.Errorf("clicks %v: text %s", clicks, text)
		}
	}
	f(false, false, `<body><a href="https://a.example/">a</a> [unsubscribe]</body>`)
	f(true, false, `<body><a href="https://a.example/">a</a> [unsubscribe][open]</body>`)
	f(false, true, `<body><a href="[1/1 https://a.example/]">a</a> [unsubscribe]</body>`)

	long := "https://a.example/" + strings.Repeat("x", track.MaxURL-len("https://a.example/"))
	html, _ := tracked(t, waypost.Content{HTML: "<a href=" + long + ">", TrackClicks: true})
	if got := readable(t, html); got != "<a href=[1/1 "+long+"]>" {
		t.Errorf("a link of %d bytes comes out as %.200s", len(long), got)
	}
	html, _ = tracked(t, waypost.Content{HTML: "<a href=" + long + "x>", TrackClicks: true})
	if html != "<a href="+long+"x>" {
		t.Errorf("a link longer than a token takes comes out as %.200s", html)
	}
}

// TestManyLinks: a hostile document grows by a bounded number of tokens.
func TestManyLinks(t *testing.T) {
	doc := strings.Repeat("<a href=http://a>", 300_000) // 5 MB
	html, text := tracked(t, waypost.Content{HTML: doc, Text: strings.Repeat("http://a ", 100_000), TrackClicks: true, TrackOpens: true})
	if n := strings.Count(html, "/click/"); n != maxLinks || len(html) > len(doc)+400*maxLinks {
		t.Errorf("%d links rewritten, %d bytes", n, len(html))
	}
	if n := strings.Count(text, "/click/"); n != maxLinks {
		t.Errorf("%d links of the text rewritten", n)
	}
}

// TestListUnsubscribe: RFC 8058 fields with the recipient's own URL, unless the
// request brings its own.
func TestListUnsubscribe(t *testing.T) {
	f := func(site *track.Site, headers []waypost.Header, want string) {
		t.Helper()
		p, err := Prepare(&waypost.Content{From: shop, Text: "x", Headers: headers})
		if err != nil {
			t.Fatal(err)
		}
		m := testMessage()
		signed, err := p.Message(&m, Options{SenderDomain: "shop.example", Now: testTime, Track: site})
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := bytes.Cut(signed.Bytes(), []byte("\r\n\r\n"))
		var got []string
		for line := range strings.SplitSeq(readable(t, string(head)), "\r\n") {
			if strings.HasPrefix(strings.ToLower(line), "list-") {
				got = append(got, line)
			}
		}
		if strings.Join(got, "|") != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	own := []waypost.Header{{Name: "list-unsubscribe", Value: "<mailto:u@shop.example>"}}
	post := []waypost.Header{{Name: "List-Unsubscribe-Post", Value: "List-Unsubscribe=One-Click"}}
	f(testSite, nil, "List-Unsubscribe: <[unsubscribe]>|List-Unsubscribe-Post: List-Unsubscribe=One-Click")
	f(testSite, own, "list-unsubscribe: <mailto:u@shop.example>")
	f(testSite, post, "List-Unsubscribe: <[unsubscribe]>|List-Unsubscribe-Post: List-Unsubscribe=One-Click")
	f(nil, nil, "")
	// No custom field can take the place of the reserved name.
	_, text := tracked(t, waypost.Content{Text: "{{unsubscribe}}", Variables: map[string]any{"unsubscribe": "mine"}})
	if readable(t, text) != "[unsubscribe]" {
		t.Errorf("{{unsubscribe}} gives %s", text)
	}
}

// TestRewriterProperty: of arbitrary documents, the rewriter changes nothing
// but the targets of links, and puts nothing but one pixel into them; a browser
// sees the same links as before.
func TestRewriterProperty(t *testing.T) {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{
			"<a href=", "<a HREF='", `<area x=1 href="`, "<a\nhref = ", "https://a.example/?b=1&amp;c=2", "http://x", "'", `"`, ">", " ", "\n", "/", "=",
			"<!--[if mso]>", "<![endif]-->", "<!--", "-->", "</a>", "<body>", "</body>", "</BODY >", "<script>", "</script>", "<title>", "</title>",
			"<noscript>", "</noscript>", "data-notrack", "mailto:a@b", "#", "&quot;", "&copy=", "\r\n", "<style>", "</style>", "<p", "<", "&", "\x00", "é", "<a", "<a/", "href", "<![CDATA[", "]]>", "<textarea>",
		}),
		rapid.StringN(0, 4, -1),
	)
	rapid.Check(t, func(t *rapid.T) {
		checkRewriter(t, strings.Join(rapid.SliceOfN(piece, 0, 30).Draw(t, "pieces"), ""))
	})
}

// FuzzRewriter is TestRewriterProperty on any bytes.
func FuzzRewriter(f *testing.F) {
	f.Add(`<html><body><a class=x HREF=https://a.example/?q&amp;r>a</a><!--[if mso]><a href="https://b">b</a><![endif]--></body>`)
	f.Add(`<a "href"='https://a' / href=https://b/>x<area href = "http://c">`)
	f.Add("<a href=\"\thttps://a\n\">\x00<a\x00href=http://x>")
	f.Add(`<a href="https://a`)
	f.Fuzz(func(t *testing.T, doc string) { checkRewriter(t, doc) })
}

func checkRewriter(t interface {
	Helper()
	Errorf(string, ...any)
}, doc string,
) {
	t.Helper()
	l := layoutOf([]byte(doc), true)
	w := wrapper{site: testSite, token: track.Token{Message: testID, Relayed: testTime}, doc: []byte(doc), links: l.links}
	got := string(w.html(&l, nil, true))
	// The bytes: undoing the replacements gives the document back.
	back := got
	place := strings.LastIndex(back, pixelOpen+testSite.Base)
	if place < 0 {
		t.Errorf("no pixel in %q", got)
		return
	}
	end := place + strings.Index(back[place:], pixelClose) + len(pixelClose)
	back = back[:place] + back[end:]
	var undone strings.Builder
	last := 0
	for i, at := range trackingURL.FindAllStringIndex(back, -1) {
		if i >= len(l.links) {
			break
		}
		undone.WriteString(back[last:at[0]])
		undone.WriteString(doc[l.links[i].start:l.links[i].end])
		last = at[1]
	}
	undone.WriteString(back[last:])
	if undone.String() != doc {
		t.Errorf("bytes changed:\n was %q\n got %q", doc, got)
	}
	// The links: the tokenizer reads each as before, or as its tracking URL.
	before, after := targets(doc), targets(strings.Replace(got, got[place:end], "", 1))
	if len(before) != len(after) {
		t.Errorf("%d links became %d:\n was %q\n got %q", len(before), len(after), doc, got)
		return
	}
	for i := range before {
		url := after[i]
		if m := trackingURL.FindStringSubmatch(url); m != nil && m[0] == url {
			token, err := testSite.Keys.Open(m[2])
			if err != nil {
				t.Errorf("%s: %v", url, err)
			}
			url = token.URL
		}
		if strings.Trim(before[i], " \t\n\f\r") != strings.Trim(url, " \t\n\f\r") {
			t.Errorf("link %q became %q in %q", before[i], after[i], doc)
		}
	}
}

// targets lists the first href of every a and area tag.
func targets(doc string) []string {
	var out []string
	z := html.NewTokenizer(strings.NewReader(doc))
	for z.Next() != html.ErrorToken {
		token := z.Token()
		if token.Type == html.StartTagToken && token.Data == "noscript" {
			z.NextIsNotRawText()
		}
		if token.Data != "a" && token.Data != "area" || token.Type == html.EndTagToken {
			continue
		}
		for _, a := range token.Attr {
			if a.Key == "href" {
				out = append(out, a.Val)
				break
			}
		}
	}
	return out
}
