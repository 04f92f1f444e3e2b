package postgres

import (
	"sync"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
)

// ids makes event ids and lease marks: ascending, and never the same twice on
// one node, also when the clock steps back. Two nodes differ in their number.
type ids struct {
	node int
	now  func() time.Time

	mu  sync.Mutex
	ms  int64
	seq int
}

// next gives one id.
func (g *ids) next() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.step(g.now().UnixMilli())
}

// fill gives ascending ids, one for each call of set.
func (g *ids) fill(n int, set func(i int, id int64)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now().UnixMilli()
	for i := range n {
		set(i, g.step(now))
	}
}

func (g *ids) step(now int64) int64 {
	switch {
	case now > g.ms:
		g.ms, g.seq = now, 0
	case g.seq == 4095: // the millisecond is full: borrow the next
		g.ms, g.seq = g.ms+1, 0
	default:
		g.seq++
	}
	return store.EventID(g.ms, g.node, g.seq)
}
