// Package queue takes messages in and drives each one to its end.
//
// The way of one message, top to bottom:
//
//	Enqueue          checks of return path and suppression, route, one transaction
//	lanes            which lane is due and when; heads of the lanes in memory
//	claim            due messages of one lane under a lease, with tokens
//	relay            one message: compose, send, decide, settle
//	  compose        from the shared content to signed bytes
//	  smtp.Pool      MAIL, RCPT, DATA on a reused session -> reply or error
//	  waypost.Decide sent | retry at t | drop: a pure function of the attempt
//	  ingest.Settle  queue row, event and counters in one transaction
//
// A message to a simulated recipient (D-40) goes the same way up to its
// composed form, in the lane of no provider; simulate then stores its events in
// the place of SMTP.
//
// # Promises
//
// A message accepted is relayed at least once or dropped with a reason. It is
// relayed twice only when the process or the connection dies between the last
// byte of the message and the moment its outcome is on disk.
//
// No transaction is open while SMTP is spoken. A message whose worker died is
// due again when its lease ends; a lease is renewed while a relay takes long.
//
// Memory is bounded by the bytes of messages that are made and sent at one time,
// by the bytes of large files of the contents in use, which their messages
// share, and by the bytes of the content cache, not by the length of the queue.
// Large messages wait for room; small ones never wait for large ones.
//
// # Stopping
//
// When Run's context ends, no new message is claimed; those in flight have the
// grace period to finish, and are cut after it: cut before the final dot they
// are due again at once.
//
// It stands on the third floor and imports store, route, compose, ingest, smtp
// and what these stand on.
package queue
