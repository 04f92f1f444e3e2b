// Package webhook tells customers' programs of events (sendpost.md, f; D-38).
//
// The tour: the store writes a delivery beside each event, in the event's own
// transaction, for every webhook that wants it. [Workers] drain them: one lane
// for each webhook, claims under a lease, at most so many requests at once for
// one webhook and for all. [Sender] makes one request: payload.go writes the
// body in the contract that the webhook asked for, sign.go the signatures,
// post.go carries it to a public address and reads a bounded answer. verdict.go
// is what becomes of a delivery after an attempt: a pure function.
//
// A delivery goes out at least once; receivers tell a repetition by eventID,
// and by the header webhook-id. Nothing here shares a lock, a session or a
// worker with relaying: a dead endpoint holds a slot of its own lane for ten
// seconds, and once five requests in a row have failed its lane sends a single
// one every half minute, until one goes well. The other deliveries of such a
// webhook wait meanwhile without losing attempts, so that an endpoint that is
// down for a while is not disabled at once.
//
// The hosted service signs with the account's API key. Here a key is kept as a
// hash alone, so that every webhook has a secret of its own, which may be set
// to any text: to the account's key too, for receivers that verify with it.
package webhook
