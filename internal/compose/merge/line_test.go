package merge

import (
	"strings"
	"testing"
)

func TestLine(t *testing.T) {
	call := map[string]any{"name": "everybody", "shop": "A & B"}
	for _, c := range []struct{ src, own, want string }{
		{"Hello", `{"name":"Ann"}`, "Hello"},
		{"Hello {{name}} of {{shop}}", `{"name":"Ann"}`, "Hello Ann of A & B"},
		{"Hello {{name}}", "", "Hello everybody"},
		{"Hello {{nobody}}.", "", "Hello ."},
		{"{{price}} for {{id}}", `{"price":1.50,"id":9007199254740993}`, "1.50 for 9007199254740993"},
		{"Hello {{name}}", "{\"name\":\"a\\r\\nBcc: x\"}", "Hello aBcc: x"},
		{"one\r\ntwo", "", "onetwo"},
		{"Hello {{name", "", "Hello {{name"},
		{"Hello {{name}}", "no object", "Hello {{name}}"},
		{"{{name}}", `{"name":"` + strings.Repeat("x", 5000) + `"}`, "{{name}}"},
	} {
		if got := Line(c.src, []byte(c.own), call); got != c.want {
			t.Errorf("%q with %.60s: %.80q, want %q", c.src, c.own, got, c.want)
		}
	}
}

func TestNamed(t *testing.T) {
	call := map[string]any{"name": "Ann", "shop": map[string]any{"name": "us"}, "other": "x"}
	for src, want := range map[string]int{"Hello": 0, "{{name}} of {{shop.name}}": 2, "{{nobody}}": 0, "{{name": 0, "{{#if other}}{{name}}{{/if}}": 2} {
		if got := Named(src, call); len(got) != want || want == 2 && Line(src, nil, got) != Line(src, nil, call) {
			t.Errorf("%q names %v", src, got)
		}
	}
}

// FuzzLine: whatever the template and the variables, one line comes of it.
func FuzzLine(f *testing.F) {
	f.Add("Hello {{name}}", `{"name":"Ann\r\n"}`)
	f.Add("{{#each a}}{{this}}{{/each}}", `{"a":[1,2]}`)
	f.Fuzz(func(t *testing.T, src, own string) {
		got := Line(src, []byte(own), nil)
		if got != src && strings.ContainsAny(got, "\r\n\x00") {
			t.Errorf("%q with %q gives %q", src, own, got)
		}
	})
}
