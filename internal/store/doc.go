// Package store is the storage contract: small interfaces that an engine
// fulfils, and the errors it may answer. Nothing above it knows which engine
// runs; SQLite and PostgreSQL implement it, and storetest proves that they
// agree.
//
// # Promises of every engine
//
//   - Durable: a call that writes returns nil only after its transaction is on
//     disk. An accepted message survives a kill of the process or the machine.
//   - Whole: each call is one transaction. An Accept stores content, messages,
//     queue rows, events and counters together or not at all; so does a Settle
//     and a Record.
//   - Grouped: calls from many goroutines share transactions (group commit). A
//     call that fails does not fail its neighbours.
//   - Counted once: the daily counters move in the transaction of the event
//     that they count, by [waypost.Event.Stat].
//   - Tenancy: a look-up on behalf of a tenant takes the tenant's id, and a row
//     of another tenant is [ErrNotFound].
//   - Times are kept to the millisecond, in UTC.
//
// # What fails how
//
// [ErrNotFound], [ErrExists] and [ErrLost] are part of the contract and tested
// with errors.Is. [ErrUnavailable] means that nothing was stored and that the
// same call may succeed later (disk full, database restarting); the API
// answers 503 for it. Any other error is the engine's own and nothing was
// stored.
//
// # The queue
//
// A message waits in one queue row, keyed by lane and due time, until it is
// finished; the row is deleted then, so a claim costs the same however many
// messages exist. [Queue.Claim] hands out due messages under a lease and takes
// their tokens from the hourly limits in the same transaction, so limits hold
// across restarts and nodes. A lease that runs out makes the message due again
// (D-21).
package store
