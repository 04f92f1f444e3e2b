package submission_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	gosmtp "github.com/emersion/go-smtp"

	"github.com/waypost-mail/waypost/internal/submission"
)

// TestRate: a credential hands in as many mails as it may in an hour, counted
// over all nodes, and is told when the next may come.
func TestRate(t *testing.T) {
	for what, f := range map[string]struct{ own, server int }{"its own bound": {3, 1}, "the server's": {0, 3}} {
		t.Run(what, func(t *testing.T) {
			var c submission.Config
			h := newHouse(t, func(config *submission.Config) { config.PerHour = f.server; c = *config })
			key, err := h.store.SubmissionKey(t.Context(), h.sub, "printer")
			h.ok(err)
			key.PerHour = f.own
			h.ok(h.store.UpdateKey(t.Context(), &key))
			node := *h
			node.server = submission.New(c)
			node.listen()

			for i := range 3 {
				on := h
				if i%2 == 1 {
					on = &node
				}
				h.ok(on.dial().SendMail("x@example.com", []string{"ann@example.org", "bob@example.org"}, strings.NewReader(mail(simple))))
			}
			for _, on := range []*house{h, &node} {
				client := on.dial()
				err := client.SendMail("x@example.com", []string{"ann@example.org"}, strings.NewReader(mail(simple)))
				r, ok := errors.AsType[*gosmtp.SMTPError](err)
				if !ok || r.Code != 451 || r.EnhancedCode != (gosmtp.EnhancedCode{4, 7, 0}) || !strings.Contains(r.Message, "3 mails an hour; try again in ") {
					t.Fatalf("a mail too many: %v", err)
				}
				h.ok(client.Noop()) // the session goes on
			}
			if n := len(h.messages()); n != 6 {
				t.Errorf("%d messages were taken, want 6", n)
			}
		})
	}
	h := newHouse(t, nil)
	client := h.dial()
	for i := range 15 {
		if err := client.SendMail("x@example.com", []string{fmt.Sprintf("a%d@example.org", i)}, strings.NewReader(mail(simple))); err != nil {
			t.Fatalf("without a bound: %v", err)
		}
	}
}
