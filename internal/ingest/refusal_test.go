package ingest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/store"
)

// attempt claims the next message and settles it as refused at a stage.
func (w *world) refuse(stage smtp.Stage, code int, text string, o waypost.Outcome) {
	w.Helper()
	lane := waypost.Lane{Provider: w.provider, Mailbox: waypost.MailboxDefault}
	got, err := w.store.Claim(w.Context(), store.Claim{Lane: lane, Now: w.now, Max: 1, LeaseUntil: w.now.Add(time.Minute)})
	if err != nil || len(got.Entries) != 1 {
		w.Fatalf("claimed %d messages, error %v", len(got.Entries), err)
	}
	c := &got.Entries[0]
	a := waypost.Attempt{
		Message: c.Message.ID, N: 1, Provider: w.provider, At: w.now, Result: waypost.AttemptTransient,
		Stage: string(stage), Code: code, Text: text,
	}
	if err := w.door.Settle(w.Context(), c, ingest.Settled{Attempt: a, Outcome: o}); err != nil {
		w.Fatal(err)
	}
}

// TestRelayRepliesAreJudged: what the provider says of a message is judged by
// the rules of every other reply, for the event of the drop and for warnings;
// what it says of the session is not.
func TestRelayRepliesAreJudged(t *testing.T) {
	w := newWorld(t)
	later := waypost.Outcome{Retry: w.now.Add(time.Hour)}
	const blocked = "421 4.7.0 Our system has detected an unusual rate of unsolicited mail from your IP address"
	for i := range ingest.WarningCount {
		w.accept(fmt.Sprintf("s%d@example.com", i), "")
		w.refuse(smtp.StageBanner, 421, blocked, later)
	}
	if got := w.door.Warnings(w.account, w.now); len(got) != 0 {
		t.Fatalf("words about the session count as words about mail: %+v", got)
	}
	for i := range ingest.WarningCount {
		w.accept(fmt.Sprintf("a%d@example.com", i), "")
		w.refuse(smtp.StageMail, 421, blocked, later)
	}
	got := w.door.Warnings(w.account, w.now)
	if len(got) != 1 || got[0].Lane.Provider != w.provider || got[0].Text != blocked {
		t.Fatalf("warnings %+v, want one about the lane with the provider's words", got)
	}

	m := w.accept("gone@example.com", "")
	w.refuse(smtp.StageRcpt, 550, "550 5.1.1 User unknown", waypost.Outcome{Drop: waypost.DropRelayFailed})
	trail, err := w.store.Trail(w.Context(), w.account, m.ID)
	if err != nil {
		t.Fatal(err)
	}
	last := trail.Events[len(trail.Events)-1]
	if last.Type != waypost.CSDropped || last.Reason != waypost.DropRelayFailed || last.Rule == "" {
		t.Errorf("the drop is %s, reason %s, rule %q; want a rule", last.Type, last.Reason, last.Rule)
	}
	suppressed, err := w.store.Suppressed(w.Context(), w.subAccount, []string{"gone@example.com"}, w.now)
	if err != nil || len(suppressed) != 0 {
		t.Errorf("a drop suppressed its recipient (%v, error %v); only bounces, complaints and opt-outs do", suppressed, err)
	}
}
