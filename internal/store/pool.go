package store

import (
	"slices"

	"github.com/waypost-mail/waypost"
)

// LeavePool takes a provider out of a pool's members and lists, for the
// engines' DeleteProvider, and tells whether it was in there. A list that
// becomes empty is dropped, so that its messages go the way of the others.
func LeavePool(p *waypost.Pool, provider int64) bool {
	n := len(p.Members)
	p.Members = slices.DeleteFunc(p.Members, func(m waypost.PoolMember) bool { return m.Provider == provider })
	left := len(p.Members) != n
	for key, list := range p.Lists {
		rest := slices.DeleteFunc(list, func(id int64) bool { return id == provider })
		left = left || len(rest) != len(list)
		if p.Lists[key] = rest; len(rest) == 0 {
			delete(p.Lists, key)
		}
	}
	return left
}
