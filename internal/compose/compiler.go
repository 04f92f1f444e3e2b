package compose

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose/merge"
)

// Compiler is [Prepare] with a memory: a template that was compiled lately, of
// a stored template or of a call like the last one, is not compiled again. It
// is bounded by bytes of source and safe for concurrent use. A nil Compiler
// remembers nothing.
type Compiler struct {
	budget int

	mu    sync.Mutex
	known *simplelru.LRU[string, *merge.Template] // by source
	bytes int
}

// fewest is the size of source below which compiling is cheaper than the
// memory: subjects and the like.
const fewest = 64

// NewCompiler makes a compiler that remembers templates of so many bytes of
// source in all. What a compiled template holds is about three times that.
func NewCompiler(budget int) *Compiler {
	known, err := simplelru.NewLRU[string, *merge.Template](1<<16, nil)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &Compiler{budget: budget, known: known}
}

// Prepare is [Prepare].
func (c *Compiler) Prepare(content *waypost.Content) (*Prepared, error) {
	return prepare(content, c.parse, nil)
}

// PrepareParts is [Prepare] for a content whose attachments have no bytes yet:
// files gives them one after the other, so that they are in memory one at a
// time.
func (c *Compiler) PrepareParts(content *waypost.Content, files func() ([]byte, error)) (*Prepared, error) {
	return prepare(content, c.parse, files)
}

// parse is [merge.Parse]. A source that does not parse is not remembered: its
// author mends it.
func (c *Compiler) parse(src string) (*merge.Template, error) {
	if c == nil || len(src) < fewest || len(src) > c.budget/4 {
		return merge.Parse(src)
	}
	c.mu.Lock()
	t, ok := c.known.Get(src) // the map hashes the source, and compares it
	c.mu.Unlock()
	if ok {
		return t, nil
	}
	t, err := merge.Parse(src)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known.Contains(src) {
		return t, nil
	}
	if c.known.Len() == 1<<16 {
		c.dropOldest()
	}
	c.known.Add(src, t)
	for c.bytes += len(src); c.bytes > c.budget; {
		c.dropOldest()
	}
	return t, nil
}

func (c *Compiler) dropOldest() {
	if src, _, ok := c.known.RemoveOldest(); ok {
		c.bytes -= len(src)
	}
}
