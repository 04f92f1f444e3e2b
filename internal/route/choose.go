package route

import (
	"encoding/binary"
	"hash/fnv"

	"github.com/waypost-mail/waypost"
)

// Choose picks the provider of a pool that relays a message: members share
// the messages by their weights over the sum (D-16). Which message goes where
// follows from its id alone. It answers 0 for a pool without a member of
// positive weight.
func Choose(pool *waypost.Pool, id waypost.UUID) int64 {
	sum := 0
	for _, m := range pool.Members {
		sum += max(m.Weight, 0)
	}
	if sum == 0 {
		return 0
	}
	at := int(share(id) % uint64(sum))
	for _, m := range pool.Members {
		if at -= max(m.Weight, 0); at < 0 {
			return m.Provider
		}
	}
	panic("BUG: weights changed while they were summed")
}

// share spreads ids evenly: the random bits of a time-ordered id are hashed,
// so neighbours in time do not fall together.
func share(id waypost.UUID) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(id[:])
	var b [8]byte
	sum := h.Sum(b[:0])
	x := binary.BigEndian.Uint64(sum)
	x ^= x >> 33 // FNV's low bits alone follow the last byte; fold the high ones in
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}
