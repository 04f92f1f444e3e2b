package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost"
)

// everybodys are operations whose answer is the same for every account, or is
// found by what is no object: they show nothing of anyone.
var everybodys = []string{
	"/api/v1/account/ip/{id}", "/api/v1/account/smtp/stat/ip/{id}/aggregate",
	"/api/v1/account/recipient/{recipient}/messages", "/api/v1/subaccount/recipient/{recipient}/messages",
}

// bodies are those of operations that read the body before they look for the
// object.
var bodies = map[string]string{
	"/api/v1/account/bounce/{id}/reclassify":     `{"verdict":"hard"}`,
	"/api/v1/subaccount/domain/{id}/return-path": `{"direct":true}`,
}

// TestTenancy calls every operation of the document in every wrong way: without
// a key, with a key of another kind, with a good key of another account on our
// objects, with ours on another account's. Nothing but a refusal may come back.
func TestTenancy(t *testing.T) {
	h := newHouse(t)
	ops := h.operations()
	calls := 0
	refused := func(op *operation, path string, header map[string]string, body string, why string, statuses ...int) {
		t.Helper()
		calls++
		rec := h.send(op.method, path, header, []byte(body))
		answer := rec.Body.String()
		if !slices.Contains(statuses, rec.Code) || !strings.HasPrefix(answer, `{"error":{"code":"`) {
			t.Errorf("%s %s %s: %d %.200s", op.method, path, why, rec.Code, answer)
		}
		if strings.Contains(answer, secretWords) && !strings.Contains(path, secretWords) {
			t.Errorf("%s %s %s tells of the other account: %.200s", op.method, path, why, answer)
		}
		for _, key := range header {
			if len(key) > 10 && strings.Contains(answer, key) {
				t.Errorf("%s %s %s repeats the key", op.method, path, why)
			}
		}
	}
	for i := range ops {
		op := &ops[i]
		ours, object := op.target(t, &h.ours)
		body := bodies[op.path]
		if body == "" {
			body = "{}"
		}
		mine := h.headers[op.kind]
		refused(op, ours, nil, body, "without a key", http.StatusUnauthorized)
		for _, bad := range []string{"wrong", strings.Repeat("x", 500), h.ours.keys[op.kind] + "x"} {
			refused(op, ours, map[string]string{mine: bad}, body, "with a key that is none", http.StatusUnauthorized)
		}
		for kind, header := range h.headers {
			if kind == op.kind {
				continue
			}
			good := h.ours.keys[kind]
			refused(op, ours, map[string]string{header: good}, body, "with a key of another kind", http.StatusUnauthorized)
			refused(op, ours, map[string]string{mine: good}, body, "with a key of another kind in its header", http.StatusUnauthorized)
		}
		if !object {
			h.showsNothing(op, ours)
			continue
		}
		if slices.Contains(everybodys, op.path) {
			continue
		}
		const notFound, missing = http.StatusNotFound, http.StatusNotAcceptable
		refused(op, ours, map[string]string{mine: h.theirs.keys[op.kind]}, body, "with a key of another account", notFound, missing)
		theirs, _ := op.target(t, &h.theirs)
		refused(op, theirs, map[string]string{mine: h.ours.keys[op.kind]}, body, "on another account's object", notFound, missing)
	}
	if calls < 8*len(ops) {
		t.Errorf("%d calls of %d operations", calls, len(ops))
	}
	h.untouched()
	path := "/api/v1/account/recipient/" + h.theirs.ids["recipient"] + "/messages"
	if rec := h.send("GET", path, map[string]string{h.headers[waypost.KeyAccount]: h.ours.keys[waypost.KeyAccount]}, nil); rec.Body.String() != "[]\n" {
		t.Errorf("messages to the other account's recipient: %s\n%s", rec.Body, h.log)
	}
}

// showsNothing calls a collection with our key and finds nothing of theirs.
func (h *house) showsNothing(op *operation, path string) {
	h.Helper()
	if op.method != http.MethodGet {
		return
	}
	for _, query := range []string{op.query(), "?search=" + secretWords, "?from=2020-01-01&to=2020-02-01&group=" + secretWords + "&by=group"} {
		rec := h.send(op.method, path+query, map[string]string{h.headers[op.kind]: h.ours.keys[op.kind]}, nil)
		if strings.Contains(rec.Body.String(), secretWords) {
			h.Errorf("%s%s tells of the other account: %.300s", op.name(), query, rec.Body)
		}
	}
}

// untouched proves that none of it changed anything.
func (h *house) untouched() {
	h.Helper()
	for _, own := range []*tenant{&h.ours, &h.theirs} {
		ops := h.operations()
		for i := range ops {
			op := &ops[i]
			if op.method != http.MethodGet || op.kind == waypost.KeyIngestion {
				continue
			}
			path, object := op.target(h.T, own)
			if !object || own == &h.theirs && strings.Contains(path, "/ip/") {
				continue
			}
			if rec := h.send("GET", path, map[string]string{h.headers[op.kind]: own.keys[op.kind]}, nil); rec.Code != 200 {
				h.Errorf("%s is gone for its own account: %d %.200s", path, rec.Code, rec.Body)
			}
		}
	}
}

// TestForeignIDsInBodies: an id in a body is looked for in the caller's account
// alone.
func TestForeignIDsInBodies(t *testing.T) {
	h := newHouse(t)
	account := map[string]string{"X-Account-ApiKey": h.ours.keys[waypost.KeyAccount]}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/account/ippool", `{"name":"p","tpsps":[` + h.theirs.ids["tpsp"] + `]}`, 422},
		{"POST", "/account/ippool", `{"name":"p","routingStrategy":2,"routingMetaData":"{\"TPSP_` + h.theirs.ids["tpsp"] + `\":\"1\"}"}`, 422},
		{"POST", "/account/ippool", `{"name":"p","tpsps":[` + h.ours.ids["tpsp"] + `],"shouldOverflow":true,"overflowPoolName":"` + secretWords + `"}`, 422},
		{"PUT", "/account/subaccount/" + h.ours.ids["subaccount"] + "/default-pool", `{"ippool":"` + secretWords + `"}`, 422},
		{"POST", "/account/key", `{"kind":"subaccount","subAccountId":` + h.theirs.ids["subaccount"] + `}`, 422},
		{"POST", "/account/route/explain", `{"recipient":"a@example.org","subAccountId":` + h.theirs.ids["subaccount"] + `}`, 422},
		{"POST", "/account/queue/pause", `{"tpspId":` + h.theirs.ids["tpsp"] + `}`, 404},
		{"GET", "/account/stat/breakdown?by=total&from=2026-03-01&to=2026-03-02&subAccountId=" + h.theirs.ids["subaccount"], "", 404},
	} {
		rec := h.send(c.method, "/api/v1"+c.path, account, []byte(c.body))
		if rec.Code != c.status && (c.status != 404 || rec.Code != 422) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, rec.Code, rec.Body)
		}
	}
	retry := h.send("POST", "/api/v1/account/queue/cancel", account, []byte(`{"messageIds":["`+h.theirs.ids["message"]+`"]}`))
	if retry.Code != 200 || strings.TrimSpace(retry.Body.String()) != `{"messages":0}` {
		t.Errorf("cancelling another account's message: %d %s", retry.Code, retry.Body)
	}
}
