package api_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost"
)

// refusal is an error answer.
type refusal struct {
	Error struct {
		Code, Message, Param, Type string
		Details                    []struct{ Field, Message string }
	}
}

// refused fails unless an answer is an error of the status and code given.
func (h *house) refused(what string, status int, answer []byte, code string, statuses ...int) {
	h.Helper()
	var r refusal
	if err := json.Unmarshal(answer, &r); err != nil || !slices.Contains(statuses, status) || r.Error.Message == "" || r.Error.Type == "" || code != "" && r.Error.Code != code {
		h.Errorf("%s: %d %.300s, want %v %s", what, status, answer, statuses, code)
	}
	if len(answer) > 20_000 {
		h.Errorf("%s: an error of %d bytes", what, len(answer))
	}
}

// canary stands in what is sent, and must not come back.
const canary = "canary-password-0123456789"

// readsJSON tells whether the operation has a body of JSON and of nothing else.
func (op *operation) readsJSON() bool {
	return op.RequestBody != nil && op.RequestBody.Content["application/json"] != nil && len(op.RequestBody.Content) == 1
}

// TestBadBodies gives every operation that reads a body those that it must
// refuse.
func TestBadBodies(t *testing.T) {
	h := newHouse(t)
	big := []byte(`{"x":"` + strings.Repeat("x", 30<<20) + `"}`)
	ops := h.operations()
	tried := 0
	for i := range ops {
		op := &ops[i]
		if !op.readsJSON() {
			continue
		}
		tried++
		path, _ := op.target(t, &h.ours)
		try := func(what, body string) {
			t.Helper()
			rec := h.send(op.method, path, map[string]string{h.headers[op.kind]: h.ours.keys[op.kind], "Content-Type": "application/json"}, []byte(body))
			// 406: what an id stands for can refuse before the body is read.
			h.refused(op.name()+" "+what, rec.Code, rec.Body.Bytes(), "", 422, 406)
			if strings.Contains(rec.Body.String(), canary) {
				t.Errorf("%s %s: repeats what was sent: %.300s", op.name(), what, rec.Body)
			}
		}
		try("without a body", "")
		try("of spaces", "  \n ")
		try("that is no JSON", "smtpPassword="+canary)
		try("cut short", `{"smtpPassword":"`+canary)
		try("of another kind", `"`+canary+`"`)
		try("a number", "5")
		try("not UTF-8", "{\"name\":\"\xff\xfe\"}")
		try("twice", `{}{"smtpPassword":"`+canary+`"}`)
		try("with a key twice", `{"smtpPassword":"`+canary+`","smtpPassword":"`+canary+`x"}`)
		try("with a key twice inside", `{"a":[{"b":1,"b":"`+canary+`"}]}`)
		try("deep", strings.Repeat(`{"a":`, 5000)+"1"+strings.Repeat("}", 5000))
		try("deeper", strings.Repeat("[", 200_000)+strings.Repeat("]", 200_000))

		rec := h.send(op.method, path, map[string]string{h.headers[op.kind]: h.ours.keys[op.kind]}, big)
		h.refused(op.name()+" of 30 MB", rec.Code, rec.Body.Bytes(), "", 413, 422, 406)
	}
	if tried < 20 {
		t.Errorf("only %d operations read a body", tried)
	}
	if strings.Contains(h.log.String(), canary) {
		t.Error("what was sent is in the log")
	}
}

// TestWrongTypes puts a value of each wrong type into every field that an
// operation names.
func TestWrongTypes(t *testing.T) {
	h := newHouse(t)
	var doc struct {
		Paths      map[string]map[string]operation
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ Type any }
			}
		}
	}
	_, _, text := h.call("GET", "/api/v1/openapi.json", waypost.KeyAccount, nil)
	h.ok(json.Unmarshal([]byte(text), &doc))
	ops := h.operations()
	tried := 0
	for i := range ops {
		op := &ops[i]
		if !op.readsJSON() || op.kind == waypost.KeyIngestion { // a bad item does not fail a report (D-31)
			continue
		}
		body, _ := json.Marshal(op.RequestBody.Content["application/json"])
		_, name, _ := strings.Cut(string(body), "#/components/schemas/")
		name, _, _ = strings.Cut(name, `"`)
		path, _ := op.target(t, &h.ours)
		for field, of := range doc.Components.Schemas[name].Properties {
			wrong := []string{`{"` + canary + `":[[]]}`, `[[{"x":"` + canary + `"}]]`}
			switch kind := fmt.Sprint(of.Type); {
			case strings.Contains(kind, "boolean"):
				wrong = append(wrong, `"`+canary+`"`, "5")
			case strings.Contains(kind, "integer"):
				wrong = append(wrong, `"`+canary+`"`, "1e99", "99999999999999999999", "true")
			case strings.Contains(kind, "string"):
				wrong = append(wrong, "5", "true")
			case strings.Contains(kind, "array"):
				wrong = append(wrong[:1], `"`+canary+`"`, "5")
			case strings.Contains(kind, "object"):
				wrong = append(wrong[1:], `"`+canary+`"`, "5")
			default:
				continue // a reference, or anything
			}
			for _, value := range wrong {
				tried++
				rec := h.send(op.method, path, map[string]string{h.headers[op.kind]: h.ours.keys[op.kind]}, []byte(`{"`+field+`":`+value+`}`))
				h.refused(fmt.Sprintf("%s with %s = %s", op.name(), field, value), rec.Code, rec.Body.Bytes(), "", 422, 404, 406)
				if strings.Contains(rec.Body.String(), canary) {
					t.Errorf("%s with %s = %s: repeats what was sent: %.300s", op.name(), field, value, rec.Body)
				}
			}
		}
	}
	if tried < 200 {
		t.Errorf("only %d wrong values tried", tried)
	}
}

// TestBadIDs: every operation on an object refuses ids that are unknown, and
// those that are none.
func TestBadIDs(t *testing.T) {
	h := newHouse(t)
	ops := h.operations()
	for i := range ops {
		op := &ops[i]
		before, rest, object := strings.Cut(op.path, "{")
		if !object || slices.Contains(everybodys[2:], op.path) {
			continue
		}
		_, tail, _ := strings.Cut(rest, "}")
		body := bodies[op.path]
		if body == "" {
			body = "{}"
		}
		for id, code := range map[string]string{
			"2147483647": "resource_not_found", "00000000-0000-7000-8000-000000000000": "", "9223372036854775808": "", "-1": "", "0": "", "x": "",
			"1%00": "", "%2e%2e": "", "1;2": "", "'": "", strings.Repeat("9", 300): "",
		} {
			path := before + id + tail + op.query()
			if j := strings.IndexByte(path, '{'); j >= 0 {
				path = path[:j] + "1" + path[strings.IndexByte(path, '}')+1:]
			}
			rec := h.send(op.method, path, map[string]string{h.headers[op.kind]: h.ours.keys[op.kind]}, []byte(body))
			h.refused(op.method+" "+path, rec.Code, rec.Body.Bytes(), code, 404, 406)
		}
	}
}

// TestBadQueries: pages, ranges, cursors and words that cannot be.
func TestBadQueries(t *testing.T) {
	h := newHouse(t)
	account, sub := waypost.KeyAccount, waypost.KeySubAccount
	for _, c := range []struct {
		kind   waypost.KeyKind
		path   string
		status int
		param  string
	}{
		{account, "/account/stat?from=2026-03-02&to=2026-03-01", 400, "to"},
		{account, "/account/stat?from=2026-03-01&to=2026-04-01", 400, "to"},
		{account, "/account/stat?from=2026-03-01", 400, "to"},
		{account, "/account/stat", 400, "from"},
		{account, "/account/stat?from=yesterday&to=2026-03-01", 400, "from"},
		{account, "/account/stat?from=2026-02-30&to=2026-03-01", 400, "from"},
		{account, "/account/stat?from=2026-03-01T00:00:00Z&to=2026-03-01", 400, "from"},
		{account, "/account/stat/aggregate?from=2025-03-01&to=2026-03-02", 400, "to"},
		{account, "/account/stat/group?from=2026-03-01&to=2026-03-02", 400, "group"},
		{account, "/account/stat/aggregate/group?from=2026-03-01&to=2026-03-02&group=" + strings.Repeat("g", 256), 400, "group"},
		{account, "/account/stat/breakdown?from=2026-03-01&to=2026-03-02&by=moon", 400, "by"},
		{account, "/account/stat/breakdown?from=2026-03-01&to=2026-03-02&by=group&tpspId=1", 400, "tpspId"},
		{account, "/account/stat/breakdown?from=2026-03-01&to=2026-04-02&by=group&perDay=true", 400, "to"},
		{account, "/account/stat/breakdown?from=2026-03-01&to=2026-03-02&by=total&perDay=often", 422, "perDay"},
		{account, "/account/subaccount/stat/1?from=2026-03-02&to=2026-03-01", 400, "to"},
		{account, "/account/subaccount/stat/1/aggregate?from=2026-03-02&to=2026-03-01", 400, "to"},
		{account, "/account/subaccount/stat/1/group?from=2026-03-02&to=2026-03-01&group=g", 400, "to"},
		{sub, "/subaccount/stat?from=2026-03-02&to=2026-03-01", 400, "to"},
		{sub, "/subaccount/stat/aggregate/ips?from=2026-03-02&to=2026-03-01", 400, "to"},
		{account, "/account/message", 400, "from"},
		{account, "/account/message?from=2026-01-01&to=2026-03-02", 400, "to"},
		{account, "/account/message?from=2026-03-02&to=2026-03-01", 400, "to"},
		{account, "/account/message?from=x&to=2026-03-01", 400, "from"},
		{account, "/account/message?from=2026-03-01&to=2026-03-02&limit=101", 422, "limit"},
		{account, "/account/message?from=2026-03-01&to=2026-03-02&search=half", 422, "search"},
		{sub, "/subaccount/message?from=2026-03-02&to=2026-03-01", 422, "to"},
		{sub, "/subaccount/message?before=x", 422, "before"},
		{account, "/account/event?from=2026-03-02&to=2026-03-01", 422, "to"},
		{account, "/account/event?type=bounced", 422, "type"},
		{account, "/account/event?type=99", 422, "type"},
		{account, "/account/event?search=half", 422, "search"},
		{account, "/account/event?source=tpsp", 422, "source"},
		{account, "/account/event?source=moon&sourceId=1", 422, "source"},
		{account, "/account/event?before=x", 422, "before"},
		{account, "/account/event?before=-5", 422, "before"},
		{account, "/account/event?limit=0", 422, "limit"},
		{account, "/account/event?limit=101", 422, "limit"},
		{account, "/account/event?offset=-1", 422, "offset"},
		{account, "/account/event?offset=100001", 422, "offset"},
		{sub, "/subaccount/message?offset=100001", 422, "offset"},
		{account, "/account/event?smtpCode=many", 422, "smtpCode"},
		{account, "/account/export/event?format=xml", 422, "format"},
		{account, "/account/recipient/a@example.org/messages?search=b@example.org", 422, "search"},
		{account, "/account/recipient/nobody/messages", 422, "recipient"},
		{account, "/account/subaccount?limit=1001", 422, "limit"},
		{account, "/account/subaccount?offset=x", 422, "offset"},
		{account, "/account/ip?limit=0", 422, "limit"},
		{account, "/account/key?kind=moon", 422, "kind"},
		{account, "/account/audit?limit=-1", 422, "limit"},
	} {
		rec := h.send("GET", "/api/v1"+c.path, map[string]string{h.headers[c.kind]: h.ours.keys[c.kind]}, nil)
		code := map[int]string{400: "invalid_request", 422: "validation_error"}[c.status]
		h.refused(c.path, rec.Code, rec.Body.Bytes(), code, c.status)
		var r refusal
		if _ = json.Unmarshal(rec.Body.Bytes(), &r); r.Error.Param != c.param {
			t.Errorf("%s: param %q, want %q: %s", c.path, r.Error.Param, c.param, r.Error.Message)
		}
	}
}

// TestGzipBodies: only the agent's reports may be compressed, within their
// bound; elsewhere a compressed body is no JSON.
func TestGzipBodies(t *testing.T) {
	h := newHouse(t)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 200<<20))
	h.ok(z.Close())
	ops := h.operations()
	for i := range ops {
		op := &ops[i]
		if op.RequestBody == nil {
			continue
		}
		path, _ := op.target(t, &h.ours)
		rec := h.send(op.method, path, map[string]string{h.headers[op.kind]: h.ours.keys[op.kind], "Content-Encoding": "gzip"}, bomb.Bytes())
		h.refused(op.name()+" of a gzip bomb", rec.Code, rec.Body.Bytes(), "", 413, 422, 406)
	}
	rec := h.send("POST", "/api/v1/subaccount/email/", map[string]string{h.headers[waypost.KeySubAccount]: h.ours.keys[waypost.KeySubAccount], "Content-Encoding": "gzip"}, bomb.Bytes())
	if !strings.Contains(rec.Body.String(), "compressed with gzip") {
		t.Errorf("a compressed send is not told why it is refused: %s", rec.Body)
	}
}

// TestDuplicateKeyIsNamed: the refusal says which key stands twice.
func TestDuplicateKeyIsNamed(t *testing.T) {
	h := newHouse(t)
	message, param := errorOf(h.want(422, "POST", "/api/v1/account/subaccount", waypost.KeyAccount, `{"name":"a","name":"b"}`))
	if param != "name" || !strings.Contains(message, "twice") {
		t.Errorf("%s: %s", param, message)
	}
}
