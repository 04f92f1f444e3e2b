package queue

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

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
	pending map[string]bool
	running sync.WaitGroup
}

type knownMailbox struct {
	box  waypost.Mailbox
	null bool // its MX says that it takes no mail (RFC 7505)
	at   time.Time
}

func newMailboxes(resolve MXResolver) *mailboxes {
	known, err := simplelru.NewLRU[string, knownMailbox](mxKnown, nil)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &mailboxes{
		classify: route.NewClassifier(), resolve: resolve, known: known,
		places: make(chan struct{}, mxAtOnce), pending: map[string]bool{},
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
	if m.pending[domain] {
		return
	}
	select {
	case m.places <- struct{}{}:
	default:
		return
	}
	m.pending[domain] = true
	m.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), mxTimeout)
		defer cancel()
		hosts, err := m.resolve(ctx, domain)
		m.mu.Lock()
		if err == nil || errors.Is(err, senderdomain.ErrNotFound) {
			null := len(hosts) == 1 && strings.Trim(hosts[0], ".") == ""
			m.known.Add(domain, knownMailbox{m.classify.MX(hosts), null, time.Now()})
		}
		delete(m.pending, domain)
		m.mu.Unlock()
		<-m.places
	})
}

// wait is for tests and for the end of the process: until no look-up is under
// way.
func (m *mailboxes) wait() { m.running.Wait() }
