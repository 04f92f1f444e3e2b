package agent

import (
	"hash/maphash"

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

// entry is what is known about one queue id. There may be 200,000 of them:
// what is looked at with every line stands first. It holds numbers in place of
// pointers, here and wherever the table remembers something, so that the
// garbage collector has nothing to look through.
type entry struct {
	key
	uuid      waypost.UUID
	method    method
	null      bool   // from=<>: a bounce notification, never an event
	gone      bool   // removed; waits to be forgotten
	notified  bool   // a non-delivery notification was made
	bounced   bool   // a recipient bounced, which explains a notification
	expired   bool   // the expiry was reported
	requeued  bool   // postsuper -r
	claimed   bool   // a sent line named this id as what its message goes on under
	late      bool   // the first line about it was an outcome
	deferrals uint8  // how many
	deferred  uint32 // the first of them: number plus one, 0 for none
	left      int32  // recipients still to do at the last from= line
	done      int32  // final outcomes since then
	round     int32  // attempts: from= lines seen
	keyHash   uint32 // of key
	number    uint32 // its place in the table's slab
	serial    uint32 // tells it from earlier uses of its place; 0 while it has none
	parentLen uint32
	parent    chain  // of a notification: the queue id it speaks of
	heard     int64  // microseconds since 1970, to within hearing
	linked    uint64 // when its message became known, as a serial number

	older, younger uint32 // neighbours in order of heard: number plus one, 0 for none
}

// slabSize is how many entries are allocated at once.
const slabSize = 256

// hearing is how exactly the time of the last line about a queue id is kept,
// in microseconds. A message that passes through within a second, as most do,
// then keeps its place in the order of age, which is a list whose neighbours
// would have to be fetched from memory with every line.
const hearing = 1_000_000

// table holds the entries by queue id, by message and in order of age. Entries
// stand in slabs and are used again, so that a log of any length makes no
// garbage.
type table struct {
	slabs     []*[slabSize]entry
	free      []uint32
	byKey     index
	byUUID    messages
	serial    uint32
	recent    recent
	first     uint32 // not heard of for longest, to within hearing: number plus one
	last      uint32
	gone      leaving
	deferrals deferrals
	instances []string
	found     string // the instance found last, and its number
	instance  uint8
}

// maxInstances bounds how many instances are told apart; all further ones
// share the last number.
const maxInstances = 16

func newTable() table {
	return table{deferrals: deferrals{seed: maphash.MakeSeed()}}
}

func (t *table) entry(number uint32) *entry {
	return &t.slabs[number/slabSize][number%slabSize]
}

// at follows a link between entries: a number plus one.
func (t *table) at(link uint32) *entry {
	if link == 0 {
		return nil
	}
	return t.entry(link - 1)
}

// size is the number of entries.
func (t *table) size() int { return t.byKey.used }

// key packs an instance's queue id.
func (t *table) key(instance, queue string) key {
	if t.found != instance || len(t.instances) == 0 {
		t.found, t.instance = instance, t.intern(instance)
	}
	return makeKey(t.instance, queue)
}

func (t *table) intern(instance string) uint8 {
	for i, known := range t.instances {
		if known == instance {
			return uint8(i)
		}
	}
	if len(t.instances) < maxInstances {
		t.instances = append(t.instances, instance)
	}
	return uint8(len(t.instances) - 1)
}

// recent says where the entries found lately are, each in the slot its hash
// chooses: an entry asked for again within moments, as with the next line of
// its message, is found without a look into the index, which is too large for
// the nearest cache where many messages are deferred. What it says of a
// forgotten entry does no harm, as that has no queue id's key.
type recent [1024]slot

func (r *recent) of(hash uint32) *slot { return &r[hash%uint32(len(r))] }

// get finds the entry of k.
func (t *table) get(k *key) *entry {
	hash := k.hash()
	last := t.recent.of(hash)
	if *last != 0 && last.hash() == hash {
		if e := t.entry(last.number()); e.key == *k {
			return e
		}
	}
	if t.byKey.used == 0 {
		return nil
	}
	mask, tag := t.byKey.mask(), indexTag(hash)
	for i := hash & mask; ; i = (i + 1) & mask {
		found := t.byKey.tags[i]
		if found == 0 {
			return nil
		}
		if found != tag {
			continue
		}
		s := t.byKey.slots[i]
		if s.hash() != hash {
			continue
		}
		if e := t.entry(s.number()); e.key == *k {
			*last = s
			return e
		}
	}
}

func (t *table) oldest() *entry { return t.at(t.first) }

// add makes an entry for a key that has none.
func (t *table) add(k *key) *entry {
	if len(t.free) == 0 {
		base := uint32(len(t.slabs) * slabSize)
		t.slabs = append(t.slabs, new([slabSize]entry))
		for i := range uint32(slabSize) {
			t.free = append(t.free, base+slabSize-1-i)
		}
	}
	number := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.serial = max(t.serial+1, 1) // 0 is no serial
	e := t.entry(number)
	*e = entry{key: *k, keyHash: k.hash(), number: number, serial: t.serial}
	t.byKey.put(e.keyHash, number)
	*t.recent.of(e.keyHash) = makeSlot(e.keyHash, number)
	t.push(e)
	return e
}

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

// setParent says which queue id a notification speaks of.
func (t *table) setParent(e *entry, queue string) {
	if e.parentLen == 0 && queue == "" {
		return
	}
	t.deferrals.words.drop(e.parent, int(e.parentLen))
	e.parent, e.parentLen = t.deferrals.words.put(queue), uint32(len(queue))
}

// parent gives the queue id that a notification speaks of; "" for other ids.
func (t *table) parent(e *entry) string {
	return t.deferrals.words.get(e.parent, int(e.parentLen))
}

// handOver gives what only few ids have to the id a message goes on under.
func (t *table) handOver(from, to *entry) {
	t.deferrals.dropAll(to)
	t.setParent(to, "")
	to.deferrals, to.deferred, to.parent, to.parentLen = from.deferrals, from.deferred, from.parent, from.parentLen
	from.deferrals, from.deferred, from.parent, from.parentLen = 0, 0, chain{}, 0
}

// drop forgets an entry; e must not be used afterwards.
func (t *table) drop(e *entry) {
	t.byKey.remove(e.keyHash, e.number)
	t.unlink(e)
	t.cut(e)
	t.deferrals.dropAll(e)
	t.setParent(e, "")
	e.key, e.serial = noKey, 0
	t.free = append(t.free, e.number)
}
