// Package waypost holds the nouns of an email sending platform whose customers
// bring their own SMTP servers, and the rules about them that need no I/O.
//
// Read it first: every other package speaks its words. In the order in which
// one message meets them:
//
//   - [SubAccount] and [APIKey]: who calls, and what a key opens.
//   - [Content] and [Message]: what one API call shares among its recipients,
//     stored once, and what is each recipient's own.
//   - [Pool], [Provider] and [Lane]: the weighted set of the customer's mail
//     servers, one such server, and the queue slot that a worker claims from.
//   - [SenderDomain]: keys and DNS records; without a verified return path
//     nothing is relayed.
//   - [ReturnPath]: the envelope sender that says by itself which message and
//     sub-account a bounce is about.
//   - [Outcome] and [RetrySchedule]: what becomes of one relay attempt.
//   - [Event] and the one table of event types: the only facts that leave the
//     house, CSProcessed 58 to CSUnsubscribe 68.
//   - [Report]: what the agent beside the customer's mail server posts; the
//     one wire type that two binaries share.
//
// Three kinds of id have three types, so that the compiler keeps them apart:
// [UUID] is ours, [MessageID] is the header of RFC 5322, and [QueueID] is a
// mail server's name for a message on its own disk.
//
// The package imports the standard library only, and holds no struct tags for
// JSON or SQL but those of [Report].
package waypost
