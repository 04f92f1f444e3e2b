package store

import (
	"slices"

	"github.com/waypost-mail/waypost"
)

// LeavePool takes a provider out of a pool's members and lists, for the
// engines' DeleteProvider, and tells whether it was in there.
func LeavePool(p *waypost.Pool, provider int64) bool {
	n := len(p.Members)
	p.Members = slices.DeleteFunc(p.Members, func(m waypost.PoolMember) bool { return m.Provider == provider })
	left := len(p.Members) != n
	for key, list := range p.Lists {
		if at := slices.Index(list, provider); at >= 0 {
			p.Lists[key] = slices.Delete(list, at, at+1)
			left = true
		}
	}
	return left
}
