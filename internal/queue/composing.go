package queue

import (
	"context"
	"runtime/debug"

	"golang.org/x/sync/semaphore"

	"github.com/waypost-mail/waypost/internal/compose"
)

// composing bounds the bytes of messages that are made and sent at one time,
// but for the files that messages share. Large messages have a room of their
// own, so that small ones never wait for them.
type composing struct {
	most         int64 // bytes of either room
	small, large *semaphore.Weighted
}

// largeMessage is from how many bytes on a message needs the other room.
const largeMessage = 1 << 20

func newComposing(most int64) *composing {
	most = max(most/2, largeMessage)
	return &composing{most, semaphore.NewWeighted(most), semaphore.NewWeighted(most)}
}

// room is what a message takes.
type room struct {
	of      *semaphore.Weighted
	weight  int64
	files   int64 // in weight, and nowhere else once the cache forgets them
	collect bool
}

// take waits until there is room to make a message of a content: while that
// happens it is there merged, rewritten and encoded.
func (c *composing) take(ctx context.Context, p *compose.Prepared) (*room, error) {
	own := p.Size() - p.Shared()
	weight, files := int64(4*own+16<<10), int64(0)
	if p.Size() < largeFrom {
		files = int64(p.Shared())
	}
	weight += files
	r := &room{of: c.small, weight: min(weight, c.most), files: files}
	if weight > largeMessage {
		r.of, r.collect = c.large, weight >= collectFrom
	}
	if err := r.of.Acquire(ctx, r.weight); err != nil {
		return nil, context.Cause(ctx)
	}
	return r, nil
}

// keep gives back what a message does not need once it is made.
func (r *room) keep(bytes int) {
	if r.collect {
		return // what it was made from is in memory still
	}
	if n := r.files + int64(bytes+4<<10); n < r.weight {
		r.of.Release(r.weight - n)
		r.weight = n
	}
}

// free gives back the rest. The message before a very large one must not be in
// memory beside it; a collection costs little against its signature.
func (r *room) free() {
	if r.collect {
		debug.FreeOSMemory()
	}
	r.of.Release(r.weight)
}
