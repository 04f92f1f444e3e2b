package queue

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
	"github.com/waypost-mail/waypost/internal/store"
)

// contents gives contents with their templates compiled and their files
// encoded, so that the recipients of one call share the work. Small ones are
// cached by bytes. Of large ones every byte is counted, those in use and those
// kept for the next recipient: a content that does not fit waits until others
// go.
type contents struct {
	store    store.Queue
	compiler *compose.Compiler
	budget   int // of the cache
	load     singleflight.Group

	most  int64 // bytes of large contents
	files *semaphore.Weighted

	mu      sync.Mutex
	lru     *simplelru.LRU[waypost.UUID, *compose.Prepared]
	bytes   int
	large   map[waypost.UUID]*large
	waiting int // for room among the large
}

// large is a content that counts among the large.
type large struct {
	id     waypost.UUID
	ready  chan struct{} // closed when p and err are there
	p      *compose.Prepared
	err    error
	weight int64     // what it holds of files
	users  int       // under the lock of contents, as is idle
	idle   time.Time // since when it has none
}

const (
	// largeFrom is from how many bytes on a prepared content is a large one.
	largeFrom = 512 << 10
	// keepIdle is how long a large content is kept unused.
	keepIdle = 10 * time.Second
	// collectFrom is from how many bytes on what a content was read from is
	// collected at once.
	collectFrom = 8 << 20
)

func newContents(s store.Queue, compiler *compose.Compiler, budget int, most int64) *contents {
	lru, err := simplelru.NewLRU[waypost.UUID, *compose.Prepared](1<<20, nil)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &contents{
		store: s, compiler: compiler, budget: budget, lru: lru,
		most: most, files: semaphore.NewWeighted(most), large: map[waypost.UUID]*large{},
	}
}

// get finds a content, and waits for room when it is a large one. The caller
// calls done when it no longer uses the content or a message made from it.
func (c *contents) get(ctx context.Context, id waypost.UUID) (p *compose.Prepared, done func(), err error) {
	if p, l := c.known(id); p != nil {
		return p, func() {}, nil
	} else if l != nil {
		return c.use(ctx, l)
	}
	v, err, _ := c.load.Do(string(id[:]), func() (any, error) { return c.small(ctx, id) })
	if err != nil {
		return nil, nil, err
	}
	if p, ok := v.(*compose.Prepared); ok {
		return p, func() {}, nil
	}
	l, first := c.enter(id)
	if first {
		c.read(ctx, l, v.(int))
	}
	return c.use(ctx, l)
}

// known finds what is in memory; a large content has one more user then.
func (c *contents) known(id waypost.UUID) (*compose.Prepared, *large) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.lru.Get(id); ok {
		return p, nil
	}
	l := c.large[id]
	if l != nil {
		l.users++
	}
	return nil, l
}

// small reads a small content; of a large one it gives the size as stored.
func (c *contents) small(ctx context.Context, id waypost.UUID) (any, error) {
	packed, err := c.store.PackedContent(ctx, id, store.SmallContent)
	if err != nil {
		return nil, fmt.Errorf("read content %s: %w", id, err)
	}
	content, ok := packed.Small()
	if !ok {
		return packed.Size, nil
	}
	p, err := c.compiler.Prepare(&content)
	if err != nil {
		return nil, fmt.Errorf("prepare content %s: %w", id, err)
	}
	c.cache(id, p)
	return p, nil
}

// add keeps what was prepared for a call, as far as there is room.
func (c *contents) add(id waypost.UUID, p *compose.Prepared) {
	size := int64(p.Size())
	if size < largeFrom {
		c.cache(id, p)
		return
	}
	if !c.files.TryAcquire(size) {
		return
	}
	ready := make(chan struct{})
	close(ready)
	l := &large{id: id, ready: ready, p: p, weight: size, users: 1}
	c.mu.Lock()
	c.large[id] = l
	c.mu.Unlock()
	c.leave(l)
}

// cache keeps a small content, dropping the least recently used beyond the
// budget.
func (c *contents) cache(id waypost.UUID, p *compose.Prepared) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lru.Contains(id) {
		return
	}
	c.lru.Add(id, p)
	for c.bytes += p.Size(); c.bytes > c.budget; {
		_, oldest, ok := c.lru.RemoveOldest()
		if !ok {
			return
		}
		c.bytes -= oldest.Size()
	}
}

// enter makes the caller a user of a large content; the first one reads it.
func (c *contents) enter(id waypost.UUID) (l *large, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l = c.large[id]
	if first = l == nil; first {
		l = &large{id: id, ready: make(chan struct{})}
		c.large[id] = l
	}
	l.users++
	return l, first
}

// read reads a large content of a size as stored. One that cannot be read is
// forgotten, so that the next message tries again.
func (c *contents) read(ctx context.Context, l *large, stored int) {
	l.p, l.weight, l.err = c.counted(ctx, l.id, stored)
	if l.err != nil {
		c.mu.Lock()
		delete(c.large, l.id)
		c.mu.Unlock()
	}
	close(l.ready)
}

// counted prepares a content when there is room for all that this takes, and
// tells how much of the room it keeps. How much that is, is known when its head
// is read: files may be stored far smaller than they are.
func (c *contents) counted(ctx context.Context, id waypost.UUID, stored int) (p *compose.Prepared, kept int64, err error) {
	have := int64(0)
	defer func() { c.files.Release(have - kept) }()
	for need := min(5*int64(stored), c.most); ; {
		if err := c.room(ctx, need); err != nil {
			return nil, 0, context.Cause(ctx)
		}
		if have = need; have >= collectFrom {
			debug.FreeOSMemory() // what was in the room before
		}
		packed, err := c.store.PackedContent(ctx, id, stored)
		if err != nil {
			return nil, 0, fmt.Errorf("read content %s: %w", id, err)
		}
		parts, err := packed.Open()
		if err != nil {
			return nil, 0, err
		}
		if need = min(footprint(&packed, parts), c.most); need > have && !c.files.TryAcquire(need-have) {
			parts.Close()
			c.files.Release(have) // to wait with it could be to wait for each other
			have = 0
			continue
		}
		have = max(have, need)
		p, err = c.compiler.PrepareParts(&parts.Content, parts.Next)
		parts.Close()
		if err != nil {
			return nil, 0, fmt.Errorf("prepare content %s: %w", id, err)
		}
		if have >= collectFrom {
			debug.FreeOSMemory() // what it was read from is as large again
		}
		return p, min(int64(p.Size()), have), nil
	}
}

// footprint is about how many bytes it takes to prepare a content: as stored,
// which a database driver copies, its texts, one of its files, and all of them
// encoded.
func footprint(packed *store.Packed, parts *store.Parts) int64 {
	c := &parts.Content
	n := 2*packed.Size + 4*(len(c.HTML)+len(c.Text)+len(c.AMP)+len(c.Subject)+len(c.PreText))
	largest := 0
	for _, size := range parts.Files {
		n += compose.EncodedSize(size)
		largest = max(largest, size)
	}
	return int64(n + largest)
}

// use waits until a large content is there.
func (c *contents) use(ctx context.Context, l *large) (*compose.Prepared, func(), error) {
	select {
	case <-l.ready:
	case <-ctx.Done():
		c.leave(l)
		return nil, nil, context.Cause(ctx)
	}
	if l.err != nil {
		c.leave(l)
		return nil, nil, l.err
	}
	return l.p, sync.OnceFunc(func() { c.leave(l) }), nil
}

// leave ends one use of a large content.
func (c *contents) leave(l *large) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.users--; l.users > 0 {
		return
	}
	l.idle = time.Now()
	switch {
	case l.err != nil: // forgotten already
		return
	case c.waiting > 0:
		c.drop(l)
		return
	}
	time.AfterFunc(keepIdle, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if l.users == 0 && time.Since(l.idle) >= keepIdle {
			c.drop(l)
		}
	})
}

// drop forgets an unused content; the lock is held.
func (c *contents) drop(l *large) {
	if c.large[l.id] == l {
		delete(c.large, l.id)
		c.files.Release(l.weight)
		l.weight, l.p = 0, nil // the timer of its last use holds l still
	}
}

// room waits until there is room for so many bytes among the large, at the cost
// of those that nobody uses.
func (c *contents) room(ctx context.Context, n int64) error {
	if c.files.TryAcquire(n) {
		return nil
	}
	c.mu.Lock()
	c.waiting++
	for _, l := range c.large {
		if l.users == 0 {
			c.drop(l)
		}
	}
	c.mu.Unlock()
	err := c.files.Acquire(ctx, n)
	c.mu.Lock()
	c.waiting--
	c.mu.Unlock()
	return err
}
