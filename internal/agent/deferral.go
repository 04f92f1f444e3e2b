package agent

import (
	"hash/maphash"

	"github.com/waypost-mail/waypost/internal/mtalog"
)

// deferral is the last deferral of one recipient, as long as a line of the
// processor's cache. A deferred message comes back after minutes, when nothing
// of it is in the cache any more, and mostly says what it said before. So
// words are compared by their hashes and stay unread; the hashes are keyed anew
// with every start, as far servers choose what is hashed.
type deferral struct {
	to     uint64 // hash of the recipient as logged, after aliases
	said   uint64 // hash of all that the line said; 0 when it was read from a snapshot
	reason uint64 // hash of what makes two deferrals the same for a reader; 0 before it is asked for
	words  chain
	next   uint32 // of its entry's: number plus one, 0 for none
	round  int32  // of the entry, when it came
	code   int32
	lens   [5]uint32 // of the words, in the order they are kept in
}

// words is what a deferral says.
type words struct {
	to        string // as logged, after aliases
	relay     string
	enhanced  string
	text      string
	recipient string // as reported
}

// wordsOf gives what a line says, as far as it is kept.
func wordsOf(f *mtalog.Fact) words {
	return words{
		to: f.Recipient, relay: clip(f.Relay, maxItemWord), enhanced: clip(f.Enhanced, maxItemWord),
		text: clip(f.Description, maxItemText), recipient: recipientOf(f),
	}
}

const maxDeferrals = 200 // recipients of one queue id whose deferral is remembered

// deferrals holds the deferrals of all entries by number, and their words.
type deferrals struct {
	slabs []*[slabSize]deferral
	free  uint32 // the first of the free ones, linked by next
	made  uint32 // ever used
	used  int
	words blocks
	seed  maphash.Seed
	ahead uint64 // see fetch
}

// fetch brings the first deferral of e into the processor's cache: an attempt
// was begun, whose outcome will ask for it. What is read is of no meaning.
func (ds *deferrals) fetch(e *entry) {
	if e.deferred != 0 {
		ds.ahead = ds.at(e.deferred).to
	}
}

// bytes is what the deferrals in use take.
func (ds *deferrals) bytes() int { return blockSize * (ds.used + ds.words.used) }

func (ds *deferrals) at(link uint32) *deferral {
	return &ds.slabs[(link-1)/slabSize][(link-1)%slabSize]
}

func (ds *deferrals) hash(s string) uint64 { return maphash.String(ds.seed, s) }

// hashAll hashes all that a line says of a deferral.
func (ds *deferrals) hashAll(f *mtalog.Fact) uint64 {
	h := uint64(f.Code)
	for _, s := range [...]string{f.Description, f.Relay, f.Enhanced, f.OrigTo} {
		h = fold(h^ds.hash(s), oddA)
	}
	return max(h, 1)
}

// find looks for a recipient, as logged, among the deferrals of e; nil when it
// is not deferred.
func (ds *deferrals) find(e *entry, to string) *deferral {
	if e.deferred == 0 {
		return nil
	}
	hash := ds.hash(to)
	for link := e.deferred; link != 0; {
		d := ds.at(link)
		if d.to == hash {
			return d
		}
		link = d.next
	}
	return nil
}

// add puts a deferral that says nothing yet behind those of e.
func (ds *deferrals) add(e *entry, to string) *deferral {
	link := ds.free
	if link == 0 {
		if ds.made%slabSize == 0 {
			ds.slabs = append(ds.slabs, new([slabSize]deferral))
		}
		ds.made++
		link = ds.made
	} else {
		ds.free = ds.at(link).next
	}
	d := ds.at(link)
	*d = deferral{to: ds.hash(to)}
	last := &e.deferred
	for *last != 0 {
		last = &ds.at(*last).next
	}
	*last = link
	e.deferrals++
	ds.used++
	return d
}

// keep makes d say w, in place of what it said.
func (ds *deferrals) keep(d *deferral, w *words) {
	ds.words.drop(d.words, d.size())
	recipient := w.recipient
	if recipient == clip(w.to, maxItemWord) {
		recipient = "" // as it mostly is
	}
	parts := [...]string{w.to, w.relay, w.enhanced, w.text, recipient}
	for i, s := range parts {
		d.lens[i] = uint32(len(s))
	}
	d.words = ds.words.put(parts[:]...)
}

// size is the number of bytes of d's words.
func (d *deferral) size() (n int) {
	for _, size := range d.lens {
		n += int(size)
	}
	return n
}

// read gives what d says, in memory of its own.
func (ds *deferrals) read(d *deferral) (w words) {
	all := ds.words.get(d.words, d.size())
	for i, part := range [...]*string{&w.to, &w.relay, &w.enhanced, &w.text, &w.recipient} {
		*part = all[:d.lens[i]]
		all = all[d.lens[i]:]
	}
	if w.recipient == "" {
		w.recipient = clip(w.to, maxItemWord)
	}
	return w
}

// why gives the reason of d, which few deferrals are asked for.
func (ds *deferrals) why(d *deferral) uint64 {
	if d.reason == 0 {
		w := ds.read(d)
		d.reason = reasonOf(w.enhanced, int(d.code), w.text)
	}
	return d.reason
}

// drop forgets the deferral of e that a link leads to, and gives the link to
// the one behind it.
func (ds *deferrals) drop(e *entry, link *uint32) {
	gone := *link
	d := ds.at(gone)
	ds.words.drop(d.words, d.size())
	*link = d.next
	d.next, ds.free = ds.free, gone
	e.deferrals--
	ds.used--
}

// dropAll forgets the deferrals of e.
func (ds *deferrals) dropAll(e *entry) {
	for e.deferred != 0 {
		ds.drop(e, &e.deferred)
	}
}

// settle forgets the deferral of a recipient that got a final outcome.
func (ds *deferrals) settle(e *entry, to string) {
	if e.deferred == 0 {
		return
	}
	hash := ds.hash(to)
	for link := &e.deferred; *link != 0; {
		d := ds.at(*link)
		if d.to == hash {
			ds.drop(e, link)
			return
		}
		link = &d.next
	}
}
