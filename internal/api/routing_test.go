package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

func idOf(m map[string]any) string { return fmt.Sprintf("%.0f", m["id"]) }

func TestProviderUpdate(t *testing.T) {
	w := newWorld(t)
	p := w.provider("mta1", smtptest.Script{})
	w.provider("mta2", smtptest.Script{})
	path := "/api/v1/account/tpsp/" + idOf(p)
	u := w.want(200, "PUT", path, waypost.KeyAccount, map[string]any{
		"name": "renamed", "maxRatePerHour": "250", "burst": true, "retrySchedule": "1m,2m", "maxConnections": 3,
		"maxMessagesPerConnection": 50, "providerSettings": map[string]any{"gmail": map[string]any{"maxSendPerHour": 10}},
	})
	for field, want := range map[string]any{
		"name": "renamed", "maxRatePerHour": 250.0, "burst": true, "retrySchedule": "1m0s,2m0s", "maxConnections": 3.0,
		"maxMessagesPerConnection": 50.0, "smtpHost": p["smtpHost"], "smtpPort": p["smtpPort"], "retryPermanent": true,
	} {
		if u[field] != want {
			t.Errorf("%s is %v, want %v", field, u[field], want)
		}
	}
	kept := w.want(200, "PUT", path, waypost.KeyAccount, map[string]any{"maxRatePerHour": 300})
	if kept["name"] != "renamed" || kept["burst"] != true || fmt.Sprint(kept["providerSettings"]) != fmt.Sprint(u["providerSettings"]) {
		t.Errorf("what an update leaves out does not stay: %v", kept)
	}
	w.want(403, "PUT", path, waypost.KeyAccount, map[string]any{"name": "mta2"})
	w.want(422, "PUT", path, waypost.KeyAccount, map[string]any{"retrySchedule": "soon"})
	w.want(422, "PUT", path, waypost.KeyAccount, map[string]any{"maxConnections": -1})
	w.want(404, "PUT", "/api/v1/account/tpsp/999", waypost.KeyAccount, map[string]any{"name": "x"})
	refused := w.want(422, "PUT", path, waypost.KeyAccount, map[string]any{"smtpPort": 1})
	if refused["failedStep"] != "connect" {
		t.Errorf("a new port is not tested: %v", refused)
	}
	if got := w.want(200, "GET", path, waypost.KeyAccount, nil); got["smtpPort"] != p["smtpPort"] {
		t.Error("a refused update was stored")
	}
	if n := w.want(200, "GET", "/api/v1/account/tpsp/count", waypost.KeyAccount, nil); n["count"] != 2.0 {
		t.Errorf("count %v", n)
	}
	deleted := w.want(200, "DELETE", path, waypost.KeyAccount, nil)
	if deleted["message"] != "TPSP (renamed) has been deleted successfully" {
		t.Errorf("%v", deleted)
	}
	w.want(404, "DELETE", path, waypost.KeyAccount, nil)
}

func TestKeyRotation(t *testing.T) {
	w := newWorld(t)
	p := w.provider("mta1", smtptest.Script{})
	old := w.keys[waypost.KeyIngestion]
	r := w.want(200, "POST", "/api/v1/account/tpsp/"+idOf(p)+"/rotate-key", waypost.KeyAccount, nil)
	for _, key := range []string{old, r["eventIngestionApiKey"].(string)} {
		w.keys[waypost.KeyIngestion] = key
		w.want(200, "POST", "/api/v1/tpsp/custom-smtp/events", waypost.KeyIngestion, "[]")
	}
	audit := w.want(200, "GET", "/api/v1/account/audit", waypost.KeyAccount, nil)["list"].([]any)
	if text := fmt.Sprint(audit); !strings.Contains(text, "provider.rotate-key") || !strings.Contains(text, "provider.create") || strings.Contains(text, old) {
		t.Errorf("audit %s", text)
	}
}

func TestPools(t *testing.T) {
	w := newWorld(t)
	a, b := idOf(w.provider("a", smtptest.Script{})), idOf(w.provider("b", smtptest.Script{}))
	ids := []string{a, b}
	const path = "/api/v1/account/ippool"
	p := w.want(200, "POST", path, waypost.KeyAccount, map[string]any{
		"name": "both", "tpsps": ids, "routingStrategy": 2, "routingMetaData": fmt.Sprintf(`{"TPSP_%s":"3","TPSP_%s":"1"}`, a, b),
		"overflowStrategy": 1, "overflowPoolName": "a", "warmupInterval": 24,
	})
	if p["shouldOverflow"] != true || p["overflowPoolName"] != "a" || len(p["thirdPartySendingProviders"].([]any)) != 2 {
		t.Errorf("%v", p)
	}
	w.want(403, "POST", path, waypost.KeyAccount, map[string]any{"name": "both", "tpsps": ids})
	f := func(body map[string]any, param string) {
		t.Helper()
		if _, ok := body["name"]; !ok {
			body["name"] = "bad"
		}
		if message, got := errorOf(w.want(422, "POST", path, waypost.KeyAccount, body)); got != param {
			t.Errorf("%v: param %q, want %q: %s", body, got, param, message)
		}
	}
	f(map[string]any{"tpsps": ids, "name": ""}, "name")
	f(map[string]any{}, "tpsps")
	f(map[string]any{"tpsps": []int{999}}, "tpsps")
	f(map[string]any{"tpsps": ids, "routingStrategy": 7}, "routingStrategy")
	f(map[string]any{"tpsps": ids, "routingStrategy": 2, "routingMetaData": `{"TPSP_` + a + `":"-5"}`}, "routingMetaData")
	f(map[string]any{"tpsps": ids, "routingStrategy": 2, "routingMetaData": `{"TPSP_` + a + `":"0","TPSP_` + b + `":"0"}`}, "routingMetaData")
	f(map[string]any{"tpsps": ids, "routingStrategy": 2, "routingMetaData": `{"TPSP_999":"1"}`}, "routingMetaData")
	f(map[string]any{"tpsps": ids, "routingMetaData": `[`}, "routingMetaData")
	f(map[string]any{"tpsps": ids, "routingMetaData": map[string]any{}}, "routingMetaData")
	f(map[string]any{"tpsps": ids, "shouldOverflow": true}, "overflowPoolName")
	f(map[string]any{"tpsps": ids, "shouldOverflow": true, "overflowPoolName": "bad"}, "overflowPoolName")
	f(map[string]any{"tpsps": ids, "shouldOverflow": true, "overflowPoolName": "nowhere"}, "overflowPoolName")
	f(map[string]any{"tpsps": ids, "patienceSeconds": -1}, "patienceSeconds")
	if list := w.want(200, "GET", path, waypost.KeyAccount, nil)["list"].([]any); len(list) != 3 {
		t.Errorf("%d pools, want the two of the providers and one: a refused one was stored", len(list))
	}
	one := path + "/" + idOf(p)
	u := w.want(200, "PUT", one, waypost.KeyAccount, map[string]any{"name": "renamed", "shouldOverflow": false})
	if u["name"] != "renamed" || u["shouldOverflow"] != false || u["routingMetaData"] != p["routingMetaData"] {
		t.Errorf("%v", u)
	}
	w.want(422, "PUT", one, waypost.KeyAccount, map[string]any{"overflowPoolName": "renamed"})
	w.want(404, "PUT", path+"/999", waypost.KeyAccount, map[string]any{"name": "x"})
	if d := w.want(200, "DELETE", one, waypost.KeyAccount, nil); d["message"] != "IPPool (renamed) has been deleted successfully" {
		t.Errorf("%v", d)
	}
	w.want(404, "DELETE", one, waypost.KeyAccount, nil)
}

func TestDefaultPool(t *testing.T) {
	w := newWorld(t)
	w.provider("a", smtptest.Script{})
	w.provider("b", smtptest.Script{})
	mail := map[string]any{"from": map[string]any{"email": "x@example.com"}, "to": []any{map[string]any{"email": "a@example.org"}}, "textBody": "t"}
	w.want(422, "POST", "/api/v1/subaccount/email", waypost.KeySubAccount, mail) // two pools, none named
	path := fmt.Sprintf("/api/v1/account/subaccount/%d/default-pool", w.sub.ID)
	w.want(422, "PUT", path, waypost.KeyAccount, map[string]any{"ippool": "nowhere"})
	w.want(200, "PUT", path, waypost.KeyAccount, map[string]any{"ippool": "b"})
	sent := w.want(200, "POST", "/api/v1/subaccount/email", waypost.KeySubAccount, mail)["list"].([]any)[0].(map[string]any)
	if m := w.want(200, "GET", "/api/v1/account/message/"+sent["messageId"].(string), waypost.KeyAccount, nil); m["ipPool"] != "b" {
		t.Errorf("sent through %v", m["ipPool"])
	}
	w.want(404, "PUT", "/api/v1/account/subaccount/999/default-pool", waypost.KeyAccount, map[string]any{"ippool": "b"})
}

func TestExplainRoute(t *testing.T) {
	w := newWorld(t)
	a := w.provider("a", smtptest.Script{})
	x := w.want(200, "POST", "/api/v1/account/route/explain", waypost.KeyAccount, map[string]any{"recipient": "someone@gmail.com", "ippool": "a"})
	c := x["candidates"].([]any)[0].(map[string]any)
	if x["mailboxCategory"] != "gmail" || x["tpspId"] != a["id"] || x["tpspName"] != "a" || c["breaker"] != "closed" || c["usable"] != true || c["maxRatePerHour"] != 100.0 || x["nextSlot"] == nil {
		t.Errorf("%v", x)
	}
	w.want(422, "POST", "/api/v1/account/route/explain", waypost.KeyAccount, map[string]any{"recipient": "nobody"})
	w.want(422, "POST", "/api/v1/account/route/explain", waypost.KeyAccount, map[string]any{"recipient": "a@gmail.com", "ippool": "nowhere"})
	w.want(422, "POST", "/api/v1/account/route/explain", waypost.KeyAccount, map[string]any{"recipient": "a@gmail.com", "subAccountId": 99})
}

func TestQueueSurgery(t *testing.T) {
	w := newWorld(t)
	a, b := w.provider("a", smtptest.Script{}), w.provider("b", smtptest.Script{})
	w.verified("example.com")
	var ids []string
	var to []any
	for i := range 4 {
		to = append(to, map[string]any{"email": fmt.Sprintf("r%d@gmail.com", i)})
	}
	for _, r := range w.want(200, "POST", "/api/v1/subaccount/email", waypost.KeySubAccount, map[string]any{
		"from": map[string]any{"email": "x@example.com"}, "to": to, "textBody": "t", "ippool": "a",
	})["list"].([]any) {
		ids = append(ids, r.(map[string]any)["messageId"].(string))
	}
	const q = "/api/v1/account/queue"
	lanes := w.want(200, "GET", q, waypost.KeyAccount, nil)["list"].([]any)
	if len(lanes) != 1 || lanes[0].(map[string]any)["messages"] != 4.0 || lanes[0].(map[string]any)["mailboxCategory"] != "gmail" {
		t.Fatalf("lanes %v", lanes)
	}
	do := func(action string, body map[string]any, want float64) {
		t.Helper()
		if got := w.want(200, "POST", q+"/"+action, waypost.KeyAccount, body)["messages"]; got != want {
			t.Errorf("%s acted on %v, want %v", action, got, want)
		}
	}
	do("cancel", map[string]any{"messageIds": ids[:1]}, 1)
	do("cancel", map[string]any{"messageIds": ids[:1]}, 0)
	do("move", map[string]any{"messageIds": ids[1:2], "ippool": "b"}, 1)
	do("retry", map[string]any{"tpspId": a["id"], "mailboxCategory": "gmail"}, 0) // they are due already
	if x := w.want(200, "GET", "/api/v1/account/message/"+ids[0]+"/timeline", waypost.KeyAccount, nil); x["state"] != "dropped" || !strings.Contains(fmt.Sprint(x["entries"]), "cancelled") {
		t.Errorf("cancelled: %v", x)
	}
	if x := w.want(200, "GET", "/api/v1/account/message/"+ids[1]+"/timeline", waypost.KeyAccount, nil); x["tpspId"] != b["id"] {
		t.Errorf("moved: %v", x)
	}
	waiting := w.want(200, "GET", q+"/messages?tpspId="+idOf(a), waypost.KeyAccount, nil)["list"].([]any)
	if len(waiting) != 2 {
		t.Errorf("waiting for a: %v", waiting)
	}
	w.want(200, "POST", q+"/pause", waypost.KeyAccount, map[string]any{"tpspId": a["id"], "mailboxCategory": "gmail", "reason": "warming up"})
	if text := fmt.Sprint(w.want(200, "GET", q, waypost.KeyAccount, nil)); !strings.Contains(text, "warming up") {
		t.Errorf("a paused lane is not shown as such: %s", text)
	}
	if x := w.want(200, "GET", "/api/v1/account/message/"+ids[2]+"/explain", waypost.KeyAccount, nil); !strings.Contains(fmt.Sprint(x["why"]), "warming up") || x["nextSlot"] != nil {
		t.Errorf("explained as %v, next %v", x["why"], x["nextSlot"])
	}
	w.want(200, "POST", q+"/resume", waypost.KeyAccount, map[string]any{"tpspId": a["id"], "mailboxCategory": "gmail"})
	w.want(404, "POST", q+"/resume", waypost.KeyAccount, map[string]any{"tpspId": a["id"], "mailboxCategory": "gmail"})

	bad := func(action string, body map[string]any, param string) {
		t.Helper()
		if message, got := errorOf(w.want(422, "POST", q+"/"+action, waypost.KeyAccount, body)); got != param {
			t.Errorf("%s %v: param %q, want %q: %s", action, body, got, param, message)
		}
	}
	bad("retry", map[string]any{}, "tpspId")
	bad("retry", map[string]any{"messageIds": []string{"x"}}, "messageIds")
	bad("retry", map[string]any{"tpspId": a["id"], "limit": 10_001}, "limit")
	bad("retry", map[string]any{"tpspId": a["id"], "mailboxCategory": "hotmial"}, "mailboxCategory")
	bad("move", map[string]any{"tpspId": a["id"], "ippool": "nowhere"}, "ippool")
	bad("pause", map[string]any{}, "tpspId")
	w.want(404, "POST", q+"/retry", waypost.KeyAccount, map[string]any{"tpspId": 999})
	audit := fmt.Sprint(w.want(200, "GET", "/api/v1/account/audit", waypost.KeyAccount, nil))
	for _, action := range []string{"queue.cancel", "queue.move", "queue.retry", "queue.pause", "queue.resume"} {
		if !strings.Contains(audit, action) {
			t.Errorf("%s is not in the audit", action)
		}
	}
}
