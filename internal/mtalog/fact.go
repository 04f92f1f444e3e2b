package mtalog

import (
	"strings"
	"time"
)

// QueueID is the MTA's own name of a message in its queue: unique on one host, and only while the
// message lives there. It is neither the message UUID nor the Message-ID.
type QueueID string

// Clone gives the ID in memory of its own, for a table that keeps it.
func (id QueueID) Clone() QueueID {
	return QueueID(strings.Clone(string(id)))
}

// MaxQueueID is the longest queue ID in letters that is taken for one. Postfix's long IDs have at
// most 23, Exim's 23, OpenSMTPD's 16.
const MaxQueueID = 30

// Kind says what a line told.
type Kind uint8

// The kinds of fact.
const (
	None         Kind = iota
	Sender            // the queue manager took the message up: Sender, Size, NRcpt
	Header            // a header line logged by header_checks or a milter: Header, HeaderValue
	MessageID         // the Message-ID: field of the message: MessageID
	Outcome           // one delivery attempt for one recipient: Recipient, Status and the rest
	Expired           // too long in the queue, went back; Recipient when the MTA names it, else all still deferred
	Removed           // the queue manager is done with the message
	Deleted           // an administrator deleted the message (postsuper -d): no outcome follows
	Requeued          // an administrator queued it again (postsuper -r): it goes on under a new ID
	Notification      // a non-delivery report was made for the sender: Next is the report's queue ID
	Fresh             // a message enters under this ID: what was known about the ID is void
	Reject            // refused or discarded at entry; Queue is empty when it had no ID yet
)

var kindNames = [...]string{
	"none", "sender", "header", "message-id", "outcome", "expired", "removed",
	"deleted", "requeued", "notification", "fresh", "reject",
}

// String gives the kind's name for people and goldens.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Status is the outcome of one attempt, in the words all MTAs share.
type Status uint8

// The outcomes.
const (
	NoStatus Status = iota
	Sent            // handed on; whether that was a delivery or a hop is not the parser's to say
	Bounced         // failed for good
	Deferred        // failed for now
	Other           // a word of the MTA's own, as in address verification: see StatusWord
)

var statusNames = [...]string{"", "sent", "bounced", "deferred", "other"}

// String gives the status's name for people and goldens.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "unknown"
}

// Fact is what one line says. Parse overwrites all that it ever set when it answers true and leaves
// the fact undefined otherwise; so a fact belongs to one Parser, and nobody else writes to it. Its strings share the memory of the line they were read from and are good
// until that memory is written to: what is kept beyond must be cloned, with QueueID.Clone,
// strings.Clone or as a whole with [Fact.Clone]. Tag and Instance have memory of their own.
type Fact struct {
	Kind     Kind
	Time     time.Time // in UTC; whole seconds where the log has no fraction
	Host     string    // as logged; empty from ParseMessage
	Tag      string    // whole: "postfix/relay/smtp"
	Instance string    // first element of the tag: "postfix", "postfix-far"
	Process  string    // last element of the tag: "smtp"; empty when the log form lost it (RFC 5424)

	Queue QueueID
	Next  QueueID // Outcome: the ID in "queued as"; Notification: the report's ID
	Prev  QueueID // Fresh: the ID it had before, when the line names it
	Last  bool    // Outcome, Expired: no line about Queue follows, as the ID is one recipient's alone

	Sender      string // Sender, Fresh, Reject, Expired, and Outcome of OpenSMTPD: the envelope sender without <>; "" is the null sender
	Size        int64  // Sender: bytes
	NRcpt       int    // Sender: recipients still to do
	MessageID   string // without <>
	Header      string // name as logged
	HeaderValue string // first word of the value

	Recipient string // without <>; after aliases
	OrigTo    string // before aliases, when it differs
	Relay     string // as logged: "mx.example[192.0.2.1]:25", "none", "virtual"
	RelayHost string // parts of Relay when it has that form
	RelayIP   string
	RelayPort int

	Status      Status
	StatusWord  string // as logged: "sent", "expired", "deliverable"
	Enhanced    string // RFC 3463 code: dsn= where the MTA logs it, else from the reply
	Code        int    // SMTP reply code at the start of Reply; 0 when there is none
	Description string // the whole explanation, outermost parentheses removed
	Reply       string // the server's own words inside Description; "" when no server spoke
	Plain       bool   // Outcome: its strings are ASCII without quotes and backslashes, which JSON takes as they are; false says nothing
}

// Clone gives the fact in memory of its own.
func (f *Fact) Clone() Fact {
	g := *f
	g.Queue, g.Next, g.Prev = f.Queue.Clone(), f.Next.Clone(), f.Prev.Clone()
	for _, s := range []*string{
		&g.Sender, &g.MessageID, &g.Header, &g.HeaderValue, &g.Recipient, &g.OrigTo, &g.Relay, &g.RelayHost,
		&g.RelayIP, &g.StatusWord, &g.Enhanced, &g.Description, &g.Reply, &g.Process,
	} {
		*s = strings.Clone(*s)
	}
	return g
}
