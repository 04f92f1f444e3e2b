package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
	"github.com/waypost-mail/waypost/internal/store"
)

// house is a world with two accounts that have one of everything: the first
// through the API, the second in the store, since an installation makes one.
type house struct {
	*world
	ours, theirs tenant
}

// tenant is an account's objects: the value of each kind of path parameter.
type tenant struct {
	account, sub int64
	keys         map[waypost.KeyKind]string
	message      *waypost.Message
	ids          map[string]string // by the path up to the parameter
}

// secretWords stand in every object of the second account.
const secretWords = "theirs-alone"

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{world: newWorld(t)}
	h.provider("mta1", smtptest.Script{})
	h.verified("example.com")
	h.ours = h.furnish(h.account.ID, h.sub.ID, "ours")
	maps.Copy(h.ours.keys, h.keys)
	theirs := waypost.SubAccount{Account: h.account.ID + 1, Name: secretWords, Created: time.Now()}
	key := h.key(waypost.KeySubAccount)
	key.Account = theirs.Account
	h.ok(h.store.CreateSubAccount(t.Context(), &theirs, &key.APIKey))
	h.theirs = h.furnish(theirs.Account, theirs.ID, secretWords)
	h.theirs.keys[waypost.KeySubAccount] = key.plain
	return h
}

func (h *house) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

type plainKey struct {
	waypost.APIKey
	plain string
}

func (h *house) key(kind waypost.KeyKind) *plainKey {
	plain := secret.NewKey("wpx")
	return &plainKey{waypost.APIKey{Kind: kind, Hash: secret.HashKey(plain), Hint: secret.Hint(plain), Created: time.Now()}, plain}
}

// furnish stores one of everything for a tenant.
func (h *house) furnish(account, sub int64, word string) tenant {
	h.Helper()
	ctx, now := h.Context(), time.Now().Truncate(time.Millisecond)
	t := tenant{account: account, sub: sub, keys: map[waypost.KeyKind]string{}}
	for _, kind := range []waypost.KeyKind{waypost.KeyAccount, waypost.KeyIngestion} {
		k := h.key(kind)
		k.Account = account
		t.keys[kind] = k.plain
		if kind == waypost.KeyAccount {
			h.ok(h.store.CreateKey(ctx, &k.APIKey))
			t.put("key", k.ID)
			continue
		}
		p := waypost.Provider{
			Account: account, Name: word, Host: word + ".example", Port: 25, Security: "none", Auth: "none", MaxPerHour: 1, Created: now, Updated: now,
		}
		pool := waypost.Pool{Account: account, Name: word, Created: now}
		h.ok(h.store.CreateProvider(ctx, &p, &k.APIKey, &pool))
		t.put("tpsp", p.ID)
		t.put("ippool", pool.ID)
	}
	d := waypost.SenderDomain{
		Account: account, SubAccount: sub, Name: word + ".example", Selector: waypost.DKIMSelector, Created: now, NextCheck: now.Add(time.Hour),
		Records: []waypost.DNSRecord{{Kind: waypost.RecordReturnPath, Verified: true}},
	}
	h.ok(h.store.CreateDomain(ctx, &d))
	t.put("domain", d.ID)
	t.put("subaccount", sub)
	t.put("stat", sub)
	t.put("settings/subaccount", sub)
	t.put("smtp/stat/subaccount", sub)
	hook := waypost.Webhook{Account: account, UUID: waypost.NewUUID(now), URL: "https://" + word + ".example/", Enabled: true, Created: now, Updated: now, State: waypost.WebhookActive}
	h.ok(h.store.CreateWebhook(ctx, &hook))
	t.put("webhook", hook.ID)
	login := h.key(waypost.KeySubmission)
	login.Account, login.SubAccount, login.Name = account, sub, word
	h.ok(h.store.CreateKey(ctx, &login.APIKey))
	t.put("smtp", login.ID)
	tmpl := waypost.Template{Account: account, Name: word, Text: word, Created: now, Updated: now}
	h.ok(h.store.CreateTemplate(ctx, &tmpl))
	t.put("template", tmpl.ID)
	h.mail(&t, d.ID, word)
	return t
}

// mail stores a message with the events that a mail has.
func (h *house) mail(t *tenant, domain int64, word string) {
	h.Helper()
	now := time.Now().Truncate(time.Millisecond)
	a := store.Acceptance{Content: waypost.Content{
		ID: waypost.NewUUID(now), Account: t.account, SubAccount: t.sub, From: waypost.Address{Name: word, Email: "news@" + word + ".example"},
		Subject: word, HTML: "<p>" + word, Text: word, Groups: []string{word}, TrackOpens: true,
	}}
	m := waypost.Message{
		ID: waypost.NewUUID(now), Account: t.account, SubAccount: t.sub, Content: a.Content.ID, Recipient: word + "@example.org",
		To: waypost.Address{Email: word + "@example.org"}, Domain: domain, Mailbox: waypost.MailboxDefault, SubmittedAt: now, Groups: []string{word},
	}
	event := func(typ waypost.EventType, source waypost.Source) waypost.Event {
		return waypost.Event{
			Type: typ, Account: m.Account, SubAccount: m.SubAccount, Message: m.ID, Recipient: m.Recipient, At: now, Source: source, Facets: m.Facets(),
		}
	}
	a.Messages, a.Events = []waypost.Message{m}, []waypost.Event{event(waypost.CSProcessed, waypost.SourceAPI)}
	h.ok(h.store.Accept(h.Context(), &a))
	open := event(waypost.CSOpen, waypost.SourceTrack)
	open.Visit = &waypost.Visit{IP: "203.0.113.7", UserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1"}
	bounced := event(waypost.CSHardBounced, waypost.SourceAgent)
	bounced.Code, bounced.Enhanced, bounced.Text, bounced.Reason = 550, "5.1.1", "550 5.1.1 no such user", "no_such_user"
	_, err := h.store.Record(h.Context(), []store.Fact{{Event: open, First: "open"}, {Event: bounced, Once: "bounce"}})
	h.ok(err)
	t.message = &m
	all, err := h.store.ListEvents(h.Context(), store.EventQuery{Account: t.account, Limit: 1})
	h.ok(err)
	t.ids["message"], t.ids["recipient"], t.ids["event"] = m.ID.String(), m.Recipient, fmt.Sprint(all[0].ID)
	report := store.Report{
		ID: waypost.NewUUID(now), Hash: [16]byte(waypost.NewUUID(now)), Received: now, Account: t.account, SubAccount: t.sub, Message: m.ID,
		Envelope: "x@bounce.example", Kind: "bounce", Recipient: m.Recipient, Verdict: store.VerdictHard, Text: word, Raw: []byte(word),
	}
	_, err = h.store.SaveReport(h.Context(), &report, nil)
	h.ok(err)
	t.ids["bounce"], t.ids["ip"] = report.ID.String(), "1"
	if word == secretWords {
		t.ids["ip"] = "99"
	}
	t.ids["smtp/stat/ip"] = t.ids["ip"]
}

func (t *tenant) put(kind string, id int64) {
	if t.ids == nil {
		t.ids = map[string]string{}
	}
	t.ids[kind] = fmt.Sprint(id)
}

// operation is what the document says of one.
type operation struct {
	method, path string
	kind         waypost.KeyKind
	scope        string
	Security     []map[string][]string
	Summary      string
	Parameters   []struct {
		Name, In string
		Required bool
	}
	RequestBody *struct{ Content map[string]any }
	Responses   map[string]struct{ Content map[string]any }
	Tags        []string
}

// operations reads the document.
func (w *world) operations() []operation {
	w.Helper()
	var doc struct {
		Paths map[string]map[string]operation
	}
	status, _, text := w.call("GET", "/api/v1/openapi.json", waypost.KeyAccount, nil)
	if err := json.Unmarshal([]byte(text), &doc); err != nil || status != 200 {
		w.Fatalf("the document: %d %v", status, err)
	}
	kinds := map[string]waypost.KeyKind{"accountKey": waypost.KeyAccount, "subAccountKey": waypost.KeySubAccount, "eventKey": waypost.KeyIngestion}
	var out []operation
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(doc.Paths[path])) {
			op := doc.Paths[path][method]
			op.method, op.path = strings.ToUpper(method), path
			if len(op.Security) == 1 {
				for scheme, scopes := range op.Security[0] {
					op.kind, op.scope = kinds[scheme], strings.Join(scopes, " ")
				}
			}
			out = append(out, op)
		}
	}
	if len(out) < 60 {
		w.Fatalf("only %d operations in the document", len(out))
	}
	return out
}

func (op *operation) name() string { return op.method + " " + op.path }

// target puts the ids of a tenant into the path; false when it has none, or
// when nobody said which object a parameter stands for.
func (op *operation) target(t *testing.T, of *tenant) (path string, has bool) {
	t.Helper()
	before, rest, has := strings.Cut(op.path, "{")
	if !has {
		return op.path, false
	}
	kind := strings.Trim(strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(before, "/api/v1"), "/account"), "/subaccount"), "/")
	if kind == "" { // /account/subaccount/{id} lost it as a prefix
		kind = "subaccount"
	}
	id, known := of.ids[kind]
	if !known {
		t.Errorf("%s: which object is %q? Say so in furnish, so that the operation is tested", op.name(), kind)
		return op.path, false
	}
	_, tail, _ := strings.Cut(rest, "}")
	path = before + id + tail
	if before, rest, nested := strings.Cut(path, "{"); nested { // an object of an object
		second := "1"
		switch {
		case strings.HasSuffix(before, "/provider/"):
			second = of.ids["tpsp"]
		case strings.HasSuffix(before, "/subaccount/"):
			second = of.ids["subaccount"]
		}
		_, tail, _ := strings.Cut(rest, "}")
		path = before + second + tail
	}
	return path + op.query(), true
}

// query gives the parameters that are required.
func (op *operation) query() string {
	var parts []string
	for _, p := range op.Parameters {
		if p.In != "query" || !p.Required {
			continue
		}
		value := map[string]string{"from": "2026-03-01", "to": "2026-03-10", "by": "total"}[p.Name]
		if value == "" {
			value = "x"
		}
		parts = append(parts, p.Name+"="+value)
	}
	if len(parts) == 0 {
		return ""
	}
	return "?" + strings.Join(parts, "&")
}

// send calls with headers of its own.
func (w *world) send(method, path string, header map[string]string, body []byte) *httptest.ResponseRecorder {
	w.Helper()
	r := httptest.NewRequestWithContext(w.Context(), method, path, bytes.NewReader(body))
	for name, value := range header {
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}
