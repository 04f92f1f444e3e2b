package track

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/waypost-mail/waypost"
)

// Hit is one visit to a tracking URL.
type Hit struct {
	Kind    Kind
	Message waypost.UUID
	At      time.Time
	Visit   waypost.Visit // First is for the store to say

	link, links int
	head        bool
	addr        netip.Addr
	relayed     time.Time
}

// ErrLater is wrapped by the error of a record function when storage is away
// and the same hits may be stored later.
var ErrLater = errors.New("storage takes no visits now")

const (
	holdFor    = 500 * time.Millisecond         // how long a visit waits for those around it
	lookEvery  = 100 * time.Millisecond         // how often it is looked whether visits have waited enough
	batchSize  = 1000                           // visits stored in one transaction
	maxPending = 64 << 20                       // bytes of visits that wait
	hitSize    = 320                            // of a Hit beside its texts
	maxLag     = holdFor + 150*time.Millisecond // age of the oldest visit from which storage is behind
	maxRest    = 5 * time.Millisecond           // that an answer waits then
	writeLimit = 30 * time.Second               // for one transaction
	stopLimit  = 10 * time.Second               // for what waits when stopping
)

func (h *Hit) size() int { return hitSize + len(h.Visit.URL) + len(h.Visit.UserAgent) }

// visits are the hits that wait for storage.
type visits struct {
	limit int // bytes

	mu     sync.Mutex
	hits   []Hit // about by time
	first  int   // hits before it are gone
	bytes  int
	clicks *clicks

	stored, dropped atomic.Int64
	away            atomic.Bool // storage takes nothing now
}

func newVisits(limit int) *visits { return &visits{limit: limit, clicks: newClicks()} }

// add takes a hit; when too many wait, the oldest go. It tells how long the
// answer should rest.
func (v *visits) add(h Hit) (rest time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if h.Kind == Click {
		v.clicks.note(&h)
	}
	v.hits = append(v.hits, h)
	v.bytes += h.size()
	for v.bytes > v.limit && v.first < len(v.hits) {
		v.remove()
		v.dropped.Add(1)
	}
	v.compact()
	if v.away.Load() || v.first == len(v.hits) {
		return 0
	}
	return restFor(h.At.Sub(v.hits[v.first].At))
}

// restFor is how long an answer rests when the oldest visit waits since so long:
// the further storage is behind, the longer, up to maxRest. Answers cost less
// than storing what they bring, so on a machine that has no more to give they
// would crowd out the storing; a rest that nobody notices leaves it its share.
func restFor(age time.Duration) time.Duration {
	return min(max(age-maxLag, 0)/25, maxRest)
}

// remove forgets the oldest hit.
func (v *visits) remove() {
	v.bytes -= v.hits[v.first].size()
	v.hits[v.first] = Hit{}
	v.first++
}

// compact frees the room of hits that are gone.
func (v *visits) compact() {
	if v.first > batchSize && v.first > len(v.hits)/2 {
		n := copy(v.hits, v.hits[v.first:])
		clear(v.hits[n:])
		v.hits, v.first = v.hits[:n], 0
	}
	if len(v.hits) == v.first && cap(v.hits) > 64*batchSize {
		v.hits, v.first = nil, 0 // after a long absence of storage
	}
}

// take removes up to a batch of hits that are older than a time.
func (v *visits) take(before time.Time) []Hit {
	v.mu.Lock()
	defer v.mu.Unlock()
	var batch []Hit
	for len(batch) < batchSize && v.first < len(v.hits) && v.hits[v.first].At.Before(before) {
		batch = append(batch, v.hits[v.first])
		v.remove()
	}
	v.compact()
	return batch
}

// burst tells whether a click is one of a burst.
func (v *visits) burst(h *Hit, within time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.clicks.burst(h, within)
}

// waiting counts the hits that wait.
func (v *visits) waiting() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.hits) - v.first
}

// run stores what comes until ctx ends, and then what waits.
func (v *visits) run(ctx context.Context, log *slog.Logger, judge judge, record Record) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-tick.C:
			v.flush(ctx, log, now.Add(-holdFor), judge, record)
		}
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	v.flush(limit, log, time.Now().Add(time.Hour), judge, record)
	if lost := v.waiting(); lost > 0 {
		v.dropped.Add(int64(lost))
		log.ErrorContext(ctx, "storage did not take the last opens and clicks before the stop; they are lost", "visits", lost)
	}
}

// flush stores all that is older than a time.
func (v *visits) flush(ctx context.Context, log *slog.Logger, before time.Time, judge judge, record Record) {
	for {
		batch := v.take(before)
		for i := range batch {
			h := &batch[i]
			judge(h, func(within time.Duration) bool { return v.burst(h, within) })
		}
		if len(batch) == 0 || !v.store(ctx, log, batch, record) {
			return
		}
	}
}

// store stores one batch. While storage is away it tries again; false when ctx
// ended before it was back: the batch waits again.
func (v *visits) store(ctx context.Context, log *slog.Logger, batch []Hit, record Record) bool {
	pause := 100 * time.Millisecond
	defer v.away.Store(false)
	for {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
		_, err := record(limit, batch)
		cancel()
		switch {
		case err == nil:
			v.stored.Add(int64(len(batch)))
			return true
		case !errors.Is(err, ErrLater):
			v.dropped.Add(int64(len(batch)))
			log.ErrorContext(ctx, "opens and clicks cannot be stored; they are dropped", "visits", len(batch), "error", err)
			return true
		}
		v.away.Store(true)
		log.WarnContext(ctx, "storage is away; opens and clicks wait in memory", "visits", len(batch)+v.waiting(), "error", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			pause = min(2*pause, 5*time.Second)
		case <-ctx.Done():
			timer.Stop()
			v.putBack(batch)
			return false
		}
	}
}

// putBack makes a batch the oldest of what waits again.
func (v *visits) putBack(batch []Hit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range batch {
		v.bytes += batch[i].size()
	}
	v.hits = append(batch, v.hits[v.first:]...)
	v.first = 0
}
