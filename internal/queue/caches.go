package queue

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/route"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/store"
)

// domains caches what signing needs of a sender domain.
type domains struct {
	store store.Domains
	box   *secret.Box
	mu    sync.Mutex
	all   map[int64]signing
}

type signing struct {
	name    string
	signers []dkim.Signer
	track   string // the verified tracking host, "" without
	read    time.Time
}

// unusableKey is a DKIM key that the relay cannot sign with: mail of its domain
// waits until somebody mends it.
type unusableKey struct {
	domain, selector string
	missing          bool
	err              error
}

// Error says what to do.
func (u *unusableKey) Error() string {
	what := fmt.Sprintf("cannot be opened with this installation's key file (%v)", u.err)
	if u.missing {
		what = "is missing"
	}
	return fmt.Sprintf("the DKIM key of %s (selector %s) %s; delete the domain and add it again, or bring the key back from a backup", u.domain, u.selector, what)
}

// Unwrap gives the cause.
func (u *unusableKey) Unwrap() error { return u.err }

func newDomains(s store.Domains, box *secret.Box) *domains {
	return &domains{store: s, box: box, all: map[int64]signing{}}
}

// get finds a domain's signers; store.ErrNotFound when it was deleted. A key
// that begins or ceases to sign is noticed within refreshAfter.
func (d *domains) get(ctx context.Context, id int64) (signing, error) {
	d.mu.Lock()
	known, ok := d.all[id]
	d.mu.Unlock()
	if ok && time.Since(known.read) < refreshAfter {
		return known, nil
	}
	domain, err := d.store.AnyDomain(ctx, id)
	if err != nil {
		return signing{}, fmt.Errorf("read sender domain %d: %w", id, err)
	}
	s := signing{name: domain.Name, read: time.Now()}
	for _, k := range domain.SigningKeys() {
		key, err := senderdomain.OpenKey(d.box, k.Key)
		if err != nil {
			return signing{}, &unusableKey{domain: domain.Name, selector: k.Selector, missing: len(k.Key) == 0, err: err}
		}
		s.signers = append(s.signers, dkim.Signer{Domain: domain.Name, Selector: k.Selector, Key: key})
	}
	if domain.Verified(waypost.RecordTrack) {
		s.track = domain.Record(waypost.RecordTrack).Host
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) > 10_000 {
		clear(d.all)
	}
	d.all[id] = s
	return s, nil
}

// pools caches pools for failing over, and the providers of accounts for the
// pools that stand for all of them.
type pools struct {
	store store.Directory
	mu    sync.Mutex
	all   map[int64]cachedPool
	own   map[int64]cachedProviders // by account
}

type cachedProviders struct {
	providers []waypost.Provider
	read      time.Time
}

type cachedPool struct {
	pool waypost.Pool
	read time.Time
}

func newPools(s store.Directory) *pools {
	return &pools{store: s, all: map[int64]cachedPool{}, own: map[int64]cachedProviders{}}
}

// standIn gives a pool that names the pseudo IP alone the providers of its
// account (D-8), as they were within refreshAfter.
func (p *pools) standIn(ctx context.Context, pool *waypost.Pool) error {
	if !pool.StandsForAll() {
		return nil
	}
	p.mu.Lock()
	known := p.own[pool.Account]
	p.mu.Unlock()
	if time.Since(known.read) >= refreshAfter || len(known.providers) == 0 {
		providers, err := p.store.Providers(ctx, pool.Account, store.Page{Limit: 1000})
		if err != nil {
			return fmt.Errorf("list the providers that pool %q stands for: %w", pool.Name, err)
		}
		known = cachedProviders{providers, time.Now()}
		p.mu.Lock()
		if len(p.own) > 10_000 {
			clear(p.own)
		}
		p.own[pool.Account] = known
		p.mu.Unlock()
	}
	route.StandForAll(pool, known.providers)
	return nil
}

// get finds a pool; store.ErrNotFound when it was deleted.
func (p *pools) get(ctx context.Context, id int64) (waypost.Pool, error) {
	p.mu.Lock()
	known, ok := p.all[id]
	p.mu.Unlock()
	if ok && time.Since(known.read) < refreshAfter {
		return known.pool, nil
	}
	pool, err := p.store.AnyPool(ctx, id)
	if err != nil {
		return waypost.Pool{}, fmt.Errorf("read pool %d: %w", id, err)
	}
	if err := p.standIn(ctx, &pool); err != nil {
		return waypost.Pool{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) > 10_000 {
		clear(p.all)
	}
	p.all[id] = cachedPool{pool, time.Now()}
	return pool, nil
}
