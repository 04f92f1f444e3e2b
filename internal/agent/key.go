package agent

import (
	"encoding/binary"
	"math/bits"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// key names a message in a queue: a queue id, and which of the instances of
// the mail server that write into this log gave it. It holds the id itself, so
// that the table needs no memory beside its entries, as words, so that keys
// are compared in a few instructions: the letters from the lowest byte on,
// zeros, and in the last two bytes their number and the instance.
type key struct{ a, b, c, d uint64 }

const keyBytes = 32

// noKey is the key of an entry that is not in use.
var noKey = key{d: ^uint64(0)}

// makeKey packs a queue id; one that is longer than any mail server makes is
// cut, which the parsers do not let happen.
func makeKey(instance uint8, queue string) (k key) {
	if n := len(queue); n >= 8 && n <= 16 { // as nearly all are
		k.a = word(queue)
		k.b = word(queue[n-8:]) >> (8 * uint(16-n))
		k.d = uint64(n)<<48 | uint64(instance)<<56
		return k
	}
	var b [keyBytes]byte
	n := copy(b[:mtalog.MaxQueueID], queue)
	b[mtalog.MaxQueueID], b[mtalog.MaxQueueID+1] = uint8(n), instance
	at := binary.LittleEndian.Uint64
	return key{at(b[0:]), at(b[8:]), at(b[16:]), at(b[24:])}
}

// word reads the first eight bytes of s, the first as the lowest.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func (k *key) bytes() (b [keyBytes]byte) {
	for i, x := range [4]uint64{k.a, k.b, k.c, k.d} {
		binary.LittleEndian.PutUint64(b[8*i:], x)
	}
	return b
}

// queue gives the id as text.
func (k *key) queue() string {
	b := k.bytes()
	return string(b[:b[mtalog.MaxQueueID]])
}

func (k *key) instance() uint8 { return uint8(k.d >> 56) }

// hash mixes all of a key.
func (k *key) hash() uint32 {
	return mix(k.a^bits.RotateLeft64(k.c, 29), k.b^bits.RotateLeft64(k.d, 31))
}

// hashUUID mixes a message's id. The platform makes the ids and a sender can
// not choose them, but a forged log may hold any, so all bytes take part.
func hashUUID(u *waypost.UUID) uint32 {
	return mix(binary.LittleEndian.Uint64(u[0:]), binary.LittleEndian.Uint64(u[8:]))
}

func mix(a, b uint64) uint32 {
	high, low := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd6e8feb86659fd93)
	x := high ^ low
	return uint32(x ^ x>>32)
}

// index finds entries by a hash: open addressing with linear probing, at most
// half full, and deletion that closes gaps. A slot keeps the hash beside the
// number of its entry: a search touches hardly any entry but the one it looks
// for, and the garbage collector need not look into it. A byte of the hash
// stands apart from the slots, so that a search that finds nothing, as with
// every new queue id, stays within an eighth of the memory.
type index struct {
	tags  []uint8 // 0 where the slot is free
	slots []slot
	used  int
}

// slot is the number of an entry plus one, and above that the entry's hash.
type slot uint64

func makeSlot(hash, number uint32) slot { return slot(hash)<<32 | slot(number+1) }

func (s slot) hash() uint32   { return uint32(s >> 32) }
func (s slot) number() uint32 { return uint32(s) - 1 }

// indexTag is the byte of a hash that an index keeps apart: of other bits than
// those that choose the slot.
func indexTag(hash uint32) uint8 { return uint8(hash>>24) | 1 }

func (x *index) mask() uint32 { return uint32(len(x.tags) - 1) }

// put adds an entry that is not in x.
func (x *index) put(hash, number uint32) {
	if 2*(x.used+1) > len(x.slots) {
		tags, slots := x.tags, x.slots
		size := max(1024, 2*len(slots))
		x.tags, x.slots = make([]uint8, size), make([]slot, size)
		for i, s := range slots {
			if tags[i] != 0 {
				x.place(s)
			}
		}
	}
	x.used++
	x.place(makeSlot(hash, number))
}

func (x *index) place(s slot) {
	i := s.hash() & x.mask()
	for x.tags[i] != 0 {
		i = (i + 1) & x.mask()
	}
	x.tags[i], x.slots[i] = indexTag(s.hash()), s
}

// remove takes an entry out, when it is in x, and moves those behind it up
// that would not be found any more.
func (x *index) remove(hash, number uint32) {
	if len(x.tags) == 0 {
		return
	}
	mask, tag, gone := x.mask(), indexTag(hash), makeSlot(hash, number)
	i := hash & mask
	for x.tags[i] != tag || x.slots[i] != gone {
		if x.tags[i] == 0 {
			return
		}
		i = (i + 1) & mask
	}
	x.used--
	for j := i; ; {
		x.tags[i] = 0
		for {
			j = (j + 1) & mask
			if x.tags[j] == 0 {
				return
			}
			if home := x.slots[j].hash() & mask; (j-home)&mask >= (j-i)&mask {
				break
			}
		}
		x.tags[i], x.slots[i] = x.tags[j], x.slots[j]
		i = j
	}
}
