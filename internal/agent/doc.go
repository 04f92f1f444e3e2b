// Package agent runs beside a customer's mail server, follows its log, finds
// which Waypost message each line speaks of, and reports what became of it.
//
// A tour. A [Tailer] reads whole lines and survives every way of rotating a
// log; internal/mtalog turns a line into a fact; a [Correlator] turns facts
// into items of a report; a [Spool] keeps the items on disk; a [Shipper] sends
// them. [Run] joins the parts: one goroutine reads, parses, correlates and
// spools (read.go), another ships, a third answers /health and /metrics.
// [Doctor], [Explain], [CheckLine] and [ParseFile] serve an operator.
//
// How a message is found (D-42). The queue manager logs the envelope sender of
// every queue id, and Waypost's return paths carry the message's UUID, so an
// untouched mail server suffices. A header logged by header_checks comes next,
// then the Message-ID, then the link from a queue id that was passed on.
//
// What is an event (D-43). A sent line is none when the message only goes on
// under another queue id, when the discard transport took it, or when it is a
// bounce notification. Where that cannot be known yet, the line is held for a
// few seconds of the log's time or the wall's. An expiry has no line for each
// recipient: each one still deferred is reported as soft bounced with its last
// reason. A deferral is reported when its reason is new.
//
// The order that makes a crash harmless. Lines are read, their events are
// written to the spool and synced, and only then the place in the log is
// written down, together with everything the correlator remembers. So kill -9
// at any moment repeats events at most, and repeated events carry the same id
// (D-32). An event leaves the spool when the server has answered for it.
//
// What fails how. No server: the spool fills, and when it is full reading
// stops, as the log itself is the buffer. A refused key: said once, events
// kept. A damaged checkpoint: the one before it, or else the files written to
// since. A damaged record in the spool is skipped and counted. Each of these
// shows on the health page, with 503 once an operator must act.
//
// Memory is bounded: queue ids and their texts (the least recently heard of
// goes first, counted), held outcomes, line length, one batch in flight.
//
// It may import the root package and internal/mtalog, the standard library
// and fsnotify.
package agent
