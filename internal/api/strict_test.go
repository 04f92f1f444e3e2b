package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestShape(t *testing.T) {
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":{"a":1}`, i)
	}
	for doc, field := range map[string]string{
		`{}`: "", `[]`: "", `"a"`: "", `{"a":1,"b":{"a":1}}`: "", `[{"a":1},{"a":1}]`: "", `{"a":"a","b":["a","a"]}`: "",
		`{"a":1,"a":2}`:                                     "a",
		`{"x":{"a":1,"b":[{}],"a":2}}`:                      "a",
		`{"a":1,"\u0061":2}`:                                "a",
		`{"a\"":1,"a\"":2}`:                                 `a"`,
		`{"a":"\\","a":""}`:                                 "a",
		`{"a":{"b":1,"b":1},"c":1}`:                         "b",
		`{` + strings.Join(many, ",") + `}`:                 "",
		`{` + strings.Join(many, ",") + `,"k3":1}`:          "k3",
		`{` + strings.Join(many, ",") + `,"k39":1}`:         "k39",
		`[[{` + strings.Join(many, ",") + `,"k39":1}]]`:     "k39",
		strings.Repeat("[", 100) + strings.Repeat("]", 100): "",
		strings.Repeat("[", 101) + strings.Repeat("]", 101): "body",
	} {
		err := checkShape([]byte(doc))
		var e *Error
		errors.As(err, &e)
		if got := e; (got == nil) != (field == "") || got != nil && got.Body.Param != field {
			t.Errorf("%.80s: %v, want field %q", doc, err, field)
		}
	}
}

// FuzzShape compares with the token stream of encoding/json.
func FuzzShape(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":[{"c":"\\\""}]}`, `{"a":1,"a":2}`, `[[[]]]`, `{"\ud800":1,"\ufffd":2}`, "{\"\\ud800\":0,\"\x82\":0}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		if !json.Valid([]byte(doc)) || !utf8.ValidString(doc) { // decode lets nothing else through
			return
		}
		if got, want := checkShape([]byte(doc)) != nil, ambiguous(doc); got != want {
			t.Errorf("%q: refused %v, want %v", doc, got, want)
		}
	})
}

func ambiguous(doc string) bool {
	type frame struct {
		object, key bool
		seen        map[string]bool
	}
	var stack []frame
	d := json.NewDecoder(strings.NewReader(doc))
	for {
		tok, err := d.Token()
		if err != nil {
			return false
		}
		top := len(stack) - 1
		switch v := tok.(type) {
		case json.Delim:
			if v == '}' || v == ']' {
				stack = stack[:top]
				continue
			}
			if top >= 0 && stack[top].object {
				stack[top].key = true
			}
			stack = append(stack, frame{object: v == '{', key: v == '{', seen: map[string]bool{}})
			if len(stack) > maxDepth {
				return true
			}
			continue
		case string:
			if top >= 0 && stack[top].object && stack[top].key {
				if stack[top].seen[v] {
					return true
				}
				stack[top].seen[v], stack[top].key = true, false
				continue
			}
		}
		if top >= 0 && stack[top].object {
			stack[top].key = true
		}
	}
}

func BenchmarkShape(b *testing.B) {
	one := `{"email":"someone@example.org","name":"Some One","customFields":{"first":"Some","plan":"large"}}`
	doc := []byte(`{"to":[` + strings.Repeat(one+",", 999) + one + `],"htmlBody":"` + strings.Repeat("<p>hello</p>", 2000) + `"}`)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if err := checkShape(doc); err != nil {
			b.Fatal(err)
		}
	}
}
