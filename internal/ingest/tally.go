package ingest

import (
	"cmp"
	"slices"
	"sync"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// Counted is how many events of a kind this process stored. Evidence, which
// counts for nothing else either, is left out.
type Counted struct {
	Type   waypost.EventType
	Source waypost.Source
	N      int64
}

// tally counts what went through the door. The zero value is empty.
type tally struct {
	mu sync.Mutex
	n  map[Counted]int64 // by a key without N
}

func (t *tally) add(events ...waypost.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[Counted]int64{}
	}
	for i := range events {
		if e := &events[i]; !e.Evidence {
			t.n[Counted{Type: e.Type, Source: e.Source}]++
		}
	}
}

// addRecorded counts those facts that became events, or noted a deferral.
func (t *tally) addRecorded(facts []store.Fact, recorded []store.Recorded) {
	for i, r := range recorded {
		if r == store.Stored {
			t.add(facts[i].Event)
		}
	}
}

// Counts are the events that this process stored since it began, in the order
// of their types and sources.
func (d *Door) Counts() []Counted {
	d.tally.mu.Lock()
	defer d.tally.mu.Unlock()
	out := make([]Counted, 0, len(d.tally.n))
	for c, n := range d.tally.n {
		c.N = n
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Counted) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Source, b.Source))
	})
	return out
}
