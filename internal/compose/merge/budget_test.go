package merge

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// nested returns n loops over the variable a, each in the other.
func nested(n int, inner string) string {
	return strings.Repeat("{{#each @root.a}}", n) + inner + strings.Repeat("{{/each}}", n)
}

func TestBudget(t *testing.T) {
	list := func(n int, item any) []any {
		out := make([]any, n)
		for i := range out {
			out[i] = item
		}
		return out
	}
	object := map[string]any{}
	for i := range 1000 {
		object[fmt.Sprint(i)] = i
	}
	f := func(src string, a any, want string) {
		t.Helper()
		got, err := mustParse(t, src).Render(nil, HTML, map[string]any{"a": a})
		var e *Error
		if got != nil || !errors.As(err, &e) || !errors.Is(err, ErrBudget) || e.Line != 1 || !strings.Contains(e.Msg, want) {
			t.Errorf("%.60q: got %d bytes, %v", src, len(got), err)
		}
	}
	const steps, output = "more than 100000 steps", "output becomes too large"
	f(nested(24, "x"), list(2, nil), steps)
	f(nested(MaxNesting, ""), list(1000, nil), steps)
	f(nested(2, "{{@key}}"), object, steps)
	f("{{#each a}}{{/each}}", list(MaxSteps, nil), steps)
	f("{{a}}", list(MaxSteps, nil), steps)
	f("{{#each a}}{{../a}}{{/each}}", list(1000, "x"), steps)
	f("{{#each a}}{{this.length}}{{/each}}", list(1000, strings.Repeat("x", 1<<20)), steps)
	f("{{#each a}}{{{this}}}{{/each}}", list(100, strings.Repeat("x", 1<<20)), output)
	f("{{a.0}}", list(1, strings.Repeat("=", 10<<20)), output)
}

func TestBudgetPlace(t *testing.T) {
	data := map[string]any{"a": make([]any, MaxSteps)}
	_, err := mustParse(t, "first\n  {{#each a}}{{/each}}").Render(nil, HTML, data)
	const want = "template line 2, column 3: the template takes more than 100000 steps with this data"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestRenderMax(t *testing.T) {
	f := func(src string, mode Mode, most int, ok bool) {
		t.Helper()
		got, err := mustParse(t, src).RenderMax([]byte("before"), mode, most, map[string]any{"x": "a=b"})
		if ok != (err == nil) || len(got) > len("before")+most || !ok && !errors.Is(err, ErrBudget) {
			t.Errorf("%q, at most %d: %q, %v", src, most, got, err)
		}
	}
	f("", HTML, 0, true)
	f("abc", HTML, 3, true)
	f("abc", HTML, 2, false)
	f("{{x}}", HTML, 8, true)
	f("{{x}}", HTML, 7, false)
	f("{{x}}", Text, 3, true)
	f("{{x}}", Text, 2, false)
	f("{{{x}}}", HTML, 3, true)
	f("a{{x}}", Header, 3, false)
}

// TestDeepData prints and walks lists nested deeper than any template.
func TestDeepData(t *testing.T) {
	var v any = "x"
	for range 1_000_000 {
		v = []any{v}
	}
	if got, err := mustParse(t, "[{{v}}]{{v.0.0.0.1}}").Render(nil, HTML, map[string]any{"v": v}); err != nil || string(got) != "[]" {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzMerge(f *testing.F) {
	for _, src := range []string{
		"", "{{x}}", "{{{x}}}", "{{&x}}", "{{status}}}", "bad {{", "{{#if x}}a{{else if y}}b{{else}}c{{/if}}",
		"{{#each list}}{{this.n}}{{@index}}{{#unless @last}}, {{/unless}}{{else}}-{{/each}}", "{{#with obj}}{{../x}}{{a}}{{/with}}",
		"a {{~#if x~}} b {{~/if~}} c", "{{! c }}{{!-- }} --}}{{!--}}", `\{{x}} \\{{x}} \\\{{x}}`, "{{.Name}}{{[a b].c}}{{@root.x}}{{../../x}}",
		"\n  {{#each obj}}\n{{@key}}={{.}}\n  {{/each}}\n", "{{list}}{{list.0.n}}{{list.length}}", "{{{{raw}}}}{{> p}}{{^x}}",
		nested(20, "{{list}}"),
	} {
		f.Add(src)
	}
	data := decode(f, `{"x":"<&>\r\n\u0000=","y":0,"n":1e6,"list":[{"n":1},"two",[3,null]],"obj":{"a":true,"b":{}},"a":["p","q"],"Name":"N"}`)
	f.Fuzz(func(t *testing.T, src string) {
		parsed, err := Parse(src)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 || e.Line > strings.Count(src, "\n")+1 || e.Msg == "" || len(e.Msg) > 300 {
				t.Errorf("error %#v", err)
			}
			return
		}
		const most = 4096
		for _, mode := range []Mode{HTML, Text, Header} {
			out, err := parsed.RenderMax(nil, mode, most, data)
			if err != nil {
				if !errors.Is(err, ErrBudget) || out != nil {
					t.Errorf("mode %d: %q, %v", mode, out, err)
				}
				continue
			}
			if len(out) > most {
				t.Errorf("mode %d: %d bytes", mode, len(out))
			}
			if mode == Header && strings.ContainsAny(string(out), "\r\n\x00") {
				t.Errorf("header %q", out)
			}
			if parsed.Static() && mode == Text && string(out) != src {
				t.Errorf("static %q gives %q", src, out)
			}
			again, err := parsed.RenderMax(nil, mode, most, data)
			if err != nil || string(again) != string(out) {
				t.Errorf("second run: %q, %v", again, err)
			}
		}
	})
}

// benchTemplate is a body of about 2 KB with ten variables.
func benchTemplate() string {
	var b strings.Builder
	b.WriteString("<h1>Hello {{name}}</h1>\n")
	for i := range 9 {
		fmt.Fprintf(&b, "<p>%s {{user.field%d}}</p>\n", strings.Repeat("Some words of a letter. ", 8), i)
	}
	return b.String()
}

func BenchmarkRender(b *testing.B) {
	parsed := mustParse(b, benchTemplate())
	user := map[string]any{}
	for i := range 9 {
		user[fmt.Sprintf("field%d", i)] = "a value of the user"
	}
	custom, variables := map[string]any{"user": user}, map[string]any{"name": "Ann & Bo"}
	reserved := map[string]string{"unsubscribe": "https://example.com/u"}
	for name, mode := range map[string]Mode{"html": HTML, "text": Text} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				var err error
				if buf, err = parsed.Render(buf[:0], mode, reserved, custom, variables); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

func BenchmarkRenderLoop(b *testing.B) {
	parsed := mustParse(b, "{{#each items}}\n<td>{{name}}</td><td>{{price}}</td>{{#unless @last}},{{/unless}}\n{{/each}}")
	items := make([]any, 20)
	for i := range items {
		items[i] = map[string]any{"name": "Article", "price": 12.5}
	}
	data := map[string]any{"items": items}
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		var err error
		if buf, err = parsed.Render(buf[:0], HTML, data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	src := benchTemplate()
	b.ReportAllocs()
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		if _, err := Parse(src); err != nil {
			b.Fatal(err)
		}
	}
}
