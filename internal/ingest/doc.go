// Package ingest is the one door for facts: every event of the system is
// written here and nowhere else.
//
//   - [Door.Accept]: an API call becomes messages, CSProcessed each, and
//     CSDropped for those that are refused at once.
//   - [Door.Settle]: a relay attempt becomes CSSent, a retry, or CSDropped.
//   - [Door.Report]: the agent's report becomes CSDelivered, CSHardBounced or
//     CSSoftBounced, judged from the text of the reply (D-33); a deferral is
//     noted on its message.
//
// Dedupe, suppression and counters go into the transaction of the event they
// belong to: the store does that, from what this package hands it. Nothing
// here keeps state between calls.
//
// A fact from outside is hostile until shown otherwise: it must name a message
// of the provider that reports it, its text is bounded and cleaned, and its
// time cannot lie in the future.
//
// It stands on the second floor: it imports the root package, store and
// bounce.
package ingest
