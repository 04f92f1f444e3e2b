package api_test

import (
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
	w.want(200, "DELETE", all+"/"+text(made["id"]), waypost.KeySubAccount, nil)
	w.want(404, "DELETE", all+"/"+text(made["id"]), waypost.KeySubAccount, nil)
	if got := w.want(200, "GET", all, waypost.KeySubAccount, nil)["list"].([]any); len(got) != 0 {
		t.Errorf("after its end the list is %v", got)
	}
}
