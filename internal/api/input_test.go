package api

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// TestPlaceOfWrongTypes: the refusal of a wrong type names the value with its
// places in arrays.
func TestPlaceOfWrongTypes(t *testing.T) {
	f := func(body, param, says string) {
		t.Helper()
		_, err := decode[EmailMessage]([]byte(body))
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Body.Param != param || !strings.Contains(e.Body.Message, says) {
			t.Errorf("%s: %v", body, err)
		}
	}
	f(`{"groups":[5]}`, "groups[0]", "must be a string, not number")
	f(`{"groups":["a", "b" , {"c":[1]} ]}`, "groups[2]", "must be a string, not object")
	f(`{"groups":"a"}`, "groups", "must be an array, not string")
	f(`{"to":[{"email":"a@b.example","cc":[{"email":"c"},{"email":"d"}]},{"email":"e","cc":[{},{"name":"x","email":7}]}]}`, "to[1].cc[1].email", "must be a string, not number")
	f(`{"to":[[]]}`, "to[0]", "must be an object, not array")
	f(`{"to":[{"name":"}]\"{"},{"email":true}]}`, "to[1].email", "must be a string")
	f(`{"to":[{"cc":"x"}]}`, "to[0].cc", "must be an array")
	f(`{"from":{"email":[]}}`, "from.email", "must be a string")
	f(`{"other":[{"a":[1,2,{"b":3}]}],"FROM":{"Email":5}}`, "FROM.Email", "must be a string")
	f(`[]`, "body", "must be an object")
	f(` 5`, "body", "must be an object")
	f(`{"attachments":[{"content":"YQ==","filename":"a"},{"content":"YQ==","filename":5}]}`, "attachments[1].filename", "must be a string")
}

// FuzzPlaceOf: whatever the body, a place is found, and without its numbers it
// is what the decoder said.
func FuzzPlaceOf(f *testing.F) {
	f.Add([]byte(`{"to":[{"cc":[{"email":5}]}],"groups":[{}]}`))
	f.Add([]byte(`{"groups":["\u005b",[[1]]]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var v EmailMessage
		typ, ok := errors.AsType[*json.UnmarshalTypeError](json.Unmarshal(body, &v))
		if !ok {
			return
		}
		place := placeOf(body, typ)
		var plain strings.Builder
		depth := 0
		for _, r := range place {
			switch {
			case r == '[':
				depth++
			case r == ']':
				depth--
			case depth == 0:
				plain.WriteRune(r)
			}
		}
		if !strings.ContainsAny(typ.Field, "[]") && !strings.EqualFold(plain.String(), typ.Field) {
			t.Errorf("%q is at %q, said %q", body, place, typ.Field)
		}
	})
}
