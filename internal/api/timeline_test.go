package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/store"
)

// TestTimelineTranscripts: what was said in an attempt stands with the attempt
// that failed, and with the event of the one that did not.
func TestTimelineTranscripts(t *testing.T) {
	w := newWorld(t)
	door, now := w.door(), time.Now().Truncate(time.Millisecond)
	c := waypost.Content{ID: waypost.NewUUID(now), Account: w.account.ID, SubAccount: w.sub.ID, Text: "hello"}
	m := waypost.Message{
		ID: waypost.NewUUID(now), Account: w.account.ID, SubAccount: w.sub.ID, Content: c.ID, Recipient: "a@example.org", Provider: 1, SubmittedAt: now,
	}
	if err := door.Accept(t.Context(), c, []ingest.Draft{{Message: m}}, now); err != nil {
		t.Fatal(err)
	}
	settle := func(result waypost.AttemptResult, o waypost.Outcome, steps ...waypost.TranscriptStep) {
		t.Helper()
		at := time.Now()
		got, err := w.store.Claim(t.Context(), store.Claim{Lane: waypost.Lane{Provider: 1, Mailbox: m.Mailbox}, Now: at, Max: 1, LeaseUntil: at.Add(time.Minute)})
		if err != nil || len(got.Entries) != 1 {
			t.Fatalf("claimed %d, %v", len(got.Entries), err)
		}
		n := got.Entries[0].Entry.Attempt + 1
		if err := door.Settle(t.Context(), &got.Entries[0], ingest.Settled{
			Attempt: waypost.Attempt{Message: m.ID, N: n, Provider: 1, At: at, Took: 9 * time.Millisecond, Result: result, Stage: "rcpt"}, Outcome: o,
			Transcript: &waypost.Transcript{
				Attempt: n, Took: 9 * time.Millisecond, Remote: "192.0.2.7:587", TLS: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Reused: n > 1, Steps: steps,
			},
		}); err != nil {
			t.Fatal(err)
		}
	}
	settle(waypost.AttemptTransient, waypost.Outcome{Retry: now}, waypost.TranscriptStep{Name: "rcpt", Failed: true, Code: 451, Text: "4.2.0 <b>later</b>"})
	settle(waypost.AttemptSent, waypost.Outcome{Sent: true}, waypost.TranscriptStep{Name: "final", Code: 250, Text: "2.0.0 Ok", Took: 7 * time.Millisecond})

	status, _, text := w.call(http.MethodGet, "/api/v1/account/message/"+m.ID.String()+"/timeline", waypost.KeyAccount, nil)
	var tl api.Timeline
	if err := json.Unmarshal([]byte(text), &tl); err != nil || status != http.StatusOK {
		t.Fatalf("status %d, %v: %s", status, err, text)
	}
	want := map[string]*api.Transcript{
		"event CSProcessed": nil,
		"attempt ": {
			Remote: "192.0.2.7:587", TLS: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256",
			Steps: []api.TranscriptStep{{Name: "rcpt", Code: 451, Text: "4.2.0 <b>later</b>"}},
		},
		"event CSSent": {
			Remote: "192.0.2.7:587", TLS: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Reused: true,
			Steps: []api.TranscriptStep{{Name: "final", OK: true, Code: 250, Text: "2.0.0 Ok", MS: 7}},
		},
	}
	got := map[string]*api.Transcript{}
	for _, e := range tl.Entries {
		got[e.Kind+" "+e.TypeName] = e.Transcript
		if e.Transcript != nil && e.TookMS != 9 {
			t.Errorf("%s took %d ms", e.Kind, e.TookMS)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("transcripts (-want +got):\n%s", diff)
	}
}

// TestTimelineOfSimulatedRecipients: the timeline says that no mail left, and
// that the message is done with once it is (D-40).
func TestTimelineOfSimulatedRecipients(t *testing.T) {
	w := newWorld(t)
	door, now := w.door(), time.Now().Truncate(time.Millisecond)
	c := waypost.Content{ID: waypost.NewUUID(now), Account: w.account.ID, SubAccount: w.sub.ID, Text: "hello"}
	m := waypost.Message{
		ID: waypost.NewUUID(now), Account: w.account.ID, SubAccount: w.sub.ID, Content: c.ID, Recipient: "test@play.example",
		Provider: waypost.SimulatorProvider, SubmittedAt: now,
	}
	if err := door.Accept(t.Context(), c, []ingest.Draft{{Message: m}}, now); err != nil {
		t.Fatal(err)
	}
	step := func(s ingest.Simulation) map[string]any {
		t.Helper()
		got, err := w.store.Claim(t.Context(), store.Claim{
			Lane: waypost.Lane{Provider: waypost.SimulatorProvider, Mailbox: m.Mailbox}, Now: now, Max: 1, LeaseUntil: now.Add(time.Minute),
		})
		if err != nil || len(got.Entries) != 1 {
			t.Fatalf("claimed %d, %v", len(got.Entries), err)
		}
		if err := door.Simulate(t.Context(), &got.Entries[0], s, now); err != nil {
			t.Fatal(err)
		}
		return w.want(200, "GET", "/api/v1/account/message/"+m.ID.String()+"/timeline", waypost.KeyAccount, nil)
	}
	got := step(ingest.Simulation{Events: []ingest.SimulatedEvent{{Type: waypost.CSSent}, {Type: waypost.CSDelivered}}, Next: now})
	if got["simulated"] != true || got["state"] != "delivered" || got["tpspId"] != 0.0 {
		t.Errorf("simulated %v, state %v, provider %v", got["simulated"], got["state"], got["tpspId"])
	}
	got = step(ingest.Simulation{Events: []ingest.SimulatedEvent{{Type: waypost.CSOpen, Visit: &waypost.Visit{First: true}}}})
	entries := got["entries"].([]any)
	if open := entries[len(entries)-1].(map[string]any); len(entries) != 4 || open["source"] != "simulator" || open["typeName"] != "CSOpen" || got["state"] != "delivered" {
		t.Errorf("%v", got)
	}
}
