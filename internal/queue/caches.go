package queue

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/store"
)

// contents caches contents with their templates compiled, so that the
// recipients of one call share the work. It is bounded by bytes.
type contents struct {
	store    store.Queue
	compiler *compose.Compiler
	budget   int
	load     singleflight.Group

	mu    sync.Mutex
	lru   *simplelru.LRU[waypost.UUID, *compose.Prepared]
	bytes int
	large oversize
}

// oversize is the one content kept that is too large for the cache: without
// it each recipient of a call with large files would read and encode them anew.
type oversize struct {
	id   waypost.UUID
	p    *compose.Prepared
	used time.Time
}

// oversizeIdle is how long it is kept unused.
const oversizeIdle = 10 * time.Second

func newContents(s store.Queue, compiler *compose.Compiler, budget int) *contents {
	lru, err := simplelru.NewLRU[waypost.UUID, *compose.Prepared](1<<20, nil)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &contents{store: s, compiler: compiler, budget: budget, lru: lru}
}

func (c *contents) get(ctx context.Context, id waypost.UUID) (*compose.Prepared, error) {
	c.mu.Lock()
	p, ok := c.lru.Get(id)
	if !ok && c.large.id == id {
		p, ok = c.large.p, true
		c.large.used = time.Now()
	}
	c.mu.Unlock()
	if ok {
		return p, nil
	}
	v, err, _ := c.load.Do(string(id[:]), func() (any, error) {
		content, err := c.store.Content(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("read content %s: %w", id, err)
		}
		p, err := c.compiler.Prepare(&content)
		if err != nil {
			return nil, fmt.Errorf("prepare content %s: %w", id, err)
		}
		c.add(id, p)
		if p.Size() > c.budget/2 {
			runtime.GC() // what it was read from is as large again
		}
		return p, nil
	})
	if err != nil {
		return nil, err
	}
	return v.(*compose.Prepared), nil
}

// add keeps a prepared content, dropping the least recently used beyond the
// budget. Of those larger than half of the budget one is kept, until another
// comes or nobody asks for it.
func (c *contents) add(id waypost.UUID, p *compose.Prepared) {
	size := p.Size()
	c.mu.Lock()
	defer c.mu.Unlock()
	if size > c.budget/2 {
		c.keepLarge(id, p)
		return
	}
	if c.lru.Contains(id) {
		return
	}
	c.lru.Add(id, p)
	for c.bytes += size; c.bytes > c.budget; {
		_, oldest, ok := c.lru.RemoveOldest()
		if !ok {
			return
		}
		c.bytes -= oldest.Size()
	}
}

// keepLarge is called with the lock held.
func (c *contents) keepLarge(id waypost.UUID, p *compose.Prepared) {
	if c.large.p == nil {
		time.AfterFunc(oversizeIdle, c.forgetLarge)
	}
	c.large = oversize{id, p, time.Now()}
}

func (c *contents) forgetLarge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if idle := time.Since(c.large.used); idle < oversizeIdle {
		time.AfterFunc(oversizeIdle-idle, c.forgetLarge)
		return
	}
	c.large = oversize{}
}

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

// pools caches pools for failing over.
type pools struct {
	store store.Directory
	mu    sync.Mutex
	all   map[int64]cachedPool
}

type cachedPool struct {
	pool waypost.Pool
	read time.Time
}

func newPools(s store.Directory) *pools { return &pools{store: s, all: map[int64]cachedPool{}} }

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
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) > 10_000 {
		clear(p.all)
	}
	p.all[id] = cachedPool{pool, time.Now()}
	return pool, nil
}
