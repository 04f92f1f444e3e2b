package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// snapshotVersion heads a snapshot; another version is refused.
const snapshotVersion = 1

var errSnapshot = errors.New("snapshot is damaged")

// Snapshot appends everything a correlator remembers to b, in an encoding of
// its own: varints and length-prefixed strings behind a version.
func (c *Correlator) Snapshot(b []byte) []byte {
	w := writer{b: b}
	c.snapshot(&w)
	return w.b
}

func (c *Correlator) snapshot(w *writer) {
	w.b = append(w.b, snapshotVersion)
	w.time(c.clock)
	w.uint(uint64(c.table.size()))
	for e := c.table.oldest(); e != nil; e = c.table.at(e.younger) {
		w.entry(e, &c.table)
		w.spill()
	}
	w.uint(uint64(len(c.held)))
	for i := range c.held {
		w.hold(&c.held[i], c.table.instances)
		w.spill()
	}
}

// Restore replaces what the correlator remembers by a snapshot. Held outcomes
// wait anew from now. On an error the correlator is empty.
func (c *Correlator) Restore(b []byte, now time.Time) error {
	c.table, c.held, c.clock = newTable(), nil, time.Time{}
	r := reader{b: b}
	err := c.restore(&r, now)
	if err != nil {
		c.table, c.held, c.clock = newTable(), nil, time.Time{}
	}
	c.clockMicros = c.clock.UnixMicro()
	return err
}

func (c *Correlator) restore(r *reader, now time.Time) error {
	if v := r.byte(); v != snapshotVersion {
		return fmt.Errorf("snapshot of version %d, this program writes %d", v, snapshotVersion)
	}
	c.clock = r.time()
	for n := r.count(); n > 0 && r.ok(); n-- {
		r.entry(&c.table)
	}
	for n := r.count(); n > 0 && r.ok(); n-- {
		h := r.hold(&c.table)
		h.log, h.wall = c.clock, now
		c.held = append(c.held, h)
	}
	if !r.ok() || len(r.b) > 0 {
		return errSnapshot
	}
	for e := c.table.oldest(); e != nil; e = c.table.at(e.younger) {
		if e.gone {
			c.table.leave(e, e.heard)
		}
	}
	return nil
}

// writer appends values; reader takes them off again and stays bad once it
// met a value that does not fit.
type writer struct {
	b   []byte
	out func([]byte) // takes what was written so far, when it gets long; nil keeps all
}

// spill hands over what was written, so that a large table needs no copy of
// its size in memory.
func (w *writer) spill() {
	if w.out != nil && len(w.b) >= 64<<10 {
		w.out(w.b)
		w.b = w.b[:0]
	}
}

func (w *writer) key(k *key, instances []string) {
	instance := ""
	if i := int(k.instance()); i < len(instances) {
		instance = instances[i]
	}
	w.string(instance)
	w.string(k.queue())
}

// micros writes a time as w.time does.
func (w *writer) micros(n int64) { w.uint(uint64(max(n, 0)) + 1) }

func (w *writer) uint(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

func (w *writer) string(s string) { w.uint(uint64(len(s))); w.b = append(w.b, s...) }

func (w *writer) time(t time.Time) {
	if t.IsZero() {
		w.uint(0)
		return
	}
	w.uint(uint64(max(t.UnixMicro(), 0)) + 1)
}

func (w *writer) entry(e *entry, t *table) {
	w.key(&e.key, t.instances)
	w.b = append(w.b, e.uuid[:]...)
	flags := uint64(0)
	for i, set := range []bool{e.null, e.gone, e.notified, e.bounced, e.expired, e.requeued, e.claimed, e.late} {
		if set {
			flags |= 1 << i
		}
	}
	w.b = append(w.b, byte(e.method), byte(flags))
	w.uint(uint64(e.left))
	w.uint(uint64(e.done))
	w.uint(uint64(e.round))
	w.uint(e.linked)
	w.micros(e.heard)
	w.string(t.parent(e))
	w.uint(uint64(e.deferrals))
	for link := e.deferred; link != 0; {
		d := t.deferrals.at(link)
		w.deferral(d, t.deferrals.read(d))
		link = d.next
	}
}

func (w *writer) deferral(d *deferral, said words) {
	w.string(said.to)
	w.string(said.recipient)
	w.string(said.relay)
	w.string(said.enhanced)
	w.string(said.text)
	w.uint(uint64(d.code))
	w.uint(uint64(d.round))
	w.uint(d.reason)
}

func (w *writer) hold(h *hold, instances []string) {
	w.key(&h.key, instances)
	w.b = append(w.b, h.uuid[:]...)
	w.b = append(w.b, byte(h.method))
	w.string(h.next)
	w.string(h.other)
	flags := uint64(0)
	if h.orphan {
		flags |= 1
	}
	if h.late {
		flags |= 2
	}
	w.uint(flags)
	it := &h.item
	for _, s := range []string{it.EventType, it.Recipient, it.EnhancedCode, it.SMTPDescription, string(it.QueueID), it.Relay} {
		w.string(s)
	}
	w.uint(uint64(it.SMTPCode))
	w.time(it.Timestamp.Time)
}

type reader struct {
	b   []byte
	bad bool
}

func (r *reader) ok() bool { return !r.bad }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count reads how many values follow; each takes at least a byte.
func (r *reader) count() uint64 {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return 0
	}
	return n
}

func (r *reader) small() int {
	n := r.uint()
	if n > 1<<30 {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *reader) string() string {
	n := r.count()
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) time() time.Time {
	n := r.uint()
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(n - 1)).UTC()
}

func (r *reader) uuid() (u waypost.UUID) {
	if len(r.b) < len(u) {
		r.bad = true
		return u
	}
	r.b = r.b[copy(u[:], r.b):]
	return u
}

func (r *reader) method() method {
	m := method(r.byte())
	if int(m) >= len(methodNames) {
		r.bad = true
		return unknown
	}
	return m
}

func (r *reader) key(t *table) key {
	instance, queue := r.string(), r.string()
	r.bad = r.bad || queue == "" || len(queue) > mtalog.MaxQueueID
	if r.bad {
		return key{}
	}
	return t.key(instance, queue)
}

func (r *reader) entry(t *table) {
	k := r.key(t)
	u, m, flags := r.uuid(), r.method(), r.byte()
	if r.bad || t.get(&k) != nil {
		r.bad = true
		return
	}
	e := t.add(&k)
	e.uuid, e.method = u, m
	for i, set := range []*bool{&e.null, &e.gone, &e.notified, &e.bounced, &e.expired, &e.requeued, &e.claimed, &e.late} {
		*set = flags&(1<<i) != 0
	}
	e.left, e.done, e.round = int32(r.small()), int32(r.small()), int32(r.small())
	e.linked, e.heard = r.uint(), r.time().UnixMicro()
	t.setParent(e, r.string())
	n := r.count()
	r.bad = r.bad || n > maxDeferrals
	for ; n > 0 && r.ok(); n-- {
		r.deferral(t, e)
	}
	t.byUUID.links = max(t.byUUID.links, e.linked)
}

func (r *reader) deferral(t *table, e *entry) {
	w := words{to: r.string()}
	w.recipient, w.relay, w.enhanced, w.text = r.string(), r.string(), r.string(), r.string()
	d := t.deferrals.add(e, w.to)
	d.code, d.round, d.reason = int32(r.small()), int32(r.small()), r.uint()
	t.deferrals.keep(d, &w)
}

func (r *reader) hold(t *table) (h hold) {
	h.key = r.key(t)
	h.uuid, h.method = r.uuid(), r.method()
	h.next, h.other = r.string(), r.string()
	flags := r.uint()
	h.orphan, h.late = flags&1 != 0, flags&2 != 0
	it := &h.item
	it.EventType, it.Recipient, it.EnhancedCode, it.SMTPDescription = r.string(), r.string(), r.string(), r.string()
	it.QueueID, it.Relay = waypost.QueueID(r.string()), r.string()
	it.SMTPCode = r.small()
	it.Timestamp.Time = r.time()
	return h
}
