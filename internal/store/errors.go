package store

import "errors"

// The errors of the contract.
var (
	// ErrNotFound: no such row, or it belongs to another tenant.
	ErrNotFound = errors.New("not found")
	// ErrExists: a name that must be unique is taken.
	ErrExists = errors.New("exists already")
	// ErrLastOwner: nobody of the account would be an owner any more.
	ErrLastOwner = errors.New("the only owner")
	// ErrLost: the queue row is no longer the caller's; another worker, or
	// another node, finished it or holds its lease.
	ErrLost = errors.New("no longer held")
	// ErrUnavailable: storage cannot accept now; nothing was stored.
	ErrUnavailable = errors.New("storage unavailable")
	// ErrUnknown: storage was lost while it stored and did not come back in
	// time to say what became of it: it is stored or not. A caller whose call
	// may be made twice, such as a settlement, makes it again.
	ErrUnknown = errors.New("storage was lost: it may have been stored or not")
)
