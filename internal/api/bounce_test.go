package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/secret"
)

// bounced stores a message, and a hard bounce report about it.
func (w *world) bounced(door *ingest.Door, recipient string) (waypost.Message, string) {
	w.Helper()
	now := time.Now()
	c := waypost.Content{ID: waypost.NewUUID(now), Account: w.account.ID, SubAccount: w.sub.ID, Text: "hello"}
	m := waypost.Message{
		ID: waypost.NewUUID(now), Account: w.account.ID, SubAccount: w.sub.ID, Content: c.ID, Recipient: recipient,
		To: waypost.Address{Email: recipient}, Provider: 1, SubmittedAt: now,
	}
	if err := door.Accept(w.Context(), c, []ingest.Draft{{Message: m}}, now); err != nil {
		w.Fatal(err)
	}
	path := m.Envelope("example.com").ReturnPath.String()
	to, err := door.Addressee(w.Context(), path, now)
	if err != nil {
		w.Fatal(err)
	}
	raw := "From: MAILER-DAEMON@mta.example\r\nSubject: Undelivered Mail\r\nTo: " + path + "\r\n\r\n<" + recipient + ">: 550 5.1.1 User unknown \xff\r\n"
	got, err := door.Bounce(w.Context(), to, []byte(raw), now)
	if err != nil {
		w.Fatal(err)
	}
	return m, got.Report.ID.String()
}

func (w *world) door() *ingest.Door {
	w.Helper()
	judge, err := bounce.NewJudge()
	if err != nil {
		w.Fatal(err)
	}
	return ingest.New(w.store, judge)
}

func TestBounceReports(t *testing.T) {
	w := newWorld(t)
	m, id := w.bounced(w.door(), "gone@example.org")
	list := w.want(200, "GET", "/api/v1/account/bounce/?kind=bounce&status=counted&messageId="+m.ID.String(), waypost.KeyAccount, nil)["list"].([]any)
	if len(list) != 1 {
		t.Fatalf("listed %v", list)
	}
	r := list[0].(map[string]any)
	if r["id"] != id || r["verdict"] != "hard" || r["reason"] != "mailbox_unknown" || r["messageId"] != m.ID.String() || r["recipient"] != "gone@example.org" {
		t.Errorf("report %v", r)
	}
	one := w.want(200, "GET", "/api/v1/account/bounce/"+id, waypost.KeyAccount, nil)
	parsed, _ := one["parsed"].(map[string]any)
	if raw, _ := one["raw"].(string); !strings.Contains(raw, "User unknown \uFFFD") || len(parsed["recipients"].([]any)) != 1 {
		t.Errorf("report %v", one)
	}
	again := w.want(200, "POST", "/api/v1/account/bounce/"+id+"/reclassify", waypost.KeyAccount, map[string]any{"verdict": "soft"})
	if again["reclassified"] != "soft" || again["reclassifiedAt"] == nil {
		t.Errorf("reclassified %v", again)
	}
	if tl := w.want(200, "GET", "/api/v1/account/message/"+m.ID.String()+"/timeline", waypost.KeyAccount, nil); !strings.Contains(fmt.Sprint(tl["entries"]), "rule:reclassified source:bounce") || !strings.Contains(fmt.Sprint(tl["entries"]), "kind:evidence") {
		t.Errorf("timeline %v", tl)
	}
	for _, body := range []any{map[string]any{"verdict": "maybe"}, map[string]any{}, "{", nil} {
		w.want(422, "POST", "/api/v1/account/bounce/"+id+"/reclassify", waypost.KeyAccount, body)
	}
	w.want(404, "GET", "/api/v1/account/bounce/nonsense", waypost.KeyAccount, nil)
	w.want(422, "GET", "/api/v1/account/bounce?messageId=nonsense", waypost.KeyAccount, nil)
	if all := w.want(200, "GET", "/api/v1/account/warnings", waypost.KeyAccount, nil)["list"].([]any); len(all) != 0 {
		t.Errorf("warnings %v", all)
	}
}

// TestBounceTenancy: no other kind of key opens these operations, and another
// account sees and changes nothing.
func TestBounceTenancy(t *testing.T) {
	w := newWorld(t)
	m, id := w.bounced(w.door(), "gone@example.org")
	w.keys[waypost.KeyIngestion] = secret.NewKey("wpe")
	paths := map[string]string{
		"/api/v1/account/bounce": "GET", "/api/v1/account/bounce/" + id: "GET", "/api/v1/account/warnings": "GET",
		"/api/v1/account/bounce/" + id + "/reclassify": "POST",
	}
	body := map[string]any{"verdict": "none"}
	for path, method := range paths {
		for _, kind := range []waypost.KeyKind{waypost.KeySubAccount, waypost.KeyIngestion} {
			w.want(401, method, path, kind, body)
		}
	}
	w.keys[waypost.KeyAccount] = secret.NewKey("wpa")
	if err := w.store.CreateKey(t.Context(), &waypost.APIKey{
		Kind: waypost.KeyAccount, Account: w.account.ID + 1, Hash: secret.HashKey(w.keys[waypost.KeyAccount]), Created: time.Now(),
	}); err != nil {
		t.Fatal(err)
	}
	w.want(404, "GET", "/api/v1/account/bounce/"+id, waypost.KeyAccount, nil)
	w.want(404, "POST", "/api/v1/account/bounce/"+id+"/reclassify", waypost.KeyAccount, body)
	for _, query := range []string{"", "?messageId=" + m.ID.String(), fmt.Sprintf("?subAccountId=%d", w.sub.ID)} {
		if list := w.want(200, "GET", "/api/v1/account/bounce"+query, waypost.KeyAccount, nil)["list"].([]any); len(list) != 0 {
			t.Errorf("another account lists %v", list)
		}
	}
	trail, err := w.store.Trail(t.Context(), w.account.ID, m.ID)
	if err != nil || len(trail.Events) != 2 || trail.Events[1].Evidence {
		t.Errorf("another account changed the events: %+v, %v", trail.Events, err)
	}
}
