package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/senderdomain"
)

func TestMailboxesNeverWait(t *testing.T) {
	var asked atomic.Int32
	release := make(chan struct{})
	m := newMailboxes(func(_ context.Context, domain string) ([]string, error) {
		asked.Add(1)
		<-release
		switch domain {
		case "business.example":
			return []string{"business-example.mail.protection.outlook.com"}, nil
		case "nothing.example":
			return nil, senderdomain.ErrNotFound
		}
		return nil, errors.New("no answer")
	})
	f := func(recipient, want string) {
		t.Helper()
		if got := m.of(recipient).String(); got != want {
			t.Errorf("%s is %s, want %s", recipient, got, want)
		}
	}
	f("a@GMAIL.com", "gmail")
	for range 3 { // the look-up is under way: no second one, and no waiting
		f("a@business.example", "default")
	}
	f("a@nothing.example", "default")
	f("a@silent.example", "default")
	for i := range 100 { // more than may be looked up at one time
		f(fmt.Sprintf("a@d%d.example", i), "default")
	}
	f("no address", "default")
	close(release)
	m.wait()
	if n := asked.Load(); n != mxAtOnce {
		t.Errorf("%d look-ups, want %d: the others are left for later messages", n, mxAtOnce)
	}
	f("a@business.example", "office365")
	f("a@Business.example", "office365")
	before := asked.Load()
	f("a@nothing.example", "default")
	if asked.Load() != before {
		t.Error("a domain without MX is asked for again")
	}
	m.wait()
}

// TestMXIsWaitedFor: whoever has patience gets the mail hosts of a domain that
// was not met before, consumer domains too; others get what is known.
func TestMXIsWaitedFor(t *testing.T) {
	var asked atomic.Int32
	release := make(chan struct{})
	m := newMailboxes(func(_ context.Context, domain string) ([]string, error) {
		asked.Add(1)
		switch domain {
		case "gmail.com":
			return []string{"gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com"}, nil
		case "null.example":
			return []string{"."}, nil
		case "slow.example":
			<-release
		}
		return nil, senderdomain.ErrNotFound
	})
	f := func(recipient string, patience time.Duration, want string) {
		t.Helper()
		if got := strings.Join(m.mx(t.Context(), recipient, patience), " "); got != want {
			t.Errorf("%s: %q, want %q", recipient, got, want)
		}
	}
	f("a@gmail.com", 0, "")
	if asked.Load() != 0 {
		t.Error("a look-up without patience")
	}
	f("a@gmail.com", time.Minute, "gmail-smtp-in.l.google.com alt1.gmail-smtp-in.l.google.com")
	f("b@GMAIL.com", 0, "gmail-smtp-in.l.google.com alt1.gmail-smtp-in.l.google.com")
	f("a@null.example", time.Minute, "")
	f("a@nothing.example", time.Minute, "")
	f("no address", time.Minute, "")
	f("a@slow.example", time.Millisecond, "")
	close(release)
	m.wait()
	if n := asked.Load(); n != 4 {
		t.Errorf("%d look-ups", n)
	}
	if none := newMailboxes(nil).mx(t.Context(), "a@gmail.com", time.Minute); none != nil {
		t.Errorf("%v without a resolver", none)
	}
}
