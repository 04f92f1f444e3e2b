package queue

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
	"unique"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/route"
	"github.com/waypost-mail/waypost/internal/senderdomain"
)

// The bounds of MX look-ups (D-17).
const (
	mxKnown   = 100_000        // domains remembered
	mxFresh   = 12 * time.Hour // how long
	mxAtOnce  = 8              // look-ups under way; more are left for the next message
	mxTimeout = 10 * time.Second
)

// MXResolver looks up the MX hosts of a domain, most preferred first.
type MXResolver func(ctx context.Context, domain string) ([]string, error)

// mailboxes tells the mailbox category of a recipient. It never waits: a
// domain that no table knows is default until its MX was looked up in the
// background, for the messages after it.
type mailboxes struct {
	classify *route.Classifier
	resolve  MXResolver // nil: consumer domains alone
	places   chan struct{}

	mu      sync.Mutex
	known   *simplelru.LRU[string, knownMailbox]
	pending map[string]chan struct{} // closed when the look-up ends
	running sync.WaitGroup
}

type knownMailbox struct {
	box  waypost.Mailbox
	null bool // its MX says that it takes no mail (RFC 7505)
	at   time.Time
	mx   unique.Handle[string] // its mail hosts, separated by spaces; many domains have the same
}

// mxShown is how many mail hosts of a domain are kept.
const mxShown = 10

func joined(hosts []string, null bool) unique.Handle[string] {
	if null {
		hosts = nil
	}
	return unique.Make(strings.Join(hosts[:min(len(hosts), mxShown)], " "))
}

func newMailboxes(resolve MXResolver) *mailboxes {
	known, err := simplelru.NewLRU[string, knownMailbox](mxKnown, nil)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &mailboxes{
		classify: route.NewClassifier(), resolve: resolve, known: known,
		places: make(chan struct{}, mxAtOnce), pending: map[string]chan struct{}{},
	}
}

// of gives the category of a recipient as far as it is known now.
func (m *mailboxes) of(recipient string) waypost.Mailbox {
	domain := waypost.EmailDomain(recipient)
	if box, ok := m.classify.Domain(domain); ok {
		return box
	}
	m.mu.Lock()
	k, ok := m.known.Get(domain)
	m.mu.Unlock()
	if !ok || time.Since(k.at) > mxFresh {
		m.look(domain)
	}
	if ok {
		return k.box // an old answer is better than none
	}
	return waypost.MailboxDefault
}

// takesNone tells whether a recipient's domain is known to take no mail. It
// never waits: what is not known yet counts as taking mail, and [mailboxes.of]
// has begun to look it up.
func (m *mailboxes) takesNone(recipient string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.known.Get(waypost.EmailDomain(recipient))
	return ok && k.null && time.Since(k.at) <= mxFresh
}

// look starts a look-up in the background unless one is under way or all
// places are taken.
func (m *mailboxes) look(domain string) {
	if m.resolve == nil || waypost.CheckDomain(domain) != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pending[domain] != nil {
		return
	}
	select {
	case m.places <- struct{}{}:
	default:
		return
	}
	done := make(chan struct{})
	m.pending[domain] = done
	m.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), mxTimeout)
		defer cancel()
		hosts, err := m.resolve(ctx, domain)
		m.mu.Lock()
		if err == nil || errors.Is(err, senderdomain.ErrNotFound) {
			null := len(hosts) == 1 && strings.Trim(hosts[0], ".") == ""
			m.known.Add(domain, knownMailbox{m.classify.MX(hosts), null, time.Now(), joined(hosts, null)})
		}
		delete(m.pending, domain)
		m.mu.Unlock()
		close(done)
		<-m.places
	})
}

// mx gives the mail hosts of a recipient's domain. What is not known, or is
// old, is looked up when there is patience to wait for it.
func (m *mailboxes) mx(ctx context.Context, recipient string, patience time.Duration) []string {
	domain := waypost.EmailDomain(recipient)
	m.mu.Lock()
	k, ok := m.known.Get(domain)
	m.mu.Unlock()
	if patience > 0 && (!ok || time.Since(k.at) > mxFresh) {
		m.look(domain)
		m.mu.Lock()
		done := m.pending[domain] // nil when it is over, or there was no place
		m.mu.Unlock()
		if done != nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			select {
			case <-done:
			case <-timer.C:
			case <-ctx.Done():
			}
		}
		m.mu.Lock()
		k, ok = m.known.Get(domain)
		m.mu.Unlock()
	}
	if !ok {
		return nil
	}
	return strings.Fields(k.mx.Value())
}

// MX gives the mail hosts of a recipient's domain, most preferred first, at
// most ten of them. What this node does not know is looked up when there is
// patience to wait for it; without an answer there are none.
func (q *Queue) MX(ctx context.Context, recipient string, patience time.Duration) []string {
	return q.mailboxes.mx(ctx, recipient, patience)
}

// wait is for tests and for the end of the process: until no look-up is under
// way.
func (m *mailboxes) wait() { m.running.Wait() }
