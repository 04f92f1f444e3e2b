package api

import (
	"math"
	"sync"
	"time"
)

// throttle bounds the requests of each key: a bucket of tokens that fills
// evenly over the hour and holds a tenth of the hour's, at least ten. Buckets
// are in memory: each node counts for itself.
type throttle struct {
	mu      sync.Mutex
	buckets map[int64]bucket
	swept   time.Time
}

type bucket struct {
	tokens float64
	at     time.Time
	size   float64
	full   time.Time // when it is, unless something is taken out
}

// take spends a token of a key that may make perHour requests an hour. When
// there is none it tells how long until the next.
func (t *throttle) take(key int64, perHour int, now time.Time) (wait time.Duration, ok bool) {
	if perHour <= 0 {
		return 0, true
	}
	size := math.Max(10, float64(perHour)/10)
	perSecond := float64(perHour) / 3600
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sweep(now)
	b, known := t.buckets[key]
	if !known || b.size != size {
		b = bucket{tokens: size, at: now, size: size}
	}
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = math.Min(size, b.tokens+passed.Seconds()*perSecond)
		b.at = now
	}
	ok = b.tokens >= 1
	if ok {
		b.tokens--
	} else {
		// Rounded up: what lacks may be less than a nanosecond's flow.
		wait = time.Duration(math.Ceil((1-b.tokens)/perSecond*float64(time.Second))) + time.Nanosecond
	}
	b.full = now.Add(time.Duration((size - b.tokens) / perSecond * float64(time.Second)))
	t.buckets[key] = b
	return wait, ok
}

// sweep forgets full buckets: a key without one starts with a full one.
func (t *throttle) sweep(now time.Time) {
	if now.Sub(t.swept) < time.Minute {
		return
	}
	t.swept = now
	for key, b := range t.buckets {
		if !now.Before(b.full) {
			delete(t.buckets, key)
		}
	}
}
