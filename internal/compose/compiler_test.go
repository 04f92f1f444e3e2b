package compose

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/waypost-mail/waypost"
)

func TestCompilerRemembers(t *testing.T) {
	c := NewCompiler(100_000)
	content := func(html string) *waypost.Content {
		return &waypost.Content{From: shop, Subject: "s", HTML: html, Text: strings.Repeat("{{name}} ", 20)}
	}
	long := strings.Repeat("<p>{{name}}</p>", 100)
	first, err := c.Prepare(content(long))
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Prepare(content(long))
	if err != nil {
		t.Fatal(err)
	}
	if first.html != second.html || first.text != second.text {
		t.Error("the same templates are compiled twice")
	}
	if other, err := c.Prepare(content(long + " ")); err != nil || other.html == first.html || other.text != first.text {
		t.Errorf("another template: %v", err)
	}
	if _, err := c.Prepare(content(long + "{{#if x}}")); err == nil {
		t.Error("a broken template is accepted")
	}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 200 {
				if _, err := c.Prepare(content(fmt.Sprintf("%s%d", long, (i+j)%150))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	held := 0
	for _, src := range c.known.Keys() {
		held += len(src)
	}
	if held != c.bytes || held > 100_000 || held < 50_000 {
		t.Errorf("%d bytes held, %d counted, of at most 100,000", held, c.bytes)
	}
	again, err := c.Prepare(content(long))
	if err != nil || again.html == first.html {
		t.Errorf("what was used least lately is kept, or: %v", err)
	}
}

func TestMailbox(t *testing.T) {
	for in, want := range map[string]string{
		"Ada@reader.example": "Ada@reader.example", "a@BÜCHER.example": "a@xn--bcher-kva.example", "用户@例え.example": "用户@xn--r8jz45g.example",
		"ü@reader.example": "ü@reader.example", "": "", "a@b": "", "a@\u00ad.example": "", "a@" + strings.Repeat("ü", 40) + ".example": "",
	} {
		got, err := Mailbox(in)
		if (err != nil) != (want == "") || err == nil && got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

// BenchmarkPrepare is what a call costs before it is stored: with a template
// that was never seen, and with one that was.
func BenchmarkPrepare(b *testing.B) {
	c := trackedContent()
	c.HTML = strings.Repeat(c.HTML, 10)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if _, err := Prepare(&c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("repeated", func(b *testing.B) {
		compiler := NewCompiler(4 << 20)
		for b.Loop() {
			if _, err := compiler.Prepare(&c); err != nil {
				b.Fatal(err)
			}
		}
	})
}
