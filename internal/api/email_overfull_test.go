package api

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestCallsOfManyParts holds that what a call costs in memory is bounded by its
// length, whatever it is made of, and that its refusal names the field.
func TestCallsOfManyParts(t *testing.T) {
	many := func(s string) string { return strings.Repeat(s+",", 4<<20/(len(s)+1)) + s }
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"%d":0,`, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	const rest = `"from":{"email":"a@example.com"},"textBody":"t"`
	for field, body := range map[string]string{
		"to":                `{"to":[` + many(`{}`) + `],` + rest + `}`,
		"to[0].cc":          `{"to":[{"email":"b@example.org","cc":[` + many(`{}`) + `]}],` + rest + `}`,
		"to[0].bcc":         `{"to":[{"email":"b@example.org","bcc":[` + many(`{}`) + `]}],` + rest + `}`,
		"attachments":       `{"to":[{"email":"b@example.org"}],"attachments":[` + many(`{}`) + `],` + rest + `}`,
		"groups":            `{"to":[{"email":"b@example.org"}],"groups":[` + many(`""`) + `],` + rest + `}`,
		"headers":           `{"to":[{"email":"b@example.org"}],"headers":{` + keys(300_000) + `},` + rest + `}`,
		"templateVariables": `{"to":[{"email":"b@example.org"}],"templateVariables":{"a":[` + many(`[]`) + `]},` + rest + `}`,
		"body":              `{"unknown":{` + keys(500_000) + `},` + rest + `}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var m EmailMessage
		err := overfull([]byte(body))
		if err == nil {
			m, err = decode[EmailMessage]([]byte(body))
		}
		if err == nil {
			_, err = m.submission()
		}
		runtime.ReadMemStats(&after)
		e, ok := err.(*Error) //nolint:errorlint // ours, not wrapped
		if !ok || e.Body.Param != field {
			t.Errorf("%s: %v", field, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; field != "body" && // whose keys are held against each other
			took > 8*uint64(len(body)) {
			t.Errorf("%s: a call of %d bytes takes %d of memory", field, len(body), took)
		}
	}
}

// TestOverfull holds that lists are counted as the decoder would read them.
func TestOverfull(t *testing.T) {
	pad := `,"textBody":"` + strings.Repeat("x", fromSize) + `"}`
	many := func(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	for body, field := range map[string]string{
		`{"to":[` + many(maxTo, `{"email":"a@b.example","x":[1,2]}`) + `]`:                     "",
		`{"to":[` + many(maxTo+1, `{"email":"a@b.example"}`) + `]`:                             "to",
		`{"T\u006f" : [ ` + many(maxTo+1, " {} ") + `]`:                                        "to",
		`{"groups":[` + many(maxGroups, `"a,]\"["`) + `]`:                                      "",
		`{"groups":[` + many(maxGroups+1, `"a"`) + `]`:                                         "groups",
		`{"groups":[` + many(maxGroups+1, `null`) + `]`:                                        "groups",
		`{"groups":[` + many(maxGroups, `-1.5e3 `) + `]`:                                       "",
		`{"headers":{` + many(maxHeaders+1, `"X-A":"b"`) + `}`:                                 "headers",
		`{"headers":{` + many(maxHeaders, `"X-A":"b"`) + `}`:                                   "",
		`{"to":[{},{"bcc":[` + many(maxCopies+1, `{}`) + `]}]`:                                 "to[1].bcc",
		`{"to":[{"cc":[` + many(maxCopies, `{}`) + `],"bcc":[` + many(maxCopies, `{}`) + `]}]`: "",
		`{"to":[{"customFields":{"cc":[` + many(maxCopies+1, `{}`) + `]}}]`:                    "",
		`{"templateVariables":{"to":[` + many(maxTo+1, `1`) + `]}`:                             "",
		`{"x":"no end`: "", `]`: "", `{"to":[` + strings.Repeat("[", 3*maxDepth): "",
	} {
		err := overfull([]byte(body + pad))
		e, _ := err.(*Error) //nolint:errorlint // ours, not wrapped
		if (e == nil) != (field == "") || e != nil && e.Body.Param != field {
			t.Errorf("%.60s: %v, want %q", body, err, field)
		}
	}
}

// FuzzOverfull wants an end whatever the body is, and no refusal of lists that
// the decoder finds short enough.
func FuzzOverfull(f *testing.F) {
	f.Add(`{"to":[{"cc":[{}]}],"groups":["a"],"headers":{"a":"b"},"attachments":[{}]`)
	f.Add("{\"to\":[1,tru\"")
	pad := `,"pad":"` + strings.Repeat("x", fromSize) + `"}`
	f.Fuzz(func(t *testing.T, doc string) {
		if err := overfull([]byte(doc + pad)); err != nil && len(doc) < maxGroups {
			t.Errorf("%q: %v", doc, err)
		}
	})
}
