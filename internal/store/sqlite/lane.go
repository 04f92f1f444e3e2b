package sqlite

import (
	"bytes"
	"cmp"
	"container/heap"

	"github.com/waypost-mail/waypost"
)

// position is the place of a queue row in its lane.
type position struct {
	due     int64
	message waypost.UUID
}

func (p position) compare(o position) int {
	return cmp.Or(cmp.Compare(p.due, o.due), bytes.Compare(p.message[:], o.message[:]))
}

// lane is what the committer knows of a lane beside its queue rows.
type lane struct {
	leases map[waypost.UUID]*lease
	ends   leaseHeap
	// from is at or before the first row without a lease.
	from position
}

// lease is a message that a worker holds, or held until its time ran out.
type lease struct {
	id      int64
	at      position
	attempt int
	unknown bool
	until   int64
	claimed int64
}

// lower moves from back for a row that has come before it.
func (l *lane) lower(p position) {
	if p.compare(l.from) < 0 {
		l.from = p
	}
}

func (l *lane) add(s *lease) {
	l.leases[s.at.message] = s
	heap.Push(&l.ends, leaseEnd{s.until, s})
}

// current tells whether an end in the heap is still that of a lease.
func (l *lane) current(e leaseEnd) bool {
	return l.leases[e.lease.at.message] == e.lease && e.lease.until == e.until
}

// firstEnd gives the earliest end of a lease; false without any.
func (l *lane) firstEnd() (int64, bool) {
	for len(l.ends) > 0 {
		if l.current(l.ends[0]) {
			return l.ends[0].until, true
		}
		heap.Pop(&l.ends)
	}
	return 0, false
}

// expired takes the leases out of the heap that have ended. The caller leases
// them anew or puts them back.
func (l *lane) expired(now int64) []*lease {
	var out []*lease
	for {
		until, ok := l.firstEnd()
		if !ok || until > now {
			return out
		}
		out = append(out, heap.Pop(&l.ends).(leaseEnd).lease)
	}
}

// leaseEnd is when a lease ends; it is stale when the lease was moved or given
// up meanwhile.
type leaseEnd struct {
	until int64
	lease *lease
}

type leaseHeap []leaseEnd

// Len implements [heap.Interface], and so do the others.
func (h leaseHeap) Len() int           { return len(h) }
func (h leaseHeap) Less(i, j int) bool { return h[i].until < h[j].until }
func (h leaseHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push adds an end.
func (h *leaseHeap) Push(x any) { *h = append(*h, x.(leaseEnd)) }

// Pop takes the last one.
func (h *leaseHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = leaseEnd{}
	*h = old[:len(old)-1]
	return x
}

// lane finds what is known of a lane, making it when nothing is.
func (d *DB) lane(at waypost.Lane) *lane {
	l := d.lanes[at]
	if l == nil {
		l = &lane{leases: map[waypost.UUID]*lease{}}
		d.lanes[at] = l
	}
	return l
}

// grant leases a row, replacing an earlier lease of it.
func (t *tx) grant(l *lane, s *lease) {
	old := l.leases[s.at.message]
	l.add(s)
	t.onRollback(func() {
		delete(l.leases, s.at.message)
		if old != nil {
			l.add(old)
		}
		l.from = position{} // the scan passes over what is leased
	})
}

// giveUp ends a lease.
func (t *tx) giveUp(l *lane, s *lease) {
	delete(l.leases, s.at.message)
	t.onRollback(func() { l.add(s) })
}

// extend moves the end of a lease.
func (t *tx) extend(l *lane, s *lease, until int64) {
	old := s.until
	move := func(until int64) {
		s.until = until
		heap.Push(&l.ends, leaseEnd{until, s})
	}
	move(until)
	t.onRollback(func() { move(old) })
}
