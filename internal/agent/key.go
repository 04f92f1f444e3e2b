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
type key [4]uint64

const keyBytes = 32

// makeKey packs a queue id; one that is longer than any mail server makes is
// cut, which the parsers do not let happen.
func makeKey(instance uint8, queue string) (k key) {
	var b [keyBytes]byte
	n := copy(b[:mtalog.MaxQueueID], queue)
	b[mtalog.MaxQueueID], b[mtalog.MaxQueueID+1] = uint8(n), instance
	for i := range k {
		k[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return k
}

func (k *key) bytes() (b [keyBytes]byte) {
	for i := range k {
		binary.LittleEndian.PutUint64(b[8*i:], k[i])
	}
	return b
}

// queue gives the id as text.
func (k *key) queue() string {
	b := k.bytes()
	return string(b[:b[mtalog.MaxQueueID]])
}

func (k *key) instance() uint8 { return uint8(k[3] >> 56) }

// hash mixes all of a key.
func (k *key) hash() uint32 {
	return mix(k[0]^bits.RotateLeft64(k[2], 29), k[1]^bits.RotateLeft64(k[3], 31))
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
// half full, and deletion that closes gaps. It keeps numbers of entries, not
// pointers, so that the garbage collector need not look into it.
type index struct {
	slots []uint32 // number of an entry plus one; 0 is free
	used  int
}

func (x *index) mask() uint32 { return uint32(len(x.slots) - 1) }

// put adds an entry that is not in x; hashOf gives the hash of those that are.
func (x *index) put(hash, number uint32, hashOf func(uint32) uint32) {
	if 2*(x.used+1) > len(x.slots) {
		old := x.slots
		x.slots = make([]uint32, max(1024, 2*len(old)))
		for _, s := range old {
			if s != 0 {
				x.place(hashOf(s-1), s)
			}
		}
	}
	x.used++
	x.place(hash, number+1)
}

func (x *index) place(hash, slot uint32) {
	i := hash & x.mask()
	for x.slots[i] != 0 {
		i = (i + 1) & x.mask()
	}
	x.slots[i] = slot
}

// remove takes an entry out, when it is in x, and moves those behind it up
// that would not be found any more.
func (x *index) remove(hash, number uint32, hashOf func(uint32) uint32) {
	if len(x.slots) == 0 {
		return
	}
	mask := x.mask()
	i := hash & mask
	for x.slots[i] != number+1 {
		if x.slots[i] == 0 {
			return
		}
		i = (i + 1) & mask
	}
	x.used--
	for j := i; ; {
		x.slots[i] = 0
		for {
			j = (j + 1) & mask
			if x.slots[j] == 0 {
				return
			}
			if home := hashOf(x.slots[j]-1) & mask; (j-home)&mask >= (j-i)&mask {
				break
			}
		}
		x.slots[i] = x.slots[j]
		i = j
	}
}
