package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
)

// TestSMTPCredentials makes, lists and ends credentials; the password shows
// once and only its hash is kept.
func TestSMTPCredentials(t *testing.T) {
	w := newWorld(t)
	const all = "/api/v1/subaccount/smtp"
	made := w.want(201, "POST", all, waypost.KeySubAccount, map[string]any{"name": "printer"})
	password := made["password"].(string)
	if made["username"] != "printer@1.sendpost.io" || len(password) < 20 {
		t.Errorf("made: %v", made["username"])
	}
	k, err := w.store.SubmissionKey(t.Context(), w.sub.ID, "printer")
	if err != nil || k.Hash != secret.HashKey(password) {
		t.Errorf("the key is %+v, %v", k.Name, err)
	}
	w.want(403, "POST", all, waypost.KeySubAccount, map[string]any{"name": "printer"})
	for _, bad := range []string{"", "Printer", "a b", "a@b", strings.Repeat("a", 65)} {
		if _, param := errorOf(w.want(422, "POST", all, waypost.KeySubAccount, map[string]any{"name": bad})); param != "name" {
			t.Errorf("%q: param %q", bad, param)
		}
	}
	if _, _, answer := w.call("GET", all, waypost.KeySubAccount, nil); strings.Contains(answer, password) || !strings.Contains(answer, "printer") {
		t.Errorf("the list is %s", answer)
	}
	auths := func() []any {
		one := w.want(200, "GET", fmt.Sprintf("/api/v1/account/subaccount/%d", w.sub.ID), waypost.KeyAccount, nil)["smtpAuths"].([]any)
		list := w.want(200, "GET", "/api/v1/account/subaccount/", waypost.KeyAccount, nil)["list"].([]any)[0].(map[string]any)["smtpAuths"].([]any)
		if len(one) != len(list) {
			t.Errorf("one sub-account has %v, in the list %v", one, list)
		}
		return one
	}
	if got := auths(); len(got) != 1 || got[0].(map[string]any)["username"] != made["username"] || got[0].(map[string]any)["password"] != "" {
		t.Errorf("the sub-account has the credentials %v", got)
	}
	w.want(200, "DELETE", all+"/"+text(made["id"]), waypost.KeySubAccount, nil)
	if got := auths(); len(got) != 0 {
		t.Errorf("after its end the sub-account has %v", got)
	}
	w.want(404, "DELETE", all+"/"+text(made["id"]), waypost.KeySubAccount, nil)
	if got := w.want(200, "GET", all, waypost.KeySubAccount, nil)["list"].([]any); len(got) != 0 {
		t.Errorf("after its end the list is %v", got)
	}
}
