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

// TestKeyGivesNoMore holds that a bounded key is a bound for who holds it: it
// makes no key, sub-account or credential that could do more, and does not
// widen itself.
func TestKeyGivesNoMore(t *testing.T) {
	w := newWorld(t)
	soon := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	_, near := w.newKey(`{"scopes":[],"networks":["192.0.2.0/24"],"perHour":7200,"expires":"` + soon.Format(time.RFC3339) + `"}`)
	f := func(body string, want int) {
		t.Helper()
		rec := w.with(waypost.KeyAccount, near, "POST", "/account/key", `{"scopes":[],`+body[1:])
		if rec.Code != want || want == 403 && !strings.Contains(rec.Body.String(), "permission_denied") {
			t.Errorf("%s: %d %s, want %d", body, rec.Code, rec.Body, want)
		}
	}
	f(`{"networks":[]}`, 403)
	f(`{"networks":["192.0.0.0/16"]}`, 403)
	f(`{"networks":["192.0.2.7","198.51.100.7"]}`, 403)
	f(`{"networks":["192.0.2.7"]}`, 201)
	f(`{"perHour":0}`, 403)
	f(`{"perHour":7201}`, 403)
	f(`{"perHour":7}`, 201)
	f(`{"expires":""}`, 403)
	f(`{"expires":"`+soon.Add(time.Second).Format(time.RFC3339)+`"}`, 403)
	f(`{"expires":"`+soon.Add(-time.Minute).Format(time.RFC3339)+`"}`, 201)

	got := w.with(waypost.KeyAccount, near, "POST", "/account/key", `{"name":"heir","scopes":[]}`).Body.String()
	for _, part := range []string{`"networks":["192.0.2.0/24"]`, `"perHour":7200`, `"expires":"` + soon.Format(time.RFC3339)} {
		if !strings.Contains(got, part) {
			t.Errorf("a key made without bounds has %s, not %s", got, part)
		}
	}
	all := w.want(200, "GET", "/api/v1/account/key?limit=1000", waypost.KeyAccount, nil)["list"].([]any)
	for _, k := range all {
		k := k.(map[string]any)
		if nets, _ := k["networks"].([]any); k["kind"] == "account" && len(nets) == 1 && nets[0] == "192.0.2.0/24" && k["name"] == "" {
			if rec := w.with(waypost.KeyAccount, near, "PUT", "/account/key/"+fmt.Sprint(k["id"]), `{"networks":[]}`); rec.Code != 403 {
				t.Errorf("the key widens itself: %d %s", rec.Code, rec.Body)
			}
		}
	}
}

// TestHeirsOfBoundedKeys is the same for keys that other operations make.
func TestHeirsOfBoundedKeys(t *testing.T) {
	w := newWorld(t)
	_, manager := w.newKey(`{"scopes":["manage"],"networks":["192.0.2.0/24"]}`)
	made := w.with(waypost.KeyAccount, manager, "POST", "/account/subaccount", `{"name":"hers"}`)
	if made.Code != 201 {
		t.Fatalf("%d %s", made.Code, made.Body)
	}
	var sub struct{ APIKey string }
	if err := json.Unmarshal(made.Body.Bytes(), &sub); err != nil {
		t.Fatal(err)
	}
	if rec := w.with(waypost.KeySubAccount, sub.APIKey, "GET", "/subaccount/message", ""); rec.Code != 403 {
		t.Errorf("who may only manage reads mail with the key of a sub-account that it made: %d %s", rec.Code, rec.Body)
	}
	if rec := w.with(waypost.KeySubAccount, sub.APIKey, "POST", "/subaccount/domain", `{"name":"example.net"}`); rec.Code != 200 {
		t.Errorf("the key of the sub-account manages: %d %s", rec.Code, rec.Body)
	}
	_, mute := w.newKey(`{"kind":"subaccount","subAccountId":` + fmt.Sprint(w.sub.ID) + `,"scopes":["manage"]}`)
	if rec := w.with(waypost.KeySubAccount, mute, "POST", "/subaccount/smtp", `{"name":"printer"}`); rec.Code != 403 {
		t.Errorf("who may not send makes a credential that sends: %d %s", rec.Code, rec.Body)
	}
	_, sender := w.newKey(`{"kind":"subaccount","subAccountId":` + fmt.Sprint(w.sub.ID) + `,"scopes":["manage","send"]}`)
	if rec := w.with(waypost.KeySubAccount, sender, "POST", "/subaccount/smtp", `{"name":"printer"}`); rec.Code != 201 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// TestTimesThatCannotBeTold holds that a time beyond the year 9999 is refused:
// stored, it would make every answer that lists it fail.
func TestTimesThatCannotBeTold(t *testing.T) {
	w := newWorld(t)
	const late = `"9999-12-31T23:59:59-01:00"`
	w.want(422, "POST", "/api/v1/account/key", waypost.KeyAccount, `{"scopes":[],"expires":`+late+`}`)
	w.want(200, "GET", "/api/v1/account/key", waypost.KeyAccount, nil)
	w.want(422, "POST", "/api/v1/subaccount/suppression/entry", waypost.KeySubAccount, `{"entries":[{"email":"a@example.org","expires":`+late+`}]}`)
	w.want(422, "POST", "/api/v1/subaccount/suppression/import", waypost.KeySubAccount, "email,expires\na@example.org,9999-12-31T23:59:59-01:00\n")
	w.want(200, "GET", "/api/v1/subaccount/suppression/entry", waypost.KeySubAccount, nil)
}

// TestPasswordStaysWithItsServer holds that a stored password is not said to
// another host than the one it was given for.
func TestPasswordStaysWithItsServer(t *testing.T) {
	w := newWorld(t)
	account := smtptest.Script{Username: "waypost", Password: "sesame-of-mine"}
	mine, other := smtptest.New(t, account), smtptest.New(t, account)
	p := w.want(200, "POST", "/api/v1/account/tpsp/", waypost.KeyAccount, map[string]any{
		"name": "mta", "smtpHost": mine.Host(), "smtpPort": mine.Port(), "smtpSecurity": "none", "smtpUsername": "waypost", "smtpPassword": "sesame-of-mine",
	})
	path := fmt.Sprintf("/api/v1/account/tpsp/%v", p["id"])
	refused := w.want(422, "PUT", path, waypost.KeyAccount, map[string]any{"smtpHost": "localhost", "smtpPort": other.Port()})
	if _, param := errorOf(refused); param != "smtpPassword" {
		t.Errorf("%v", refused)
	}
	if n := other.Sessions(); n != 0 {
		t.Errorf("the other server was reached %d times", n)
	}
	w.want(200, "PUT", path, waypost.KeyAccount, map[string]any{"name": "renamed", "smtpHost": mine.Host()})
}
