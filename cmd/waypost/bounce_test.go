package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestBounceCommands(t *testing.T) {
	f := func(code int, want string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(t.Context(), args, &out, &errs); got != code {
			t.Errorf("%v: exit code %d, want %d: %s", args, got, code, errs.String())
		}
		got := strings.Join(strings.Fields(out.String()), " ")
		if !strings.Contains(got, want) {
			t.Errorf("%v: %q does not contain %q", args, got, want)
		}
	}
	const reports = "../../internal/bounce/testdata/reports/"
	f(0, "verdict hard reason mailbox_unknown rule code.mailbox_unknown effect CSHardBounced; the recipient is suppressed", "classify", "550 5.1.1 User unknown")
	f(0, "verdict soft reason blocked", "classify", "550 5.1.1 blocked using a block list of spamhaus")
	f(0, "kind bounce", "bounce", "explain", reports+"postfix.eml")
	f(0, "recipient kim@example.com action failed status 5.1.1", "bounce", "explain", reports+"postfix.eml")
	f(0, "effect nothing counts: an automatic answer", "bounce", "explain", reports+"vacation.eml")
	f(0, "effect CSUnsubscribe; the recipient is suppressed", "bounce", "explain", reports+"complaint.eml")
	f(1, "", "bounce", "explain", reports+"absent.eml")
	f(1, "", "bounce", "explain", reports)
}
