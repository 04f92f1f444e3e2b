package agent

import (
	"strings"
	"unsafe"

	"github.com/waypost-mail/waypost"
)

// method is how a queue id got its message, in the order of D-42.
type method uint8

const (
	unknown method = iota
	byReturnPath
	byHeader
	byMessageID
	byChain
)

var methodNames = [...]string{"none", "return path", "header", "Message-ID", "re-queued id"}

// String names the method for people.
func (m method) String() string { return methodNames[m] }

// entry is what is known about one queue id.
type entry struct {
	key
	uuid     waypost.UUID
	keyHash  uint32
	uuidHash uint32
	number   uint32 // its place in the table's slab
	method   method
	null     bool  // from=<>: a bounce notification, never an event
	gone     bool  // removed; waits to be forgotten
	notified bool  // a non-delivery notification was made
	bounced  bool  // a recipient bounced, which explains a notification
	expired  bool  // the expiry was reported
	requeued bool  // postsuper -r
	claimed  bool  // a sent line named this id as what its message goes on under
	late     bool  // the first line about it was an outcome
	left     int32 // recipients still to do at the last from= line
	done     int32 // final outcomes since then
	round    int32 // attempts: from= lines seen
	serial   uint64
	linked   uint64 // when its message became known, as a serial number
	heard    int64  // microseconds since 1970
	rest     *rest  // what few entries have

	older, younger *entry // in order of the last line about them
}

// rest is the part of an entry that only a notification or a deferral needs.
type rest struct {
	parent   string // of a notification: the queue id it speaks of
	deferred []deferral
	text     int // bytes of deferred
}

func (e *entry) more() *rest {
	if e.rest == nil {
		e.rest = &rest{}
	}
	return e.rest
}

// deferrals gives the recipients that are deferred as far as known.
func (e *entry) deferrals() []deferral {
	if e.rest == nil {
		return nil
	}
	return e.rest.deferred
}

func (e *entry) parent() string {
	if e.rest == nil {
		return ""
	}
	return e.rest.parent
}

// deferral is the last deferral of one recipient.
type deferral struct {
	to        string // as logged, after aliases
	recipient string // as reported
	relay     string
	enhanced  string
	text      string
	code      int
	round     int32  // of the entry, when it came
	reason    uint64 // hash of what makes two deferrals the same
}

// size is the deferral's share of the bytes of text remembered: its words and
// itself, doubled as slices grow that way.
func (d *deferral) size() int {
	return len(d.to) + len(d.recipient) + len(d.relay) + len(d.text) + len(d.enhanced) + 2*int(unsafe.Sizeof(*d))
}

const maxDeferrals = 200 // recipients of one queue id whose deferral is remembered

type goneID struct {
	e      *entry
	serial uint64 // of e then; another means that e is used again
	at     int64
}

// slabSize is how many entries are allocated at once.
const slabSize = 256

// table holds the entries by queue id, by message and in order of age. Entries
// stand in slabs and are used again, so that a log of any length makes no
// garbage.
type table struct {
	slabs     [][]entry
	free      []uint32
	byKey     index
	byUUID    index // the youngest queue id of each message
	links     uint64
	serial    uint64
	hot       *entry // found last
	first     *entry // not heard of for longest
	last      *entry
	gone      []goneID
	text      int
	instances []string
	instance  uint8 // found last
}

// maxInstances bounds how many instances are told apart; all further ones
// share the last number.
const maxInstances = 16

func newTable() table { return table{} }

func (t *table) entry(number uint32) *entry {
	return &t.slabs[number/slabSize][number%slabSize]
}

// size is the number of entries.
func (t *table) size() int { return t.byKey.used }

// key packs an instance's queue id.
func (t *table) key(instance, queue string) key {
	if int(t.instance) < len(t.instances) && t.instances[t.instance] == instance {
		return makeKey(t.instance, queue)
	}
	t.instance = t.intern(instance)
	return makeKey(t.instance, queue)
}

func (t *table) intern(instance string) uint8 {
	for i, known := range t.instances {
		if known == instance {
			return uint8(i)
		}
	}
	if len(t.instances) < maxInstances {
		t.instances = append(t.instances, strings.Clone(instance))
	}
	return uint8(len(t.instances) - 1)
}

// get finds the entry of k. Lines about one message tend to stand together.
func (t *table) get(k *key) *entry {
	if h := t.hot; h != nil && h.key == *k {
		return h
	}
	if t.byKey.used == 0 {
		return nil
	}
	hash, mask := k.hash(), t.byKey.mask()
	for i := hash & mask; t.byKey.slots[i] != 0; i = (i + 1) & mask {
		if e := t.entry(t.byKey.slots[i] - 1); e.keyHash == hash && e.key == *k {
			t.hot = e
			return e
		}
	}
	return nil
}

func (t *table) oldest() *entry { return t.first }

// add makes an entry for a key that has none.
func (t *table) add(k *key) *entry {
	if len(t.free) == 0 {
		base := uint32(len(t.slabs) * slabSize)
		t.slabs = append(t.slabs, make([]entry, slabSize))
		for i := range uint32(slabSize) {
			t.free = append(t.free, base+slabSize-1-i)
		}
	}
	number := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.serial++
	e := t.entry(number)
	*e = entry{key: *k, keyHash: k.hash(), number: number, serial: t.serial}
	t.byKey.put(e.keyHash, number, t.keyHashOf)
	t.hot = e
	t.push(e)
	return e
}

func (t *table) keyHashOf(number uint32) uint32  { return t.entry(number).keyHash }
func (t *table) uuidHashOf(number uint32) uint32 { return t.entry(number).uuidHash }

// find looks a queue id up in every instance.
func (t *table) find(queue string) *entry {
	if queue == "" {
		return nil
	}
	for i := range t.instances {
		k := makeKey(uint8(i), queue)
		if e := t.get(&k); e != nil {
			return e
		}
	}
	return nil
}

// drop forgets an entry; e must not be used afterwards.
func (t *table) drop(e *entry) {
	t.byKey.remove(e.keyHash, e.number, t.keyHashOf)
	if t.hot == e {
		t.hot = nil
	}
	t.unlink(e)
	t.cut(e)
	if e.rest != nil {
		t.text -= e.rest.text
		e.rest = nil
	}
	e.serial = 0
	t.free = append(t.free, e.number)
}

// youngest gives the youngest queue id of a message.
func (t *table) youngest(u *waypost.UUID) *entry {
	if t.byUUID.used == 0 {
		return nil
	}
	mask := t.byUUID.mask()
	for i := hashUUID(u) & mask; t.byUUID.slots[i] != 0; i = (i + 1) & mask {
		if e := t.entry(t.byUUID.slots[i] - 1); e.uuid == *u {
			return e
		}
	}
	return nil
}

// link makes e the youngest queue id of its message.
func (t *table) link(e *entry) {
	t.links++
	e.linked = t.links
	t.relink(e)
}

func (t *table) relink(e *entry) {
	if old := t.youngest(&e.uuid); old != nil {
		t.unlink(old)
	}
	e.uuidHash = hashUUID(&e.uuid)
	t.byUUID.put(e.uuidHash, e.number, t.uuidHashOf)
}

func (t *table) unlink(e *entry) {
	if !e.uuid.IsZero() {
		t.byUUID.remove(e.uuidHash, e.number, t.uuidHashOf)
	}
}

func (t *table) push(e *entry) {
	e.older, e.younger = t.last, nil
	if t.last == nil {
		t.first = e
	} else {
		t.last.younger = e
	}
	t.last = e
}

func (t *table) cut(e *entry) {
	if e.older == nil {
		t.first = e.younger
	} else {
		e.older.younger = e.younger
	}
	if e.younger == nil {
		t.last = e.older
	} else {
		e.younger.older = e.older
	}
	e.older, e.younger = nil, nil
}

func (t *table) touch(e *entry) {
	if t.last != e {
		t.cut(e)
		t.push(e)
	}
}

const maxGone = 512 // removed ids that wait to be forgotten

// sweep forgets ids removed before gone and ids not heard of since stale.
// Both are microseconds since 1970.
func (t *table) sweep(gone, stale int64) {
	n := 0
	for ; n < len(t.gone) && (t.gone[n].at < gone || len(t.gone)-n > maxGone); n++ {
		if g := t.gone[n]; g.e.serial == g.serial && g.e.gone {
			t.drop(g.e)
		}
	}
	if t.gone = t.gone[n:]; len(t.gone) == 0 {
		t.gone = nil
	}
	for t.first != nil && t.first.heard < stale {
		t.drop(t.first)
	}
}
