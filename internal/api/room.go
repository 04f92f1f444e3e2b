package api

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

// room bounds the bytes of the send calls that are read and stored at one time.
// A large call waits until others are done; one that does not fit goes alone.
type room struct {
	most     int64
	patience time.Duration
	taken    *semaphore.Weighted
}

const (
	// acceptMemory is the room unless the configuration says otherwise.
	acceptMemory = 64 << 20
	// smallCall is up to how many bytes a call needs no room.
	smallCall = 64 << 10
	// timesHeld is how often a call is in memory: as it came, with its files
	// decoded, and as it is stored.
	timesHeld = 3
	// roomPatience is how long a call waits for room before it is sent away.
	roomPatience = 30 * time.Second
)

func newRoom(most int64) *room {
	if most <= 0 {
		most = acceptMemory
	}
	return &room{most, roomPatience, semaphore.NewWeighted(most)}
}

// take waits for room for a call of so many bytes as its client says, -1 when it
// does not, before a byte of it is read. grow is for what turns out to be
// longer: it does not wait, for with a part of the room taken that could be for
// ever. free gives everything back.
func (r *room) take(ctx context.Context, length int64) (grow func(int64) error, free func(), err error) {
	have := r.weight(length)
	waiting, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	if err := r.taken.Acquire(waiting, have); err != nil {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		return nil, nil, r.full()
	}
	grow = func(length int64) error {
		more := r.weight(length) - have
		if more <= 0 {
			return nil
		}
		if !r.taken.TryAcquire(more) {
			return r.full()
		}
		have += more
		return nil
	}
	return grow, func() { r.taken.Release(have) }, nil
}

func (r *room) weight(length int64) int64 {
	if length <= smallCall {
		return 0
	}
	return min(timesHeld*length, r.most)
}

// full sends a call away.
func (r *room) full() error {
	e := fail(http.StatusServiceUnavailable, "too many large calls are being read; nothing was stored; try again")
	e.retry = 5
	return e
}
