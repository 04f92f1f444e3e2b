package route

import (
	"encoding/binary"
	"hash/fnv"

	"github.com/waypost-mail/waypost"
)

// Target is what a route depends on beside the pool.
type Target struct {
	Message waypost.UUID
	Mailbox waypost.Mailbox
	Domain  string // sender domain
}

// StandForAll gives a pool that names the pseudo IP alone the providers of its
// account as members (D-8): by their limits of the hour when its strategy is by
// volume, else evenly. Any other pool stays as it is.
func StandForAll(pool *waypost.Pool, providers []waypost.Provider) {
	if !pool.StandsForAll() {
		return
	}
	pool.Lists = nil
	all := make([]int64, len(providers))
	for i := range providers {
		p := &providers[i]
		m := waypost.PoolMember{Provider: p.ID, Weight: 1}
		if pool.Strategy == waypost.StrategyVolumePercentage {
			m.Weight = max(p.MaxPerHour, 1)
		}
		pool.Members, all[i] = append(pool.Members, m), p.ID
	}
	if pool.Strategy == waypost.StrategyEmailProvider || pool.Strategy == waypost.StrategySendingDomain {
		pool.Lists = map[string][]int64{waypost.OtherList: all}
	}
}

// Candidates lists the members of a pool that its strategy allows for a
// target, with their weights; none with a weight below one (D-16).
func Candidates(pool *waypost.Pool, t Target) []waypost.PoolMember {
	var out []waypost.PoolMember
	switch pool.Strategy {
	case waypost.StrategyVolumePercentage:
		for _, m := range pool.Members {
			if m.Weight > 0 {
				out = append(out, m)
			}
		}
	case waypost.StrategyEmailProvider:
		out = listed(pool, t.Mailbox.String())
	case waypost.StrategySendingDomain:
		out = listed(pool, t.Domain)
	case waypost.StrategyRoundRobin:
		for _, m := range pool.Members {
			out = append(out, waypost.PoolMember{Provider: m.Provider, Weight: 1})
		}
	}
	return out
}

// listed shares evenly inside the list of a key, or of all the rest.
func listed(pool *waypost.Pool, key string) []waypost.PoolMember {
	list, ok := pool.Lists[key]
	if !ok {
		list = pool.Lists[waypost.OtherList]
	}
	out := make([]waypost.PoolMember, len(list))
	for i, p := range list {
		out[i] = waypost.PoolMember{Provider: p, Weight: 1}
	}
	return out
}

// Choose picks the provider that relays a message: its share is its weight
// over the sum of those that are usable; nil means that all are. Which message
// goes where follows from its id alone. It answers 0 when no candidate is
// usable.
func Choose(pool *waypost.Pool, t Target, usable func(provider int64) bool) int64 {
	all := Candidates(pool, t)
	sum := 0
	for i := range all {
		if usable != nil && !usable(all[i].Provider) {
			all[i].Weight = 0
		}
		sum += all[i].Weight
	}
	if sum == 0 {
		return 0
	}
	at := int(share(t.Message) % uint64(sum))
	for _, m := range all {
		if at -= m.Weight; at < 0 {
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
