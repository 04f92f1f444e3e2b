package merge

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustParse(tb testing.TB, src string) *Template {
	tb.Helper()
	t, err := Parse(src)
	if err != nil {
		tb.Fatalf("%q: %v", src, err)
	}
	return t
}

func decode(tb testing.TB, text string) any {
	tb.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return v
}

// TestHandlebars compares with the recorded outputs of handlebars.js.
func TestHandlebars(t *testing.T) {
	var golden struct {
		Data  map[string]any
		Cases []struct {
			Mode, Template, Output string
			Data                   map[string]any
		}
	}
	text, err := os.ReadFile("testdata/handlebars.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Cases) < 100 {
		t.Fatalf("only %d cases", len(golden.Cases))
	}
	modes := map[string]Mode{"html": HTML, "text": Text}
	for _, c := range golden.Cases {
		data := c.Data
		if data == nil {
			data = golden.Data
		}
		parsed, err := Parse(c.Template)
		if err != nil {
			t.Errorf("%q: %v", c.Template, err)
			continue
		}
		got, err := parsed.Render(nil, modes[c.Mode], data)
		if err != nil || string(got) != c.Output {
			t.Errorf("%q\n got %q, %v\nwant %q", c.Template, got, err, c.Output)
		}
	}
}

func TestRender(t *testing.T) {
	data := decode(t, `{"name":"A&B","line":"a\r\nBcc: x\u0000y","obj":{"b":2,"a":1},"10":"ten",
		"list":["x",{"k":"v"},[1,[2]]],"n":{"b":[1,2]},"elsewhere":"e","status":"sent"}`)
	f := func(src string, mode Mode, want string) {
		t.Helper()
		got, err := mustParse(t, src).Render([]byte("> "), mode, data)
		if err != nil || string(got) != "> "+want {
			t.Errorf("%q: got %q, %v, want %q", src, got, err, want)
		}
	}
	f("{{name}} {{{name}}}", HTML, "A&amp;B A&B")
	f("{{name}} {{{name}}}", Text, "A&B A&B")
	f("{{name}} {{{name}}}", Header, "A&B A&B")
	f("Su\r\nbject {{line}} {{{line}}}\n", Header, "Subject aBcc: xy aBcc: xy")
	f("{{line}}", Text, "a\r\nBcc: x\x00y")

	// Where handlebars.js differs or fails.
	f("{{status}}}", HTML, "sent}")
	f("{{status}}}}}", HTML, "sent}}}")
	f("{{.name}}{{ .name }}{{.n.b}}{{.[name]}}", Text, "A&BA&B1,2A&B")
	f("{{#if .name}}y{{/if}}", Text, "y")
	f("[{{obj}}][{{{obj}}}][{{this}}][{{list}}]", HTML, "[][][][x,,1,2]")
	f("{{#each obj}}{{@key}}{{this}} {{/each}}", HTML, "a1 b2 ")
	f("{{elsewhere}}", HTML, "e")
	f("{{list.0}}{{10}}{{n.b.1}}{{n.b.01}}{{n.b.-1}}{{n.b.[+1]}}", HTML, "xten2")
	f("a\n{{#if no}}\n{{else if no}}\n x\n {{else}}\n y\n {{/if}}\nz", HTML, "a\n y\nz")
	f("{{#if name}}1{{~else if no}}2 {{~else if no}}3{{else~}} 4{{/if}}", HTML, "1")
}

func TestScopes(t *testing.T) {
	custom := map[string]any{"name": "custom", "null": nil, "list": []any{"a"}}
	variables := map[string]any{"name": "variable", "null": "x", "city": "Bonn"}
	reserved := map[string]string{"unsubscribe": "https://u.example/1"}
	f := func(src, want string) {
		t.Helper()
		got, err := mustParse(t, src).Render(nil, Text, reserved, custom, variables, nil, "ignored", 7)
		if err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v, want %q", src, got, err, want)
		}
	}
	f("{{name}} {{city}} {{unsubscribe}} {{none}}{{length}}", "custom Bonn https://u.example/1 ")
	f("[{{null}}]", "[]")
	f("{{this.name}}{{@root.city}}{{#each list}}{{this}}{{../city}}{{@root.unsubscribe}}{{/each}}", "customBonnaBonnhttps://u.example/1")
	f("{{#each this}}{{@key}} {{/each}}", "city list name null unsubscribe ")
	f("{{#with this}}{{city}}{{../city}}{{#with @root}}{{name}}{{/with}}{{/with}}", "Bonncustom")

	if got, err := mustParse(t, "[{{x}}]").Render(nil, HTML); err != nil || string(got) != "[]" {
		t.Errorf("no scopes: %q, %v", got, err)
	}
}

func TestNumbers(t *testing.T) {
	f := func(v any, want, truth string) {
		t.Helper()
		got, err := mustParse(t, "{{v}}{{#if v}}+{{else}}-{{/if}}").Render(nil, HTML, map[string]any{"v": v})
		if err != nil || string(got) != want+truth {
			t.Errorf("%v: got %q, %v, want %q", v, got, err, want+truth)
		}
	}
	f(0.0, "0", "-")
	f(-1e6, "-1000000", "+")
	f(1e20, "100000000000000000000", "+")
	f(1e21, "1e+21", "+")
	f(1.5e-7, "1.5e-7", "+")
	f(1e-10, "1e-10", "+")
	f(0.1, "0.1", "+")
	f(7, "7", "+")
	f(0, "0", "-")
	f(int64(0), "0", "-")
	f(int64(1)<<62, "4611686018427387904", "+")
	f(json.Number("0.0"), "0.0", "-")
	f(json.Number("12345678901234567890"), "12345678901234567890", "+")
	f(struct{ Secret string }{"s"}, "", "+")
}

func TestParseErrors(t *testing.T) {
	f := func(src string, line, column int, want string) {
		t.Helper()
		parsed, err := Parse(src)
		var e *Error
		if parsed != nil || !errors.As(err, &e) {
			t.Errorf("%.60q: parsed, %v", src, err)
			return
		}
		if e.Line != line || e.Column != column || !strings.Contains(e.Msg, want) || errors.Is(err, ErrBudget) {
			t.Errorf("%.60q: got %v, want line %d, column %d: %s", src, err, line, column, want)
		}
	}
	f("bad {{", 1, 5, "not closed by }}")
	f("bad {{ x", 1, 5, "not closed by }}")
	f("bad {{x}", 1, 8, "missing before }")
	f("ä\nöü {{\n<b>", 3, 1, "unexpected '<'")
	f("ä\nöü {{.", 2, 4, "not closed by }}")
	f("\n\n€€{{#foo x}}", 3, 6, `"foo" is no block`)
}

func TestParseErrorPlaces(t *testing.T) {
	f := func(src, want string) {
		t.Helper()
		_, err := Parse(src)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: got %v, want %q", src, err, want)
		}
	}
	f("{{}}", "line 1, column 3: a name is missing")
	f("{{ }}", "line 1, column 4: a name is missing")
	f("{{first name}}", "line 1, column 1: a tag holds one name; helpers are not supported")
	f("{{upper name}}", "helpers are not supported")
	f("{{(x)}}", "helpers are not supported")
	f("{{x \"a\"}}", "text in quotes")
	f("{{> part}}", "partials are not supported")
	f("{{#> part}}", "partials and decorators")
	f("{{* x}}", "decorators")
	f("{{{{raw}}}}", "{{{{ blocks")
	f("{{{x}}", "{{{ must be closed by }}}")
	f("{{{x} }}", "{{{ must be closed by }}}")
	f("a\r\nb {{#if x}}\n", "line 2, column 3: {{#if}} has no {{/if}}")
	f("{{#if x}}{{#each y}}{{/each}}", "line 1, column 1: {{#if}} has no {{/if}}")
	f("{{#if x}}\n{{/each}}", "line 2, column 1: {{/each}} cannot end the {{#if}} of line 1")
	f("{{/if}}", "ends nothing")
	f("{{/}}", "a name is missing")
	f("{{/if x}}", "a tag holds one name")
	f("{{else}}", "outside a block")
	f("{{else if x}}", "outside a block")
	f("{{#if a}}{{else}}{{else}}{{/if}}", "a second {{else}} in the {{#if}} of line 1")
	f("{{#if a}}{{else}}{{else if b}}{{/if}}", "a second {{else}}")
	f("{{#if a}}{{else foo b}}{{/if}}", `"foo" is no block`)
	f("{{#list items}}", `"list" is no block`)
	f("{{#if}}x{{/if}}", "if needs a name")
	f("{{#if a b}}x{{/if}}", "a tag holds one name")
	f("{{#each items as |x|}}{{/each}}", "block parameters")
	f("{{^x}}{{/x}}", "use {{#unless}}")
	f("{{! x", "the comment is not closed by }}")
	f("{{!-- x }}", "the comment is not closed by --}}")
	f("{{a.}}", "a name is missing")
	f("{{a..b}}", "column 5: unexpected '.'")
	f("{{a/../b}}", "can only begin")
	f("{{a.this}}", "can only begin")
	f("{{a.[b}}", "[ is not closed")
	f("{{@}}", "a name is missing")
	f("{{@../}}", "a name is missing")
	f("{{@..}}", "@ needs one of")
	f("{{a=b}}", "unexpected '='")
	f("{{"+strings.Repeat("a.", maxPath)+"a}}", "path of more than 32 names")
	f("{{"+strings.Repeat("../", maxPath)+"../a}}", "path of more than 32 names")
	f(strings.Repeat("{{#if a}}", MaxNesting+1), "nested more than 32 deep")
	f(strings.Repeat("{{#if a}}", 1_000_000), "nested more than 32 deep")
	f(strings.Repeat("{{a}}", MaxNodes+1), "more than 10000 parts")
	f("{{#if a}}"+strings.Repeat("{{else if a}}", MaxNodes), "more than 10000 parts")
	f(strings.Repeat("{{!--x--~}}", MaxNodes+1), "more than 10000 parts")
	f(strings.Repeat("\\{{", 2*MaxNodes), "more than 10000 parts")
}

func TestStaticAndVariables(t *testing.T) {
	f := func(src string, static bool, names ...string) {
		t.Helper()
		parsed := mustParse(t, src)
		if parsed.Static() != static {
			t.Errorf("%q: Static() = %t", src, !static)
		}
		if diff := cmp.Diff(names, slices.Clip(parsed.Variables())); diff != "" && len(names)+len(parsed.Variables()) > 0 {
			t.Errorf("%q: names (-want +got):\n%s", src, diff)
		}
	}
	f("", true)
	f("text { } }}", true)
	f("{{! comment }}", false)
	f(`\{{x}}`, false)
	f("{{x}} {{b.c}} {{{a}}} {{x}} {{.Name}} {{[first name]}}", false, "Name", "a", "b", "first name", "x")
	f("{{this.a}} {{./b}} {{@root.c.d}} {{this}} {{@index}} {{../no}}", false, "a", "b", "c")
	f("{{#each items}}{{n}}{{../a}}{{#with m}}{{o}}{{../p}}{{../../b}}{{@root.c}}{{else}}{{q}}{{../d}}{{/with}}{{else}}{{e}}{{/each}}{{g}}", false,
		"a", "b", "c", "d", "e", "g", "items")
	f("{{#if a}}{{b}}{{else if c}}{{d}}{{else each e}}{{f}}{{else if g}}{{h}}{{/if}}{{#if true}}{{/if}}{{#if true.x}}{{/if}}", false,
		"a", "b", "c", "d", "e", "g", "h", "true")
}
