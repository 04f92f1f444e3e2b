package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// message is a call to one recipient.
const message = `{"from":{"email":"x@example.com"},"to":[{"email":"a@example.org"}],"textBody":"t"}`

// with calls with a key of one's own.
func (w *world) with(kind waypost.KeyKind, key, method, path, body string) *httptest.ResponseRecorder {
	w.Helper()
	return w.send(method, "/api/v1"+path, map[string]string{w.headers[kind]: key}, []byte(body))
}

func TestSubAccounts(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	made := w.want(201, "POST", "/api/v1/account/subaccount/", waypost.KeyAccount, `{"name":" Shop "}`)
	key, _ := made["apiKey"].(string)
	if made["name"] != "Shop" || made["type"] != 1.0 || len(key) < 20 {
		t.Fatalf("%v", made)
	}
	one := fmt.Sprintf("/api/v1/account/subaccount/%v", made["id"])
	again := w.want(200, "GET", one, waypost.KeyAccount, nil)
	if hint, _ := again["apiKey"].(string); hint == "" || hint == key || strings.Contains(hint, key[8:20]) {
		t.Errorf("the key is shown twice: %v", again["apiKey"])
	}
	for _, body := range []string{`{"name":""}`, `{"name":"a\nb"}`, `{"name":"` + strings.Repeat("n", 101) + `"}`, `{}`} {
		w.want(422, "POST", "/api/v1/account/subaccount", waypost.KeyAccount, body)
	}
	w.want(403, "POST", "/api/v1/account/subaccount", waypost.KeyAccount, `{"name":"Shop"}`)
	w.want(200, "PUT", one, waypost.KeyAccount, `{"name":"Store"}`)
	w.want(403, "PUT", one, waypost.KeyAccount, `{"name":"s"}`)
	w.want(406, "DELETE", fmt.Sprintf("/api/v1/account/subaccount/%d", w.sub.ID), waypost.KeyAccount, nil)

	if rec := w.with(waypost.KeySubAccount, key, "POST", "/subaccount/email", message); rec.Code != 200 {
		t.Fatalf("sending with the key: %d %s", rec.Code, rec.Body)
	}
	settings := strings.Replace(one, "/account/", "/account/settings/", 1)
	blocked := w.want(200, "PUT", settings, waypost.KeyAccount, `{"blocked":true,"blockReason":"unpaid","dropDuplicates":true}`)
	if blocked["blocked"] != true || blocked["blockedAt"] == nil || blocked["dropDuplicates"] != true || blocked["dropNullMX"] != false {
		t.Errorf("settings %v", blocked)
	}
	if rec := w.with(waypost.KeySubAccount, key, "POST", "/subaccount/email", message); rec.Code != 403 || !strings.Contains(rec.Body.String(), "permission_denied") {
		t.Errorf("a blocked sub-account sends: %d %s", rec.Code, rec.Body)
	}
	if s := w.want(200, "GET", one, waypost.KeyAccount, nil); s["blocked"] != true || s["block_reason"] != "unpaid" || s["blocked_at"] != 0.0 {
		t.Errorf("%v", s)
	}
	if s := w.want(200, "PUT", settings, waypost.KeyAccount, `{"blocked":false}`); s["blockedAt"] != nil || s["blockReason"] != "" || s["dropDuplicates"] != true {
		t.Errorf("settings %v", s)
	}
	if d := w.want(200, "DELETE", one, waypost.KeyAccount, nil); d["message"] != "Sub-Account (Store) has been deleted successfully" {
		t.Errorf("%v", d)
	}
	if rec := w.with(waypost.KeySubAccount, key, "POST", "/subaccount/email", message); rec.Code != 401 {
		t.Errorf("the key of a sub-account that is gone: %d", rec.Code)
	}
	w.want(404, "GET", one, waypost.KeyAccount, nil)
	w.audited("subaccount.create", "subaccount.update", "subaccount.settings", "subaccount.settings", "subaccount.delete")
}

// audited looks for actions at the end of the audit log, in their order.
func (w *world) audited(actions ...string) {
	w.Helper()
	all := w.want(200, "GET", fmt.Sprintf("/api/v1/account/audit?limit=%d", len(actions)), waypost.KeyAccount, nil)["list"].([]any)
	for i, want := range actions {
		if j := len(actions) - 1 - i; j >= len(all) || all[j].(map[string]any)["action"] != want {
			w.Errorf("audit entry %d is not %s: %v", i, want, all)
			return
		}
	}
}

// TestEveryChangeIsAudited: what a handler does not note in words of its own
// is noted by the operation; a refusal is not.
func TestEveryChangeIsAudited(t *testing.T) {
	w := newWorld(t)
	w.want(200, "PUT", "/api/v1/account/ip/1/", waypost.KeyAccount, `{"autoWarmupEnabled":true}`)
	w.want(422, "PUT", "/api/v1/account/ip/1", waypost.KeyAccount, `{}`)
	w.want(200, "GET", "/api/v1/account/ip/1", waypost.KeyAccount, nil)
	w.want(200, "POST", "/api/v1/subaccount/domain", waypost.KeySubAccount, `{"name":"example.com"}`)
	all := w.want(200, "GET", "/api/v1/account/audit", waypost.KeyAccount, nil)["list"].([]any)
	if len(all) != 2 {
		t.Fatalf("audit %v", all)
	}
	last, first := all[0].(map[string]any), all[1].(map[string]any)
	if first["action"] != "put-account-ip-id" || first["object"] != "/account/ip/1" || first["actor"] == "" {
		t.Errorf("%v", first)
	}
	if text := fmt.Sprint(last); !strings.Contains(text, "domain") {
		t.Errorf("%v", last)
	}
}

// TestAuditFilters: entries are found by who, what, object, text and day, and
// paged through by id.
func TestAuditFilters(t *testing.T) {
	w := newWorld(t)
	const path = "/api/v1/account/audit"
	for i := range 5 {
		w.want(200, "POST", "/api/v1/subaccount/suppression", waypost.KeySubAccount, fmt.Sprintf(`{"manual":[{"email":"a%d@example.org"}]}`, i))
	}
	w.want(200, "PUT", "/api/v1/account/ip/1/", waypost.KeyAccount, `{"autoWarmupEnabled":true}`)
	count := func(query string) int {
		return len(w.want(200, "GET", path+query, waypost.KeyAccount, nil)["list"].([]any))
	}
	today := time.Now().UTC().Format(time.DateOnly)
	for query, want := range map[string]int{
		"": 6, "?action=suppression.add": 5, "?action=suppression": 0, "?object=/account/ip/1": 1, "?search=SUPPRESSION+list": 5, "?search=%25": 0,
		"?actor=nobody": 0, "?action=suppression.add&object=/account/ip/1": 0, "?to=2020-01-01": 0, "?from=2020-01-01&limit=4": 4,
		"?from=2020-01-01&action=suppression.add&offset=3": 2,
	} {
		if got := count(query); got != want {
			t.Errorf("%s: %d entries, want %d", query, got, want)
		}
	}
	if got := count("?from=" + today + "&to=" + today); got > 6 {
		t.Errorf("today has %d entries", got)
	}
	seen, before := map[float64]bool{}, ""
	for range 3 {
		list := w.want(200, "GET", path+"?limit=2"+before, waypost.KeyAccount, nil)["list"].([]any)
		for _, e := range list {
			id := e.(map[string]any)["id"].(float64)
			seen[id], before = true, fmt.Sprintf("&before=%.0f", id)
		}
	}
	if len(seen) != 6 {
		t.Errorf("three pages of two have %d entries", len(seen))
	}
	w.want(422, "GET", path+"?before=x", waypost.KeyAccount, nil)
	w.want(422, "GET", path+"?from=x", waypost.KeyAccount, nil)
}

// newKey makes a key through the API.
func (w *world) newKey(body string) (id float64, key string) {
	w.Helper()
	made := w.want(201, "POST", "/api/v1/account/key", waypost.KeyAccount, body)
	return made["id"].(float64), made["key"].(string)
}

func TestScopes(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	f := func(kind waypost.KeyKind, scopes, method, path, body string, want int) {
		t.Helper()
		word := map[waypost.KeyKind]string{waypost.KeyAccount: "account", waypost.KeySubAccount: "subaccount"}[kind]
		_, key := w.newKey(`{"kind":"` + word + `","scopes":[` + scopes + `]}`)
		rec := w.with(kind, key, method, path, body)
		if rec.Code != want || want == 403 && !strings.Contains(rec.Body.String(), `"code":"permission_denied"`) {
			t.Errorf("scopes [%s], %s %s: %d %s", scopes, method, path, rec.Code, rec.Body)
		}
	}
	account, sub := waypost.KeyAccount, waypost.KeySubAccount
	f(sub, ``, "POST", "/subaccount/email", message, 200)
	f(sub, `"send"`, "POST", "/subaccount/email", message, 200)
	f(sub, `"send"`, "GET", "/subaccount/message", "", 403)
	f(sub, `"send"`, "POST", "/subaccount/domain", `{"name":"example.net"}`, 403)
	f(sub, `"read"`, "GET", "/subaccount/message", "", 200)
	f(sub, `"read"`, "POST", "/subaccount/email", message, 403)
	f(sub, `"manage"`, "POST", "/subaccount/domain", `{"name":"example.net"}`, 200)
	f(sub, `"manage"`, "POST", "/subaccount/email", message, 403)
	f(account, `"read"`, "GET", "/account/ippool", "", 200)
	f(account, `"read"`, "POST", "/account/route/explain", `{"recipient":"a@example.org"}`, 200)
	f(account, `"read"`, "POST", "/account/subaccount", `{"name":"n"}`, 403)
	f(account, `"read","manage"`, "POST", "/account/subaccount", `{"name":"n"}`, 201)
	f(account, `"read","manage"`, "GET", "/account/key", "", 403)
	f(account, `"keys"`, "GET", "/account/key", "", 200)
	f(account, `"keys"`, "POST", "/account/key", `{"scopes":["keys"]}`, 201)
	f(account, `"keys"`, "POST", "/account/key", `{}`, 201) // gets what the key has
	f(account, `"keys"`, "POST", "/account/key", `{"scopes":[]}`, 403)
	f(account, `"keys"`, "POST", "/account/key", `{"scopes":["keys","send"]}`, 403)
}

// TestKeySaysWhatItMayDo: nobody makes a key for everything by leaving out what
// it is for.
func TestKeySaysWhatItMayDo(t *testing.T) {
	w := newWorld(t)
	for _, body := range []string{`{}`, `{"scopes":null}`, `{"kind":"subaccount"}`, `{"name":"ci"}`} {
		if message, param := errorOf(w.want(422, "POST", "/api/v1/account/key", waypost.KeyAccount, body)); param != "scopes" || !strings.Contains(message, "send, read, manage, keys") {
			t.Errorf("%s: %q, %s", body, param, message)
		}
	}
	for body, want := range map[string]string{`{"scopes":[]}`: "account []", `{"kind":"subaccount","scopes":["send"]}`: "subaccount [send]"} {
		k := w.want(201, "POST", "/api/v1/account/key", waypost.KeyAccount, body)
		if got := fmt.Sprintf("%v %v", k["kind"], k["scopes"]); got != want {
			t.Errorf("%s: %s", body, got)
		}
	}
}

func TestKeysEnd(t *testing.T) {
	w := newWorld(t)
	id, key := w.newKey(`{"scopes":[],"name":"ci","expires":"` + time.Now().Add(time.Hour).Format(time.RFC3339) + `"}`)
	if rec := w.with(waypost.KeyAccount, key, "GET", "/account/ippool", ""); rec.Code != 200 {
		t.Fatalf("a fresh key: %d %s", rec.Code, rec.Body)
	}
	one := fmt.Sprintf("/api/v1/account/key/%v", id)
	w.want(422, "PUT", one, waypost.KeyAccount, `{"expires":"2020-01-01T00:00:00Z"}`)
	w.want(422, "PUT", one, waypost.KeyAccount, `{"kind":"subaccount"}`)
	w.want(422, "PUT", one, waypost.KeyAccount, `{"scopes":["everything"]}`)
	w.want(422, "PUT", one, waypost.KeyAccount, `{"networks":["everywhere"]}`)
	changed := w.want(200, "PUT", one, waypost.KeyAccount, `{"scopes":["send"],"expires":""}`)
	if changed["expires"] != nil || changed["name"] != "ci" || fmt.Sprint(changed["scopes"]) != "[send]" || changed["key"] != nil {
		t.Errorf("%v", changed)
	}
	if rec := w.with(waypost.KeyAccount, key, "GET", "/account/ippool", ""); rec.Code != 403 {
		t.Errorf("the change holds at once: %d", rec.Code)
	}
	w.want(200, "DELETE", one, waypost.KeyAccount, nil)
	if rec := w.with(waypost.KeyAccount, key, "GET", "/account/ippool", ""); rec.Code != 401 {
		t.Errorf("a key that was ended: %d", rec.Code)
	}
	w.want(404, "DELETE", one, waypost.KeyAccount, nil)
	for _, k := range w.want(200, "GET", "/api/v1/account/key", waypost.KeyAccount, nil)["list"].([]any) {
		k := k.(map[string]any)
		if k["kind"] == "account" && k["hint"] != "" {
			w.want(406, "DELETE", fmt.Sprintf("/api/v1/account/key/%v", k["id"]), waypost.KeyAccount, nil) // the one in use
		}
	}
	w.audited("key.create", "key.update", "key.delete")
}

func TestKeyNetworks(t *testing.T) {
	w := newWorld(t)
	_, key := w.newKey(`{"scopes":[],"networks":["192.0.2.0/24","2001:db8::1"]}`) // httptest calls from 192.0.2.1
	if rec := w.with(waypost.KeyAccount, key, "GET", "/account/ippool", ""); rec.Code != 200 {
		t.Errorf("from a network of the key: %d %s", rec.Code, rec.Body)
	}
	_, key = w.newKey(`{"scopes":[],"networks":["198.51.100.7"]}`)
	rec := w.with(waypost.KeyAccount, key, "GET", "/account/ippool", "")
	if rec.Code != 403 || !strings.Contains(rec.Body.String(), "from 192.0.2.1") {
		t.Errorf("from elsewhere: %d %s", rec.Code, rec.Body)
	}
	rec = w.send("GET", "/api/v1/account/ippool", map[string]string{"X-Account-ApiKey": key, "X-Forwarded-For": "198.51.100.7"}, nil)
	if rec.Code != 403 {
		t.Errorf("the word of a proxy that nobody trusts: %d", rec.Code)
	}
}

func TestKeyRate(t *testing.T) {
	w := newWorld(t)
	_, key := w.newKey(`{"scopes":[],"perHour":60}`)
	_, other := w.newKey(`{"scopes":[],"perHour":60}`)
	for i := range 10 {
		if rec := w.with(waypost.KeyAccount, key, "GET", "/account/ippool", ""); rec.Code != 200 {
			t.Fatalf("request %d: %d %s", i, rec.Code, rec.Body)
		}
	}
	rec := w.with(waypost.KeyAccount, key, "GET", "/account/ippool", "")
	if after := rec.Header().Get("Retry-After"); rec.Code != 429 || !strings.Contains(rec.Body.String(), "rate_limit_exceeded") || after == "" || after == "0" || len(after) > 2 {
		t.Errorf("the eleventh at once: %d, Retry-After %q, %s", rec.Code, rec.Header().Get("Retry-After"), rec.Body)
	}
	if rec := w.with(waypost.KeyAccount, other, "GET", "/account/ippool", ""); rec.Code != 200 {
		t.Errorf("another key: %d", rec.Code)
	}
}

// TestAs: the dashboard calls for a person, whose name stands in the audit.
func TestAs(t *testing.T) {
	w := newWorld(t)
	as := func(scopes []string, method, path, body string) *httptest.ResponseRecorder {
		ctx := api.As(t.Context(), waypost.APIKey{Kind: waypost.KeyAccount, Account: w.account.ID, Hint: "ada@example.com", Scopes: scopes})
		r := httptest.NewRequestWithContext(ctx, method, "/api/v1"+path, strings.NewReader(body))
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		return rec
	}
	if rec := as(nil, "POST", "/account/subaccount", `{"name":"hers"}`); rec.Code != http.StatusCreated {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	entry := w.want(200, "GET", "/api/v1/account/audit?limit=1", waypost.KeyAccount, nil)["list"].([]any)[0].(map[string]any)
	if entry["actor"] != "ada@example.com" || entry["action"] != "subaccount.create" {
		t.Errorf("audit %v", entry)
	}
	if rec := as([]string{"read"}, "POST", "/account/subaccount", `{"name":"another"}`); rec.Code != http.StatusForbidden {
		t.Errorf("a viewer changes something: %d", rec.Code)
	}
	if rec := as([]string{"read"}, "GET", "/account/subaccount", ""); rec.Code != 200 {
		t.Errorf("a viewer: %d", rec.Code)
	}
	if rec := as(nil, "GET", "/subaccount/message", ""); rec.Code != 401 {
		t.Errorf("operations of another kind: %d", rec.Code)
	}
}
