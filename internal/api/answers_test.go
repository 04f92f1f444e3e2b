package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// sendOne makes a call to one entry of to and gives the id of its message.
func (w *world) sendOne(body string) string {
	w.Helper()
	return w.want(200, "POST", "/api/v1/subaccount/email", waypost.KeySubAccount, body)["list"].([]any)[0].(map[string]any)["messageId"].(string)
}

// TestCopiesAreCalledByTheirNames: the message of a copy has the copy's name,
// the header that of the recipient whom it shows.
func TestCopiesAreCalledByTheirNames(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	w.sendOne(`{"from":{"email":"x@example.com","name":"X"},"textBody":"t","to":[{"email":"ann@example.org","name":"Ann",
		"cc":[{"email":"cy@example.org","name":"Cy"}],"bcc":[{"email":"bo@example.org","name":"Bo"}]}]}`)
	for email, want := range map[string]string{"ann@example.org": "Ann", "cy@example.org": "Cy", "bo@example.org": ""} {
		m := w.want(200, "GET", "/api/v1/account/recipient/"+email+"/messages", waypost.KeyAccount, nil)["list"].([]any)[0].(map[string]any)
		to, header := m["to"].(map[string]any), m["headerTo"].(map[string]any)
		if to["name"] != want || to["email"] != email || header["name"] != "Ann" || header["email"] != "ann@example.org" || fmt.Sprint(header["cc"]) != "[cy@example.org]" {
			t.Errorf("%s: to %v, headerTo %v", email, to, header)
		}
		if from := m["replyTo"].(map[string]any); from["email"] != "x@example.com" || from["name"] != "X" {
			t.Errorf("%s: replies go to %v", email, from)
		}
		e := w.want(200, "GET", "/api/v1/account/event?search="+email, waypost.KeyAccount, nil)["list"].([]any)[0].(map[string]any)
		if e["toName"] != want || e["to"] != email {
			t.Errorf("%s: the event calls it %v", email, e["toName"])
		}
	}
}

// TestBlindCopiesAreShown: answers about the message of an entry of "to" tell
// its blind copies in both contracts, those about a copy tell no others.
func TestBlindCopiesAreShown(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	w.verified("example.com")
	w.sendOne(`{"from":{"email":"x@example.com"},"textBody":"t","to":[{"email":"ann@example.org",
		"cc":[{"email":"cy@example.org"}],"bcc":[{"email":"bo@example.org","name":"Bo"},{"email":"di@example.org"},{"email":"nobody"}]}]}`)
	for email, want := range map[string]string{"ann@example.org": "[bo@example.org di@example.org]", "cy@example.org": "[]", "bo@example.org": "[]"} {
		m := w.want(200, "GET", "/api/v1/account/recipient/"+email+"/messages", waypost.KeyAccount, nil)["list"].([]any)[0].(map[string]any)
		one := w.want(200, "GET", "/api/v1/account/message/"+m["messageID"].(string), waypost.KeyAccount, nil)
		for _, m := range []map[string]any{m, one} {
			for name, got := range map[string]any{"to.bcc": m["to"].(map[string]any)["bcc"], "headerTo.bcc": m["headerTo"].(map[string]any)["bcc"], "headerBcc": m["headerBcc"]} {
				if fmt.Sprint(got) != want {
					t.Errorf("%s: %s is %v, want %s", email, name, got, want)
				}
			}
			if m["ipID"] != 1.0 || m["publicIP"] != "192.0.2.1" {
				t.Errorf("%s: ipID %v, publicIP %v", email, m["ipID"], m["publicIP"])
			}
		}
	}
	id := w.want(200, "GET", "/api/v1/account/recipient/ann@example.org/messages", waypost.KeyAccount, nil)["list"].([]any)[0].(map[string]any)["messageID"].(string)
	var m map[string]any
	if err := json.Unmarshal([]byte(w.v1(200, "GET", "/api/v1/account/message/"+id, waypost.KeyAccount, "")), &m); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(m["headerBcc"]); got != "[map[email:bo@example.org name:Bo] map[email:di@example.org name:]]" || m["publicIp"] != "192.0.2.1" {
		t.Errorf("headerBcc %s, publicIp %v", got, m["publicIp"])
	}
}

// TestRefusedMessagesHaveNoIP: no provider was chosen for them.
func TestRefusedMessagesHaveNoIP(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	id := w.sendOne(`{"from":{"email":"x@example.com"},"textBody":"t","to":[{"email":"ann@example.org"}]}`)
	if m := w.want(200, "GET", "/api/v1/account/message/"+id, waypost.KeyAccount, nil); m["ipID"] != 0.0 || m["publicIP"] != "" || fmt.Sprint(m["mxRecords"]) != "[]" {
		t.Errorf("%v", m)
	}
}

// TestRecipientsInBothForms: a domain in U-labels or in A-labels finds the same
// messages, and a recipient who is nobody finds none.
func TestRecipientsInBothForms(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	id := w.sendOne(`{"from":{"email":"x@example.com"},"textBody":"t","to":[{"email":"ann@b\u00fccher.example"}]}`)
	for _, form := range []string{"ann@xn--bcher-kva.example", "Ann@b%C3%BCcher.example", "ann@B%C3%9CCHER.example"} {
		for kind, at := range map[waypost.KeyKind]string{waypost.KeyAccount: "/api/v1/account", waypost.KeySubAccount: "/api/v1/subaccount"} {
			list := w.want(200, "GET", at+"/recipient/"+form+"/messages/", kind, nil)["list"].([]any)
			if len(list) != 1 || list[0].(map[string]any)["messageID"] != id {
				t.Errorf("%s%s: %d messages", at, form, len(list))
			}
			if n := w.want(200, "GET", at+"/event/count?search="+form, kind, nil)["count"]; n == 0.0 {
				t.Errorf("%s%s: no event", at, form)
			}
		}
	}
	for _, nobody := range []string{"%20", "nope"} {
		if _, param := errorOf(w.want(422, "GET", "/api/v1/account/recipient/"+nobody+"/messages", waypost.KeyAccount, nil)); param != "recipient" {
			t.Errorf("recipient %q: param %q", nobody, param)
		}
	}
}

// TestPartsThatAreMissing: what a call leaves out of an object that it gives.
func TestPartsThatAreMissing(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	call := func(more string) string {
		return `{"from":{"email":"x@example.com"},"textBody":"t","to":[{"email":"a@example.org"}],` + more + `}`
	}
	for more, param := range map[string]string{
		`"attachments":[{"filename":"a.txt"}]`:                "attachments[0].content",
		`"attachments":[{"filename":"a.txt","content":null}]`: "attachments[0].content",
		`"attachments":[{"content":"YQ=="}]`:                  "attachments[0].filename",
		`"replyTo":{"name":"R"}`:                              "replyTo.email",
	} {
		if _, got := errorOf(w.want(422, "POST", "/api/v1/subaccount/email", waypost.KeySubAccount, call(more))); got != param {
			t.Errorf("%s: param %q, want %q", more, got, param)
		}
	}
	for _, more := range []string{`"attachments":[{"filename":"empty.txt","content":""}]`, `"replyTo":{}`, `"replyTo":null`} {
		w.sendOne(call(more))
	}
}

// TestUnsendableRecipient: an address that no command can carry is refused where
// it is accepted, not by a reply that no server gave.
func TestUnsendableRecipient(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	r := w.want(200, "POST", "/api/v1/subaccount/email", waypost.KeySubAccount,
		`{"from":{"email":"x@example.com"},"textBody":"t","to":[{"email":"\"a b\"@example.org"}]}`)["list"].([]any)[0].(map[string]any)
	if r["errorCode"] != 1.0 {
		t.Errorf("%v", r)
	}
}

// TestPagesOfSuppressions: the contract v1 documents a most, the older one none.
func TestPagesOfSuppressions(t *testing.T) {
	w := newWorld(t)
	day := time.Now().UTC().Format(time.DateOnly)
	path := "/api/v1/subaccount/suppression?from=" + day + "&to=" + day + "&limit="
	w.want(200, "GET", path+"1000", waypost.KeySubAccount, nil)
	w.want(422, "GET", path+"1001", waypost.KeySubAccount, nil)
	w.v1(200, "GET", path+"100", waypost.KeySubAccount, "")
	w.v1(422, "GET", path+"101", waypost.KeySubAccount, "")
}

// TestRefusalsOfObjectsThatAreThere: 406 does not say that something is missing
// when it is not.
func TestRefusalsOfObjectsThatAreThere(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		method, path string
		kind         waypost.KeyKind
	}{
		{"DELETE", fmt.Sprintf("/api/v1/account/subaccount/%d", w.sub.ID), waypost.KeyAccount},
		{"DELETE", "/api/v1/account/ip/1", waypost.KeyAccount},
		{"POST", "/api/v1/account/webhook", waypost.KeyAccount},
		{"POST", "/api/v1/subaccount/suppression", waypost.KeySubAccount},
	} {
		status, _, answer := w.call(c.method, c.path, c.kind, "{}")
		if status != 406 || !strings.Contains(answer, `"code":"invalid_request"`) {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, answer)
		}
	}
}

// TestBadAgentOfAReport: what an agent says of itself in a wrong way costs no
// event, and no other word of it.
func TestBadAgentOfAReport(t *testing.T) {
	w := newWorld(t)
	p := w.provider("mta1", smtptest.Script{})
	w.verified("example.com")
	id := w.sendOne(`{"from":{"email":"x@example.com"},"textBody":"t","to":[{"email":"a@example.org"}],"ippool":"mta1"}`)
	for i, agent := range []string{
		`"postfix"`, `[]`, `7`, `null`, `{"id":"a1","version":3,"hostname":{"name":"mx"}}`, `{"id":"a1","reasons":"none","lagBytes":"12"}`,
		`{"id":"a1","lastLineAt":"9999-12-31T23:59:59-01:00"}`, `{"id":"a1","lastLineAt":"now","position":1e30}`,
	} {
		r := w.want(200, "POST", "/api/v1/tpsp/custom-smtp/events", waypost.KeyIngestion,
			fmt.Sprintf(`{"agent":%s,"events":[{"event_id":"e%d","message_id":%q,"event_type":"deferred"}]}`, agent, i, id))
		if r["accepted"] != 1.0 {
			t.Errorf("agent %s: %v", agent, r)
		}
		a := w.want(200, "GET", fmt.Sprintf("/api/v1/account/tpsp/%v/agent", p["id"]), waypost.KeyAccount, nil)
		if strings.Contains(agent, `"a1"`) != (a["id"] == "a1") {
			t.Errorf("agent %s is told as %v", agent, a)
		}
	}
}

// TestBadItemsOfAReport: an item with a value of the wrong kind is refused
// alone, and the codes of a reply are read off its text when nothing else has
// them.
func TestBadItemsOfAReport(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	w.verified("example.com")
	id := w.sendOne(`{"from":{"email":"x@example.com"},"textBody":"t","to":[{"email":"a@example.org"}],"ippool":"mta1"}`)
	good := fmt.Sprintf(`{"message_id":%q,"event_type":"bounced","smtp_description":"550 5.1.1 no such user"}`, id)
	items := []string{
		`{"message_id":5,"event_type":"delivered"}`, good, `{"message_id":"` + id + `","event_type":"delivered","smtp_code":"250"}`,
		`{"message_id":"` + id + `","event_type":"delivered","timestamp":"yesterday"}`, `"x"`, `null`,
	}
	for _, form := range []string{`{"agent":{"id":"a1"},"events":[%s]}`, `[%s]`} {
		r := w.want(200, "POST", "/api/v1/tpsp/custom-smtp/events", waypost.KeyIngestion, fmt.Sprintf(form, strings.Join(items, ",")))
		if r["accepted"] != 1.0 || r["rejected"] != 5.0 {
			t.Errorf("%v", r)
		}
		var results []waypost.ReportResult
		b, _ := json.Marshal(r["results"])
		if err := json.Unmarshal(b, &results); err != nil || len(results) != len(items) {
			t.Fatalf("%s: %v", b, err)
		}
		for i, want := range []string{"message_id: must be a string, not number", "", "smtp_code: must be a number", "timestamp: must be", "must be an object", "message_id is required"} {
			if got := results[i]; got.Index != i || (want == "") != (got.Status != waypost.ReportRejected) || !strings.Contains(got.Error, want) && want != "" {
				t.Errorf("item %d: %+v, want %q", i, got, want)
			}
		}
	}
	for _, e := range w.want(200, "GET", "/api/v1/account/message/"+id+"/events", waypost.KeyAccount, nil)["list"].([]any) {
		if e := e.(map[string]any); e["type"] == 63.0 && e["smtpCode"] != 550.0 {
			t.Errorf("the bounce has the code %v", e["smtpCode"])
		}
	}
}
