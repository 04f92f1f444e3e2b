package ingest

import (
	"sync"
	"time"
)

// allowance is a number of things an hour.
type allowance struct {
	most int
	mu   sync.Mutex
	hour int64
	n    int
}

func (a *allowance) take(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := now.Unix() / 3600; h != a.hour {
		a.hour, a.n = h, 0
	}
	a.n++
	return a.n <= a.most
}
