package queue

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

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
