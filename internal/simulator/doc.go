// Package simulator plays the customer's side of the mail for
// `waypost quickstart` and for whole-house tests: the mail server that
// Waypost relays through, the servers of the recipients behind it, and the
// DNS of the sender domain. Nothing of it reaches beyond the machine.
//
//   - [MTA] is a mail server with a log: it takes mail by SMTP, behind AUTH
//     PLAIN when told so, and writes what Postfix would write about it.
//   - [FarEnd] is the servers of the recipients, for a real Postfix that relays
//     to them; [Policy] is the Postfix policy service that refuses mail before
//     it is accepted.
//   - [RunPostfix] runs a private instance of an installed Postfix.
//   - [DNS] answers for the records that a sender domain asks of its owner.
//
// What becomes of a message is in the local part of its recipient, whatever
// stands behind a plus sign in it and whatever the domain:
//
//	deliver@     taken by the recipient's server
//	reader@      the same; whoever plays the reader is given the mail
//	hardbounce@  550 5.1.1, the mailbox does not exist
//	softbounce@  552 5.2.2, the mailbox is full
//	deferred@    451 4.7.1 at first, taken at the next attempt
//	refused@     451 4.3.2 from the mail server itself at first, taken when
//	             the platform tries again
//
// Every other recipient is delivered to. A bounce makes no report to the
// return path here, only its line in the log; a real Postfix sends one.
//
// Memory is bounded: a fixed number of sessions and of messages in the queue,
// beyond which a client gets 421 and 452, and tallies that forget. Whatever
// runs here has a Run method, ends when its context does, and leaves no
// goroutine behind.
//
// The package stands on the fifth floor, beside the server it plays with; it
// imports mtalog for the shape of the log and nothing else of the house.
package simulator
