package api_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
	"github.com/waypost-mail/waypost/internal/store"
)

const oneMail = `{"from":{"email":"x@example.com"},"to":[{"email":"a@example.org"},{"email":"broken@"}],"subject":"s","textBody":"t"}`

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	w.verified("example.com")
	send := func(path, key, body string) (int, string, string) {
		t.Helper()
		status, header, answer := w.callWith("POST", path, waypost.KeySubAccount, body, map[string]string{"Idempotency-Key": key})
		return status, header.Get("Idempotent-Replayed"), answer
	}
	status, replayed, first := send(sendCall, "order-1", oneMail)
	if status != 200 || replayed != "" || !strings.HasPrefix(first, `[{"to":"a@example.org","submittedAt":`) {
		t.Fatalf("%d %q %s", status, replayed, first)
	}
	for _, path := range []string{sendCall, sendCall + "/"} {
		if status, replayed, again := send(path, "order-1", oneMail); status != 200 || replayed != "true" || again != first {
			t.Errorf("%d %q %s, want %s", status, replayed, again, first)
		}
	}
	if status, replayed, other := send(sendCall, "order-2", oneMail); status != 200 || replayed != "" || other == first {
		t.Errorf("another key: %d %q %s", status, replayed, other)
	}
	if status, _, answer := send(sendCall, "order-1", strings.Replace(oneMail, `"s"`, `"S"`, 1)); status != 409 || !strings.Contains(answer, `"param":"Idempotency-Key"`) {
		t.Errorf("another body: %d %s", status, answer)
	}
	if status, _, _ := send(sendCall, "order-3", `{"from":{}}`); status != 422 {
		t.Errorf("malformed: %d", status)
	}
	if status, replayed, _ := send(sendCall, "order-3", oneMail); status != 200 || replayed != "" { // a refusal does not use the key up
		t.Errorf("after a refusal: %d %q", status, replayed)
	}
	for _, key := range []string{strings.Repeat("k", 256), "a\x01b", "schlüssel"} {
		if status, _, answer := send(sendCall, key, oneMail); status != 422 || !strings.Contains(answer, "Idempotency-Key") {
			t.Errorf("key %.20q: %d %s", key, status, answer)
		}
	}
	if status, _, _ := send(sendCall, strings.Repeat("k", 255), oneMail); status != 200 {
		t.Errorf("a key of 255 characters: %d", status)
	}
	// The other call knows the key too.
	w.want(200, "POST", templates, waypost.KeyAccount, `{"name":"welcome","text":"t"}`)
	stored := strings.Replace(oneMail, `"textBody":"t"`, `"template":"welcome"`, 1)
	if status, _, _ := send(sendCall+"/template", "order-1", stored); status != 409 {
		t.Errorf("the other call: %d", status)
	}
	_, _, a := send(sendCall+"/template", "order-9", stored)
	if status, replayed, b := send(sendCall+"/template", "order-9", stored); status != 200 || replayed != "true" || a != b {
		t.Errorf("the other call again: %d %q", status, replayed)
	}
}

// TestIdempotencyRace makes the same call many times at once: one is stored,
// and all have its answer.
func TestIdempotencyRace(t *testing.T) {
	w := newWorld(t)
	w.provider("mta1", smtptest.Script{})
	w.verified("example.com")
	const n = 24
	var all sync.WaitGroup
	answers, fresh := make([]string, n), make([]bool, n)
	for i := range n {
		all.Go(func() {
			status, header, answer := w.callWith("POST", sendCall, waypost.KeySubAccount, oneMail, map[string]string{"Idempotency-Key": "once"})
			if status != 200 {
				t.Errorf("%d %s", status, answer)
			}
			answers[i], fresh[i] = answer, header.Get("Idempotent-Replayed") == ""
		})
	}
	all.Wait()
	made := 0
	for i := range n {
		if answers[i] != answers[0] {
			t.Errorf("two answers: %s and %s", answers[i], answers[0])
		}
		if fresh[i] {
			made++
		}
	}
	messages, err := w.store.ListMessages(t.Context(), store.MessageQuery{Account: w.account.ID, Limit: 10})
	if err != nil || made != 1 || len(messages) != 2 {
		t.Errorf("%d calls were the first, %d messages stored, %v", made, len(messages), err)
	}
}
