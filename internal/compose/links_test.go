package compose

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLinks(t *testing.T) {
	f := func(html, text string, want ...Link) {
		t.Helper()
		if diff := cmp.Diff(want, Links([]byte(html), []byte(text))); diff != "" {
			t.Errorf("links of %.60q and %.60q (-want +got):\n%s", html, text, diff)
		}
	}
	f("", "")
	f(`<a href="https://a.example/?x=1&amp;y=2">a</a> <a href=https://b.example>b</a><A HREF="https://a.example/?x=1&y=2">a</A>`,
		"See https://b.example, or https://c.example/.",
		Link{"https://a.example/?x=1&y=2", 2, 0, 2}, Link{"https://b.example", 1, 1, 2}, Link{"https://c.example/", 0, 1, 1})
	f(`<a href="https://a.example/terms" data-notrack>x</a><a href="mailto:x@example.com">m</a><a href="#top">top</a><a name=n>n</a><a href="">e</a>`, "",
		Link{"https://a.example/terms", 1, 0, 0}, Link{"mailto:x@example.com", 1, 0, 0})
	f(`<!-- <a href="https://hidden.example">x</a> --><script>"<a href='https://s.example'>"</script><noscript><area href=" https://n.example "></noscript>`, "",
		Link{"https://n.example", 1, 0, 1})
	f(`<a href="javascript:alert(1)">x</a><a href="{{url}}">y</a>`, "", Link{"javascript:alert(1)", 1, 0, 0}, Link{"{{url}}", 1, 0, 0})
	if got := Links([]byte(strings.Repeat(`<a href="mailto:x@a.example">x</a>`, maxLinks)+`<a href="https://late.example">x</a>`), nil); len(got) != 1 {
		t.Errorf("behind many: %+v", got)
	}
	if got := Links([]byte(strings.Repeat(`<a href="https://a.example">x</a>`, 3*maxLinks)), nil); len(got) != 1 || got[0].HTML != maxLinks {
		t.Errorf("of many: %+v", got)
	}
}

// FuzzLinks: whatever the document, no place is tracked that is not there.
func FuzzLinks(f *testing.F) {
	f.Add(`<a href="https://a.example">x</a>`, "https://b.example")
	f.Add("<a href='x", "://")
	f.Fuzz(func(t *testing.T, html, text string) {
		for _, l := range Links([]byte(html), []byte(text)) {
			if l.URL == "" || l.Tracked > l.HTML+l.Text || l.HTML+l.Text == 0 {
				t.Fatalf("%+v", l)
			}
		}
	})
}
