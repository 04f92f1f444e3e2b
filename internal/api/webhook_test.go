package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
	"github.com/waypost-mail/waypost/internal/store"
)

const hooks = "/api/v1/account/webhook"

// callV1 calls in the contract v1.
func (w *world) callV1(status int, method, path string, body any) map[string]any {
	w.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.Fatal(err)
	}
	rec := w.send(method, path, map[string]string{
		w.headers[waypost.KeyAccount]: w.keys[waypost.KeyAccount], "X-SendPost-Public-Contract": "v1",
	}, text)
	if rec.Code != status {
		w.Fatalf("%s %s: %d, want %d: %s", method, path, rec.Code, status, rec.Body)
	}
	var out any
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		w.Fatal(err)
	}
	if list, ok := out.([]any); ok {
		return map[string]any{"list": list}
	}
	return out.(map[string]any)
}

func TestWebhookLife(t *testing.T) {
	w := newWorld(t)
	made := w.want(200, "POST", hooks, waypost.KeyAccount, map[string]any{"url": "https://example.com/hook", "sent": true, "opened": false})
	wantFields(t, made, `id enabled url processed delivered dropped softBounced hardBounced opened clicked unsubscribed spam sent smtpDropped
		uniqueOpen uniqueClick created created_by updated_by`)
	for name, want := range map[string]bool{
		"enabled": true, "processed": false, "delivered": true, "dropped": true, "softBounced": true, "hardBounced": true, "opened": false,
		"clicked": true, "unsubscribed": true, "spam": true, "sent": true, "smtpDropped": false, "uniqueOpen": false, "uniqueClick": false,
	} {
		if made[name] != want {
			t.Errorf("%s is %v, want %t", name, made[name], want)
		}
	}
	w.want(403, "POST", hooks+"/", waypost.KeyAccount, map[string]any{"url": "https://example.com/hook"})
	w.want(406, "POST", hooks, waypost.KeyAccount, map[string]any{})
	for _, bad := range []string{"example.com", "ftp://example.com/", "https://", "https://e.com/#x"} {
		if _, param := errorOf(w.want(422, "POST", hooks, waypost.KeyAccount, map[string]any{"url": bad})); param != "url" {
			t.Errorf("%s: param %q", bad, param)
		}
	}
	w.want(422, "POST", hooks, waypost.KeyAccount, map[string]any{"url": "https://e.com/", "payloadContract": "v2"})
	w.want(422, "POST", hooks, waypost.KeyAccount, `{"url":17}`)

	one := hooks + "/" + text(made["id"])
	v1 := w.callV1(200, "GET", one, nil)
	if v1["status"] != "active" || v1["disabledAt"] != nil || v1["disabledReason"] != "" {
		t.Errorf("in v1 it is %v", v1)
	}
	w.callV1(201, "POST", hooks, map[string]any{"url": "https://example.com/second"})
	list := w.callV1(200, "GET", hooks, nil)["list"].([]any)
	if len(list) != 2 || list[0].(map[string]any)["successRate"] != 100.0 {
		t.Errorf("the list is %v", list)
	}
	off := w.want(200, "PUT", one, waypost.KeyAccount, map[string]any{"enabled": false, "uniqueOpen": true})
	if off["enabled"] != false || off["uniqueOpen"] != true || off["sent"] != true || off["url"] != "https://example.com/hook" {
		t.Errorf("changed it is %v", off)
	}
	if v1 := w.callV1(200, "GET", one, nil); v1["status"] != "disabled" || v1["disabledAt"] == nil {
		t.Errorf("disabled it is %v", v1)
	}
	w.want(403, "PUT", one, waypost.KeyAccount, map[string]any{"url": "https://example.com/second"})
	w.want(200, "PUT", one, waypost.KeyAccount, map[string]any{"enabled": true})
	if v1 := w.callV1(200, "GET", one, nil); v1["status"] != "active" || v1["disabledAt"] != nil {
		t.Errorf("enabled again it is %v", v1)
	}
	if gone := w.want(200, "DELETE", one, waypost.KeyAccount, nil); gone["message"] != "Webhook (https://example.com/hook) has been deleted successfully" {
		t.Errorf("deleted: %v", gone)
	}
	w.want(404, "GET", one, waypost.KeyAccount, nil)
	w.want(404, "DELETE", one, waypost.KeyAccount, nil)
}

func text(v any) string { b, _ := json.Marshal(v); return string(b) }

func wantFields(t *testing.T, got map[string]any, want string) {
	t.Helper()
	names := strings.Fields(want)
	for _, n := range names {
		if _, ok := got[n]; !ok {
			t.Errorf("%s is missing", n)
		}
	}
	if len(got) != len(names) {
		t.Errorf("%d fields, want %d: %v", len(got), len(names), got)
	}
}

// TestWebhookSecret shows, sets and hides secrets.
func TestWebhookSecret(t *testing.T) {
	w := newWorld(t)
	made := w.want(200, "POST", hooks, waypost.KeyAccount, map[string]any{"url": "https://example.com/hook"})
	one := hooks + "/" + text(made["id"])
	first := w.want(200, "POST", one+"/secret/show", waypost.KeyAccount, nil)["secret"].(string)
	if !strings.HasPrefix(first, "whsec_") {
		t.Errorf("the secret is %q", first)
	}
	accountKey := w.keys[waypost.KeyAccount]
	for _, c := range []struct{ ask, want string }{{accountKey, accountKey}, {"", ""}} {
		got := w.want(200, "PUT", one+"/secret", waypost.KeyAccount, map[string]any{"secret": c.ask})["secret"]
		if c.want != "" && got != c.want || got == first || got == "" {
			t.Errorf("set to %q it is %v", c.ask, got)
		}
		if shown := w.want(200, "POST", one+"/secret/show", waypost.KeyAccount, nil)["secret"]; shown != got {
			t.Errorf("shown is %v, want %v", shown, got)
		}
	}
	w.want(422, "PUT", one+"/secret", waypost.KeyAccount, map[string]any{"secret": "short"})
	secret := w.want(200, "POST", one+"/secret/show", waypost.KeyAccount, nil)["secret"].(string)
	for _, path := range []string{one, hooks, "/api/v1/account/audit"} {
		if _, _, answer := w.call("GET", path, waypost.KeyAccount, nil); strings.Contains(answer, secret) || strings.Contains(answer, first) {
			t.Errorf("%s shows a secret", path)
		}
	}
	own := w.want(200, "POST", "/api/v1/subaccount/webhook/secret/show", waypost.KeySubAccount, nil)["secret"].(string)
	if !strings.HasPrefix(own, "whsec_") || own == first {
		t.Errorf("the sub-account's secret is %q", own)
	}
}

// TestWebhookTest sends a sample event of each kind.
func TestWebhookTest(t *testing.T) {
	w := newWorld(t)
	var types []float64
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var body struct{ Event struct{ Type float64 } }
		if json.NewDecoder(r.Body).Decode(&body) != nil || r.Header.Get("X-SendPost-Signature") == "" {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		types = append(types, body.Event.Type)
		rw.WriteHeader(http.StatusAccepted)
		_, _ = rw.Write([]byte("thanks"))
	}))
	defer server.Close()
	made := w.want(200, "POST", hooks, waypost.KeyAccount, map[string]any{"url": server.URL})
	one := hooks + "/" + text(made["id"])
	for event, typ := range map[string]float64{
		"": 60, "processed": 58, "sent": 59, "delivered": 60, "dropped": 62, "smtpDropped": 62, "hardBounced": 63, "softBounced": 64,
		"opened": 65, "clicked": 66, "spam": 67, "unsubscribed": 68,
	} {
		got := w.want(200, "POST", one+"/test", waypost.KeyAccount, map[string]any{"event": event})
		if got["success"] != true || got["status"] != 202.0 || got["answer"] != "thanks" || types[len(types)-1] != typ {
			t.Errorf("%q: %v, type %v", event, got, types[len(types)-1])
		}
	}
	w.want(200, "PUT", one, waypost.KeyAccount, map[string]any{"nativeTypes": true})
	w.want(200, "POST", one+"/test", waypost.KeyAccount, map[string]any{"event": "smtpDropped"})
	if typ := types[len(types)-1]; typ != 10 {
		t.Errorf("with native numbers smtpDropped is %v", typ)
	}
	w.want(422, "POST", one+"/test", waypost.KeyAccount, map[string]any{"event": "eaten"})
	server.Close()
	if got := w.want(200, "POST", one+"/test", waypost.KeyAccount, map[string]any{}); got["success"] != false || got["error"] == "" {
		t.Errorf("with the receiver away: %v", got)
	}
}

// TestDeliveries lists what waits and replays dead letters.
func TestDeliveries(t *testing.T) {
	w := newWorld(t)
	made := w.want(200, "POST", hooks, waypost.KeyAccount, map[string]any{"url": "https://example.com/hook", "dropped": true})
	w.provider("mta1", smtptest.Script{})
	w.want(200, "POST", "/api/v1/subaccount/email/", waypost.KeySubAccount, map[string]any{
		"from": map[string]any{"email": "a@nowhere.example"}, "to": []any{map[string]any{"email": "b@example.org"}}, "subject": "s", "textBody": "t",
	})
	one := hooks + "/" + text(made["id"])
	all := w.want(200, "GET", one+"/delivery", waypost.KeyAccount, nil)["list"].([]any)
	if len(all) != 1 || all[0].(map[string]any)["state"] != "waiting" || all[0].(map[string]any)["due"] == nil {
		t.Fatalf("deliveries are %v", all)
	}
	id := int64(made["id"].(float64))
	held, err := w.store.ClaimDeliveries(t.Context(), id, time.Now().Add(time.Minute), 10, time.Now().Add(time.Hour))
	if err != nil || len(held) != 1 {
		t.Fatalf("claimed %d, %v", len(held), err)
	}
	d := held[0].Delivery
	d.State, d.Attempt, d.Status, d.Error, d.LastAt = waypost.DeliveryDead, 6, 500, "HTTP status 500", time.Now()
	if err := w.store.FinishDeliveries(t.Context(), []waypost.Delivery{d}, time.Now()); err != nil {
		t.Fatal(err)
	}
	dead := w.want(200, "GET", one+"/delivery?state=dead", waypost.KeyAccount, nil)["list"].([]any)
	if len(dead) != 1 || dead[0].(map[string]any)["error"] != "HTTP status 500" {
		t.Errorf("dead letters are %v", dead)
	}
	if rate := w.callV1(200, "GET", hooks, nil)["list"].([]any)[0].(map[string]any)["successRate"]; rate != 0.0 {
		t.Errorf("the success rate is %v", rate)
	}
	if got := w.want(200, "POST", one+"/replay", waypost.KeyAccount, map[string]any{}); got["replayed"] != 1.0 {
		t.Errorf("replayed: %v", got)
	}
	again, err := w.store.ListDeliveries(t.Context(), store.DeliveryQuery{Account: w.account.ID, Webhook: id, Limit: 10})
	if err != nil || again[0].State != waypost.DeliveryWaiting || again[0].Attempt != 0 {
		t.Errorf("after the replay: %+v, %v", again, err)
	}
	w.want(422, "GET", one+"/delivery?state=lost", waypost.KeyAccount, nil)
	w.want(404, "POST", hooks+"/999/replay", waypost.KeyAccount, map[string]any{})
}
