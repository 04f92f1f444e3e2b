package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// apiBed is a server with a verified sender domain and, for its provider, a
// scripted SMTP server: enough for everything that needs no log.
type apiBed struct {
	*server
	smtp     *smtptest.Server
	provider tpsp
}

func newAPIBed(t *testing.T) *apiBed {
	t.Helper()
	ns := newZone(t)
	b := &apiBed{server: install(t, ""), smtp: smtptest.New(t, smtptest.Script{})}
	b.serve(t, ns.addr())
	b.addDomain(t, ns)
	b.provider = b.addProvider(t, "scripted", b.smtp)
	return b
}

func (s *server) addProvider(t *testing.T, name string, at *smtptest.Server) tpsp {
	t.Helper()
	var p tpsp
	s.get(t, s.asAccount("POST", "/api/v1/account/tpsp", providerAt(name, at.Port())), &p)
	return p
}

func providerAt(name string, port int) m {
	return m{"name": name, "type": 3, "smtpHost": "127.0.0.1", "smtpPort": port, "smtpSecurity": "none", "maxRatePerHour": 1_000_000}
}

// letter is a good send call.
func letter(pool string, to ...string) m {
	var list []m
	for _, a := range to {
		list = append(list, m{"email": a})
	}
	return m{"from": m{"email": "news@" + senderName}, "to": list, "subject": "s", "textBody": "t", "ippool": pool}
}

const (
	emailPath  = "/api/v1/subaccount/email"
	eventsPath = "/api/v1/tpsp/custom-smtp/events"
)

// TestMisuse makes the mistakes that customers make, and wants an answer that
// names the mistake.
func TestMisuse(t *testing.T) {
	b := newAPIBed(t)
	t.Run("keys", b.testKeys)
	t.Run("bodies", b.testBodies)
	t.Run("provider", b.testProvider)
	t.Run("reports", b.testReports)
	t.Run("messages", b.testMessages)
	t.Run("mail server down", b.testDown)
	t.Run("stop", func(t *testing.T) {
		if code := b.proc.stop(); code != 0 {
			t.Errorf("exit code %d after SIGTERM, want 0", code)
		}
	})
}

// testKeys: 401 that names the header, whether the key is missing, made up or
// of another kind.
func (b *apiBed) testKeys(t *testing.T) {
	for _, c := range []struct {
		header, method, path string
		wrong                []string
	}{
		{accountHeader, "GET", "/api/v1/account/tpsp", []string{b.SubAccount, b.provider.EventKey}},
		{subHeader, "POST", emailPath, []string{b.Account, b.provider.EventKey}},
		{eventHeader, "POST", eventsPath, []string{b.Account, b.SubAccount}},
	} {
		for _, key := range append(c.wrong, "", "no-such-key", b.Password, strings.Repeat("x", 5000)) {
			f := b.ask(t, call{method: c.method, path: c.path, header: c.header, key: key, body: m{}}).refusal(t, http.StatusUnauthorized)
			if !strings.Contains(f.Error.Message, c.header) || f.Error.Type != "authentication_error" {
				t.Errorf("%s %s with key %.12q: %+v", c.method, c.path, key, f.Error)
			}
			if key != "" && strings.Contains(f.Error.Message, key) {
				t.Errorf("the answer repeats the key: %q", f.Error.Message)
			}
		}
	}
}

// testBodies: 422 that names the field.
func (b *apiBed) testBodies(t *testing.T) {
	with := func(field string, v any) m {
		l := letter("scripted", "a@b.example")
		l[field] = v
		return l
	}
	for _, c := range []struct {
		name string
		body any
		want string // the field
	}{
		{"cut JSON", []byte(`{"from":{"email":"a@b.c`), "body"},
		{"no JSON", []byte(`from=a&to=b`), "body"},
		{"two documents", []byte(`{}{}`), "body"},
		{"nothing", []byte(``), "body"},
		{"not UTF-8", []byte("{\"subject\":\"\xff\"}"), "body"},
		{"wrong type", []byte(`{"from":{"email":5}}`), "from.email"},
		{"to is an object", with("to", m{}), "to"},
		{"no recipient", with("to", []m{}), "to"},
		{"bad from", with("from", m{"email": "nobody"}), "from.email"},
		{"line break in from", with("from", m{"email": "a@b.example\r\nBcc: x@y.example"}), "from.email"},
		{"no content", with("textBody", ""), "htmlBody"},
		{"unknown pool", with("ippool", "no-such-pool"), "ippool"},
		{"long subject", with("subject", strings.Repeat("x", 999)), "subject"},
		{"bad template", with("textBody", "line one\n{{#if x}}"), "textBody"},
		{"header with a line break", with("headers", m{"X-A": "b\r\nBcc: x@y.example"}), "headers"},
		{"attachment that is not base64", with("attachments", []m{{"filename": "a", "content": "?"}}), "attachments[0].content"},
		{"too many recipients", with("to", slices.Repeat([]m{{"email": "a@b.example"}}, 1001)), "to"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := b.ask(t, b.asSub("POST", emailPath, c.body)).refusal(t, http.StatusUnprocessableEntity)
			if !strings.HasPrefix(f.Error.Param, c.want) || !strings.Contains(f.Error.Message, f.Error.Param) {
				t.Errorf("param %q, message %q; want the field %s", f.Error.Param, f.Error.Message, c.want)
			}
			if d := f.Error.Details; len(d) > 0 && (d[0].Field != f.Error.Param || d[0].Message == "") {
				t.Errorf("details %+v of param %q", d, f.Error.Param)
			}
		})
	}
	form := b.asSub("POST", emailPath, []byte("from=a%40b.example"))
	form.extra = map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	if a := b.ask(t, form); a.status != http.StatusUnprocessableEntity && a.status != http.StatusUnsupportedMediaType {
		t.Errorf("a form is answered with %d: %s", a.status, a.body)
	}
	if n := b.smtp.Received(); n != 1 {
		t.Errorf("%d messages at the mail server, want the connection test's alone", n)
	}
}

// testProvider: a wrong password at creation is a 422 with the failed step, and
// nothing is stored.
func (b *apiBed) testProvider(t *testing.T) {
	locked := smtptest.New(t, smtptest.Script{Username: "user", Password: "right"})
	request := providerAt("locked", locked.Port())
	request["smtpUsername"], request["smtpPassword"], request["allowPlainAuth"] = "user", "wr0ng-secret", true
	a := b.ask(t, b.asAccount("POST", "/api/v1/account/tpsp/", request))
	f := a.refusal(t, http.StatusUnprocessableEntity)
	if f.Error.Test == nil || f.Error.Test.FailedStep != "auth" || f.Error.Test.ErrorClass != "auth_rejected" || f.Error.Test.SMTPCode != 535 || f.Error.Test.Hint == "" {
		t.Errorf("the refusal's test is %+v", f.Error.Test)
	}
	if f.Error.Param != "smtpPassword" || !strings.Contains(f.Error.Message, "auth") {
		t.Errorf("param %q, message %q", f.Error.Param, f.Error.Message)
	}
	if bytes.Contains(a.body, []byte("wr0ng-secret")) {
		t.Error("the answer repeats the password")
	}
	var all []tpsp
	b.get(t, b.asAccount("GET", "/api/v1/account/tpsp", nil), &all)
	if len(all) != 1 {
		t.Errorf("%d providers after a refused creation, want 1", len(all))
	}
	taken := b.ask(t, b.asAccount("POST", "/api/v1/account/tpsp", providerAt("scripted", b.smtp.Port()))).refusal(t, http.StatusForbidden)
	if taken.Error.Param != "name" {
		t.Errorf("a name that is taken: %+v", taken.Error)
	}
	bad := b.ask(t, b.asAccount("POST", "/api/v1/account/tpsp", m{"name": "x", "smtpHost": "h", "smtpPort": "many"})).refusal(t, http.StatusUnprocessableEntity)
	if bad.Error.Param != "smtpPort" {
		t.Errorf("a port in words: %+v", bad.Error)
	}
}

// testReports: what an agent may get wrong.
func (b *apiBed) testReports(t *testing.T) {
	other := b.addProvider(t, "other", smtptest.New(t, smtptest.Script{}))
	id := b.send(t, letter("scripted", "reader@people.example"))[0].MessageID
	eventually(t, "the message to be relayed", waitMail, func() bool { return b.count(t, id, 59) == 1 })

	item := m{"event_id": "e1", "message_id": id, "event_type": "delivered", "smtp_code": 250, "smtp_description": "250 ok"}
	report := func(key string, items ...m) (status, problem string) {
		t.Helper()
		var out struct {
			Accepted, Rejected int
			Results            []struct{ Status, Error string }
		}
		b.get(t, call{method: "POST", path: eventsPath, header: eventHeader, key: key, body: m{"events": items}}, &out)
		if len(out.Results) != len(items) || out.Accepted+out.Rejected != len(items) {
			t.Fatalf("report of %d items: %+v", len(items), out)
		}
		last := out.Results[len(items)-1]
		return last.Status, last.Error
	}
	if status, problem := report(other.EventKey, item); status != "rejected" || !strings.Contains(problem, "key") {
		t.Errorf("another provider's report: %s, %q", status, problem)
	}
	if b.count(t, id, 60) != 0 {
		t.Error("another provider's report made an event")
	}
	for _, bad := range []m{
		{"event_type": "delivered"},
		{"message_id": id},
		{"message_id": "no-uuid", "event_type": "delivered"},
		{"message_id": id, "event_type": "exploded"},
		{"message_id": "01890000-0000-7000-8000-000000000000", "event_type": "delivered"},
	} {
		if status, problem := report(b.provider.EventKey, bad); status != "rejected" || problem == "" {
			t.Errorf("item %v: %s, %q", bad, status, problem)
		}
	}
	for i, want := range []string{"accepted", "duplicate"} {
		if status, problem := report(b.provider.EventKey, m{"message_id": "x", "event_type": "y"}, item); status != want {
			t.Errorf("good item beside a bad one, time %d: %s, %q, want %s", i+1, status, problem, want)
		}
	}
	if n := b.count(t, id, 60); n != 1 {
		t.Errorf("%d CSDelivered, want 1", n)
	}
	b.testOversized(t)
}

// testOversized: 413 for too many items, too many bytes, and too many bytes
// after inflation.
func (b *apiBed) testOversized(t *testing.T) {
	many, err := json.Marshal(m{"events": slices.Repeat([]m{{"message_id": "x"}}, 1001)})
	if err != nil {
		t.Fatal(err)
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 8<<20)) // into memory
	_ = z.Close()                                    // into memory
	for _, c := range []struct {
		name  string
		body  []byte
		extra map[string]string
	}{
		{"items", many, nil},
		{"bytes", bytes.Repeat([]byte(" "), 2<<20), nil},
		{"inflated", bomb.Bytes(), map[string]string{"Content-Encoding": "gzip"}},
	} {
		a := b.ask(t, call{method: "POST", path: eventsPath, header: eventHeader, key: b.provider.EventKey, body: c.body, extra: c.extra})
		if a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("oversized in %s: status %d: %.300s", c.name, a.status, a.body)
		}
	}
}

// testMessages: ids that are not ours are 404, in every form.
func (b *apiBed) testMessages(t *testing.T) {
	for _, id := range []string{"01890000-0000-7000-8000-000000000000", "nonsense", "..%2f..", "%00"} {
		for _, tail := range []string{"", "/events", "/timeline", "/"} {
			b.ask(t, b.asAccount("GET", "/api/v1/account/message/"+id+tail, nil)).refusal(t, http.StatusNotFound)
		}
	}
	b.ask(t, b.asAccount("GET", "/api/v1/no/such/thing", nil)).refusal(t, http.StatusNotFound)
	b.ask(t, b.asAccount("DELETE", "/api/v1/subaccount/email", nil)).refusal(t, http.StatusMethodNotAllowed)
}

// testDown: while the mail server is down a message waits and is tried again,
// and in the end it is dropped with the last error.
func (b *apiBed) testDown(t *testing.T) {
	down := smtptest.New(t, smtptest.Script{})
	b.addProvider(t, "down", down)
	down.Close()
	id := b.send(t, letter("down", "reader@people.example"))[0].MessageID
	eventually(t, "a failed attempt of a message that waits", waitMail, func() bool {
		line := b.timeline(t, id)
		return line.State != "sent" && slices.ContainsFunc(line.Entries, func(e entry) bool { return e.Kind == "attempt" })
	})
	eventually(t, "the message to be dropped", waitMail, func() bool { return b.count(t, id, 62) > 0 })
	got := b.events(t, id)
	last := got[len(got)-1]
	if len(got) != 2 || last.Type != 62 || !strings.Contains(last.SMTPDescription, "connection refused") {
		t.Errorf("events %+v, want CSDropped with the last error", got)
	}
	line := b.timeline(t, id)
	attempts := 0
	for _, e := range line.Entries {
		if e.Kind == "attempt" {
			attempts++
			if e.Stage != "connect" || !strings.Contains(e.Text, "connection refused") {
				t.Errorf("attempt %+v", e)
			}
		}
	}
	if line.State != "dropped" || attempts != 6 {
		t.Errorf("state %q after %d attempts, want dropped after 6", line.State, attempts)
	}
}

func (s *server) count(t *testing.T, id string, kind int) int {
	t.Helper()
	n := 0
	for _, e := range s.events(t, id) {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// TestPages: the pages for load balancers and Prometheus.
func TestPages(t *testing.T) {
	s := install(t, "")
	s.serve(t, loopback(1))
	for path, want := range map[string]string{"/healthz": `"ok"`, "/readyz": `"ready"`, "/metrics": "waypost_queue_messages 0\n"} {
		if a := s.ask(t, call{method: "GET", path: path}); a.status != http.StatusOK || !bytes.Contains(a.body, []byte(want)) {
			t.Errorf("%s: status %d: %.200s", path, a.status, a.body)
		}
	}
	doc := s.ask(t, call{method: "GET", path: "/api/v1/openapi.json"})
	if doc.status != http.StatusOK || !bytes.Contains(doc.body, []byte(`"/api/v1/subaccount/email"`)) {
		t.Errorf("/api/v1/openapi.json: status %d: %.200s", doc.status, doc.body)
	}
	if code := s.proc.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	// The keys and the port are still good after a restart.
	s.restart(t)
	var all []tpsp
	s.get(t, s.asAccount("GET", "/api/v1/account/tpsp", nil), &all)
	if fmt.Sprint(all) != "[]" {
		t.Errorf("providers of a new installation: %v", all)
	}
}

// TestFreePort: port 0 gives a free one, and the line says which.
func TestFreePort(t *testing.T) {
	s := install(t, "")
	p := startOurs(t, s.dir, "waypost", waypost(), "serve", "--data", s.dir, "--http", "127.0.0.1:0")
	word, _, _ := strings.Cut(strings.TrimPrefix(p.line(t, "ready http=", 0), "ready http="), " ")
	s.addr = word
	if a := s.ask(t, call{method: "GET", path: "/readyz"}); a.status != http.StatusOK {
		t.Errorf("%s: status %d", word, a.status)
	}
}
