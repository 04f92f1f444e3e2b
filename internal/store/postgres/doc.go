// Package postgres keeps an installation in a PostgreSQL database, version 14
// or later, that any number of nodes open at the same time.
//
// # Two committers
//
// Accepts go to one committer goroutine, settlements and reported facts to
// another. Each takes what waits (at most 512 calls or 4 MB, without an
// artificial delay), stores it in one transaction and answers all callers after
// COMMIT. Callers encode their own rows in the binary form of COPY; the
// committer strings them together, gives the events their ids, and moves the
// counters last. When a group fails it is rolled back and halved until the call
// at fault is alone; a deadlock or serialization failure is tried again.
// Everything else is a transaction of its own from the pool.
//
// A caller whose context ends while it waits for the commit gets the context's
// error; what it asked for may have been stored all the same.
//
// # The queue
//
// A claim picks due rows with FOR UPDATE SKIP LOCKED and moves their due time
// to the end of the lease, in one statement; the row also takes the claim's
// mark, which Settle and Extend must show. No transaction stays open between
// calls. Under a limit the claim first locks its provider's row of limiter, so
// that nodes reserve tokens one after another; without a limit it locks none.
// The queue is a narrow table, vacuumed often, with two indexes: by message,
// and by lane and due time.
//
// # Surgery
//
// Ids are picked without a lock; then the rows of these ids that nobody holds
// are locked and checked once more, passing over those that a claim has at the
// moment. Cancel goes through the committer of settlements, which counts its
// events. Move calls its callback while the rows are locked; a lease is over
// for it by this node's clock.
//
// # Counters
//
// An event moves stat_day, stat_by once for each thing that it is counted under,
// and stat_time, in its own transaction: summed over the group, last of all, in one
// order, and in a slot of the node's. What events of a message are counted under
// stands on the message, so that events made here (Cancel, evidence, a verdict
// that is changed) move the same rows.
//
// # Webhooks
//
// Which webhook wants what is kept in memory, read again after each change of
// this node's and every two seconds for those of others. Deliveries are copied
// in the transaction of their event. A claim moves due forward and leaves its
// mark, which FinishDeliveries must show.
//
// # Lists
//
// Each filter of events has a partial index by type and id; a statement holds
// only the conditions asked for and is planned for their values. It walks for ids
// and reads the rows of the page alone. Where no index finds what is asked for,
// in the audit and among suppressions, Look bounds how much is read. A search of
// messages reads candidates off one index, of headlines, tags, queue ids,
// outcomes or of unsettled (sent, with no more known of them), and judges them
// in the order of their ids.
//
// # Event ids
//
// An id is made from the millisecond, the node's number (from a sequence, 0 to
// 1023) and a sequence that never repeats, also when the clock steps back. On
// one node ids ascend in the order in which transactions are put together; two
// transactions under way may commit in the other order. The event table is
// partitioned by month of the id, four months ahead, with a rest partition for
// whatever has none. PruneEvents drops a month that is old as a whole, and
// deletes rows of the one in between.
//
// # Failures
//
// A lost connection, a server that starts, stops or is full, and a read-only
// server are [store.ErrUnavailable] with the cause behind it. The pool connects
// again by itself. A committer whose connection broke during COMMIT asks the
// server, when it is back, what became of the transaction (commit_mark), and
// refuses other calls until then; so ErrUnavailable from Accept, Settle and
// Record always means that nothing was stored. When the server stays away for
// half a minute those callers get an error that is not ErrUnavailable and says
// that the outcome is unknown. A claim, or a call of the directory, that breaks
// during its COMMIT is ErrUnavailable all the same: a lease ends by itself, and
// a second creation answers ErrExists.
//
// PostgreSQL stores neither NUL nor broken UTF-8 in text: NUL is dropped and
// broken bytes become U+FFFD, also in what is looked for.
//
// The package imports package store, the nouns, the driver and the migrator.
package postgres
