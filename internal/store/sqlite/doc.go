// Package sqlite keeps an installation in one SQLite database file.
//
// # One writer
//
// Every call that writes becomes an op. Its values are encoded in the caller's
// goroutine; one committer goroutine, which owns the only writing connection,
// takes what waits (at most 512 ops or about a megabyte, without an artificial
// delay), runs it in one transaction and answers all callers after COMMIT. The
// log is write-ahead with synchronous FULL, so a COMMIT is on disk.
//
// A group runs without savepoints. When an op fails before it wrote anything
// (the usual case: not found, exists, lost) its neighbours are not touched.
// When it fails later the group is rolled back and replayed with a savepoint
// around each op; when the disk is the cause, one transaction an op. Nothing
// that a failed transaction changed in memory survives it.
//
// A caller whose context ends while its op waits in line gets the context's
// error, and nothing was stored. Once the committer has taken the op, the
// caller waits for the commit and learns how it ended: a commit is short, and
// neither an acceptance nor a claimed token is left in doubt.
//
// # Readers
//
// Everything else reads through a pool of read-only connections. Their reads
// neither wait for the writer nor hold it up.
//
// # The queue
//
// Only one process opens a database: [Open] holds a lock file. So leases live
// in memory, and after a restart everything in the queue is due. The committer
// keeps, for each lane, the leases and the place where unleased rows begin, so
// a claim is one seek, and reads the claimed messages through its own page
// cache; and for each provider the minute buckets of its limits,
// written through to limit_bucket in the claim's transaction.
//
// # Surgery
//
// Looking at what waits is for the readers; changing it is an op like a claim,
// which knows the leases. A row that surgery brings forward lowers the place
// from which its lane is read. An op of surgery on 10,000 messages holds the
// line up for as long as it takes. Move lets its callback choose between two
// ops, in the caller's goroutine.
//
// # Lists
//
// Events are listed off a covering index by account and type, newest first, or
// by account, provider and type; the ids of several types are merged. A filter
// by sub-account is decided inside the index. A filter by recipient has no index. A search in
// names folds the case of ASCII letters only. Where no index finds what is asked
// for, in the audit and among suppressions, Look bounds how much is read.
//
// A search of messages reads candidates off one index and judges them by the
// others, in the order of their ids: headline_sender and content_tag_list give
// calls, whose messages are of the same millisecond; event_outcome gives those
// with a terminal event; unsettled those that were sent with no more known of
// them, written and deleted by the events of a group, which also fill
// message_queue. It has buckets, as message_to: one index over all hashes would
// dirty a page for each row.
//
// # Failures
//
// A full disk, an I/O error or a read-only file is [store.ErrUnavailable] with
// SQLite's words behind it. Nothing was stored; the next call tries again, so
// the store recovers by itself.
//
// The package imports package store, the nouns, and the driver.
package sqlite
