// Package ingest is the one door for facts: every event of the system is
// written here and nowhere else.
//
//   - [Door.Accept]: an API call becomes messages, CSProcessed each, and
//     CSDropped for those that are refused at once.
//   - [Door.Settle]: a relay attempt becomes CSSent, a retry, or CSDropped.
//   - [Door.Report]: the agent's report becomes CSDelivered, CSHardBounced or
//     CSSoftBounced, judged from the text of the reply (D-33); a deferral is
//     noted on its message.
//   - [Door.Bounce]: a mail that came back becomes a bounce, a complaint, an
//     opt-out, or a kept report that counts for nothing; [SMTP] is the listener
//     that takes such mails, and [Door.Reclassify] a person's word on one.
//   - [Door.Track]: visits to tracking URLs become CSOpen, CSClick and
//     CSUnsubscribe; the last suppresses.
//
// Dedupe, suppression and counters go into the transaction of the event they
// belong to: the store does that, from what this package hands it. Three counters
// live in memory, and begin anew with the process: the breaker that holds
// suppressions when reports contradict the agent too often ([BreakerLimit]), the
// replies behind [Door.Warnings], and [Door.Counts] of what was stored.
//
// The listener refuses at RCPT what is no return path of a message relayed
// lately, bounds connections, rate, lines, size and time, ends a session that
// sends a lone CR or LF, and says 250 after the commit only; 451 when storage is
// away. It sends no mail, so no loop goes through it.
//
// A fact from outside is hostile until shown otherwise: it must name a message
// of the provider that reports it, its text is bounded and cleaned, and its
// time cannot lie in the future.
//
// It stands on the second floor: it imports the root package, store, bounce
// and track. The SMTP server below the listener is go-smtp.
package ingest
