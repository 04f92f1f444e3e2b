package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

const (
	templates = "/api/v1/account/template"
	sendCall  = "/api/v1/subaccount/email"
)

func TestTemplateCalls(t *testing.T) {
	w := newWorld(t)
	body := map[string]any{"name": "welcome", "subject": "Hello {{name}}", "html": "<p>{{name}}</p>", "text": "{{name}}", "template": `{"blocks":[]}`}
	first := w.want(200, "POST", templates+"/", waypost.KeyAccount, body)
	keys := func(m map[string]any) string {
		var out []string
		for _, k := range []string{"id", "name", "subject", "html", "text", "template", "created", "updated"} {
			if _, ok := m[k]; ok {
				out = append(out, k)
			}
		}
		return fmt.Sprint(len(m), out)
	}
	if got := keys(first); got != "7 [id name html text template created updated]" {
		t.Errorf("legacy: %s", got)
	}
	one := fmt.Sprintf("%s/%v", templates, first["id"])
	if m := w.wantV1(200, "GET", one, waypost.KeyAccount, nil); keys(m) != "8 [id name subject html text template created updated]" || m["subject"] != "Hello {{name}}" {
		t.Errorf("v1: %v", m)
	}
	if _, param := errorOf(w.want(403, "POST", templates, waypost.KeyAccount, body)); param != "name" {
		t.Errorf("taken: param %q", param)
	}
	for n, want := range []string{"welcome (copy)", "welcome (copy 2)"} {
		if m := w.wantV1(200, "POST", one+"/copy", waypost.KeyAccount, nil); m["name"] != want || m["html"] != body["html"] || m["subject"] != body["subject"] || m["id"] == first["id"] {
			t.Errorf("copy %d: %v", n, m)
		}
	}
	if m := w.wantV1(200, "PUT", one, waypost.KeyAccount, `{"text":"now {{other}}"}`); m["text"] != "now {{other}}" || m["html"] != body["html"] || m["subject"] != body["subject"] {
		t.Errorf("changed: %v", m)
	}
	w.want(403, "PUT", one, waypost.KeyAccount, `{"name":"welcome (copy)"}`)
	if n := w.want(200, "GET", templates+"/count", waypost.KeyAccount, nil)["count"]; n != 3.0 {
		t.Errorf("count %v", n)
	}
	if l := w.want(200, "GET", templates+"?search=COPY&limit=1&offset=1", waypost.KeyAccount, nil)["list"].([]any); len(l) != 1 || l[0].(map[string]any)["name"] != "welcome (copy 2)" {
		t.Errorf("list %v", l)
	}
	if m := w.want(200, "DELETE", one, waypost.KeyAccount, nil); len(m) != 2 || m["message"] != "Template (welcome) has been deleted successfully" {
		t.Errorf("deleted %v", m)
	}
	for _, call := range []string{"GET ", "PUT ", "DELETE ", "POST /copy"} {
		method, tail, _ := strings.Cut(call, " ")
		w.want(404, method, one+tail, waypost.KeyAccount, "{}")
	}
	for field, bad := range map[string]string{
		"name": `{"text":"x"}`, "html": `{"name":"n","html":"line\n  {{#if x}}"}`, "text": `{"name":"n","text":"{{/each}}"}`,
		"subject": `{"name":"n","subject":"{{"}`, "body": `[]`,
	} {
		message, param := errorOf(w.want(422, "POST", templates, waypost.KeyAccount, bad))
		if param != field || field == "html" && !strings.Contains(message, "line 2, column 3") {
			t.Errorf("%s: %s: %s", bad, param, message)
		}
	}
}

// TestSendTemplate sends by name, by id as text and as number, and from both
// calls; what the call gives itself wins.
func TestSendTemplate(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	w.verified("example.com")
	id := w.want(200, "POST", templates, waypost.KeyAccount, `{"name":"welcome","subject":"S {{a}}","html":"<p>H {{a}}</p>","text":"T {{a}}"}`)["id"]
	call := func(path, more string) string {
		return fmt.Sprintf(`{"from":{"email":"x@example.com"},"to":[{"email":"a@example.org","customFields":{"a":"own"}},{"email":"b@example.org"}],%s}`, more)
	}
	send := func(path, more string) (waypost.Content, waypost.Message) {
		t.Helper()
		l := w.want(200, "POST", path, waypost.KeySubAccount, call(path, more))["list"].([]any)
		return w.content(l[1].(map[string]any)["messageId"].(string))
	}
	for _, path := range []string{sendCall, sendCall + "/template", sendCall + "/template/"} {
		for _, named := range []string{`"template":"welcome"`, fmt.Sprintf(`"templateId":"%v"`, id), fmt.Sprintf(`"templateId":%v`, id), fmt.Sprintf(`"template":"welcome","templateId":"%v"`, id)} {
			if c, _ := send(path, named); c.Subject != "S {{a}}" || c.HTML != "<p>H {{a}}</p>" || c.Text != "T {{a}}" {
				t.Errorf("%s with %s: %+v", path, named, c)
			}
		}
	}
	c, m := send(sendCall+"/template", `"template":"welcome","subject":"mine","textBody":"my text","templateVariables":{"a":"call","price":1.50},"dynamicData":{"a":"dynamic","b":{"c":[1]}},"groups":["g"],"webhookEndpoint":"https://hook.example/x"`)
	if c.Subject != "mine" || c.Text != "my text" || c.HTML != "<p>H {{a}}</p>" || fmt.Sprint(c.Variables) != "map[a:call b:map[c:[1]] price:1.50]" {
		t.Errorf("%+v", c)
	}
	if c.Webhook != "https://hook.example/x" || !m.OwnWebhook || fmt.Sprint(m.Groups) != "[g]" {
		t.Errorf("%+v", m)
	}
	for more, field := range map[string]string{
		`"template":"nowhere"`: "template", `"templateId":"99"`: "templateId", `"templateId":"x"`: "templateId", `"templateId":{}`: "templateId",
		fmt.Sprintf(`"template":"other","templateId":"%v"`, id): "template", `"htmlBody":"no template"`: "template",
		`"template":"welcome","templateVariables":[1]`: "templateVariables", `"template":"welcome","templateVariables":{"unsubscribe":"x"}`: "templateVariables.unsubscribe",
		`"template":"welcome","dynamicData":"x"`: "dynamicData",
	} {
		if message, param := errorOf(w.want(422, "POST", sendCall+"/template", waypost.KeySubAccount, call("", more))); param != field {
			t.Errorf("%s: %s: %s", more, param, message)
		}
	}
}

func TestPreview(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	key := w.want(200, "POST", "/api/v1/subaccount/domain", waypost.KeySubAccount, `{"name":"example.com"}`)
	if _, err := w.store.ChangeDomain(t.Context(), w.sub.ID, int64(key["id"].(float64)), func(d *waypost.SenderDomain) error {
		for i := range d.Records {
			d.Records[i].Verified = true
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	w.want(200, "POST", suppressions, waypost.KeySubAccount, `{"unsubscribe":[{"email":"left@example.org"}]}`)
	body := `{"from":{"email":"x@%s","name":"Ünï"},"subject":"Hi {{name}}","htmlBody":"<p>{{name}} {{order.id}}</p>","templateVariables":{"name":"call"},
		"to":[{"email":"a@example.org","customFields":{"name":"Ada & Co"}},{"email":"left@example.org"}]}`
	p := w.want(200, "POST", sendCall+"/preview", waypost.KeySubAccount, fmt.Sprintf(body, "example.com"))
	raw := p["raw"].(string)
	if p["subject"] != "Hi Ada & Co" || p["html"] != "<p>Ada &amp; Co </p>" || p["text"] != "" || p["signed"] != true || p["recipient"] != "a@example.org" ||
		p["size"] != float64(len(raw)) || fmt.Sprint(p["missingVariables"]) != "[order]" {
		t.Errorf("%v", p)
	}
	if !strings.HasPrefix(raw, "DKIM-Signature: ") || !strings.Contains(raw, "\r\nSubject: Hi Ada & Co\r\n") || !strings.Contains(raw, "\r\n\r\n<p>Ada &amp; Co </p>") {
		t.Errorf("%s", raw)
	}
	head := p["headers"].([]any)
	if h := head[0].(map[string]any); h["name"] != "DKIM-Signature" || strings.ContainsAny(fmt.Sprint(h["value"]), "\r\n") || len(head) < 10 {
		t.Errorf("headers %v", head)
	}
	if w1 := fmt.Sprint(p["warnings"]); w1 != "[there is no text part; some filters and readers want one]" {
		t.Errorf("warnings %s", w1)
	}
	p = w.want(200, "POST", sendCall+"/preview?recipient=1", waypost.KeySubAccount, fmt.Sprintf(body, "example.com"))
	if p["subject"] != "Hi call" || !strings.Contains(fmt.Sprint(p["warnings"]), "dropped (suppressed)") {
		t.Errorf("%v", p)
	}
	p = w.want(200, "POST", sendCall+"/preview", waypost.KeySubAccount, fmt.Sprintf(body, "other.example"))
	if p["signed"] != false || !strings.Contains(fmt.Sprint(p["warnings"]), "no_return_path") || !strings.Contains(fmt.Sprint(p["warnings"]), "no DKIM signature") {
		t.Errorf("%v", p["warnings"])
	}
	w.domain("keyless.example", nil) // lost its key
	w.domain("foreign.example", []byte("sealed elsewhere"))
	for _, name := range []string{"keyless.example", "foreign.example"} {
		for _, call := range []string{sendCall, sendCall + "/preview"} {
			if message, param := errorOf(w.want(422, "POST", call, waypost.KeySubAccount, fmt.Sprintf(body, name))); param != "from.email" || !strings.Contains(message, "DKIM key of "+name) {
				t.Errorf("%s without a key: %q of %q", call, message, param)
			}
		}
	}
	w.want(422, "POST", sendCall+"/preview?recipient=2", waypost.KeySubAccount, fmt.Sprintf(body, "example.com"))
	w.want(422, "POST", sendCall+"/preview", waypost.KeySubAccount, strings.Replace(fmt.Sprintf(body, "example.com"), "{{name}} ", "{{#if x}}", 1))
	if n := w.want(200, "GET", "/api/v1/account/event/count", waypost.KeyAccount, nil)["count"]; n != 0.0 {
		t.Errorf("%v events after previews", n)
	}
}
