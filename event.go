package waypost

import "time"

// EventType is the public number of a kind of event (sendpost.md, c.1). The
// numbers are stable: customers' programs store them.
type EventType int16

// The event types of Custom SMTP providers.
const (
	CSProcessed   EventType = 58 // accepted and queued for relay
	CSSent        EventType = 59 // the customer's mail server answered 2yz
	CSDelivered   EventType = 60 // the recipient's server took it, says the agent
	CSDeferred    EventType = 61 // accepted from the agent, never stored as an event
	CSDropped     EventType = 62 // given up, or refused before relaying
	CSHardBounced EventType = 63 // the mailbox or domain is no more
	CSSoftBounced EventType = 64 // undelivered for any other cause
	CSOpen        EventType = 65
	CSClick       EventType = 66
	CSSpamReport  EventType = 67
	CSUnsubscribe EventType = 68
)

// eventTypes is the one table of event types.
var eventTypes = map[EventType]struct {
	name  string
	stat  Stat
	final bool
}{
	CSProcessed:   {"CSProcessed", StatProcessed, false},
	CSSent:        {"CSSent", StatSent, false},
	CSDelivered:   {"CSDelivered", StatDelivered, true},
	CSDeferred:    {"CSDeferred", StatNone, false},
	CSDropped:     {"CSDropped", StatSMTPDropped, true},
	CSHardBounced: {"CSHardBounced", StatHardBounced, true},
	CSSoftBounced: {"CSSoftBounced", StatSoftBounced, true},
	CSOpen:        {"CSOpen", StatOpened, false},
	CSClick:       {"CSClick", StatClicked, false},
	CSSpamReport:  {"CSSpamReport", StatSpam, false},
	CSUnsubscribe: {"CSUnsubscribe", StatUnsubscribed, false},
}

// EventTypes lists every type in the order of its number.
func EventTypes() []EventType {
	var all []EventType
	for t := CSProcessed; t <= CSUnsubscribe; t++ {
		all = append(all, t)
	}
	return all
}

// String gives the public name, such as CSHardBounced; empty when unknown.
func (t EventType) String() string { return eventTypes[t].name }

// Final tells whether the type says what became of the delivery in the end.
func (t EventType) Final() bool { return eventTypes[t].final }

// Bounce tells whether the type is one of the two terminal bounces, of which
// a message and recipient has one, whoever reports first (D-32).
func (t EventType) Bounce() bool { return t == CSHardBounced || t == CSSoftBounced }

// ParseEventType finds a type by its public name.
func ParseEventType(name string) (EventType, bool) {
	for t, row := range eventTypes {
		if row.name == name {
			return t, true
		}
	}
	return 0, false
}

// Stat is a counter of the statistics (sendpost.md, g). The numbers are stored.
type Stat int16

// The counters, with the meaning that D-36 gives them.
const (
	StatNone Stat = iota
	StatProcessed
	StatSent
	StatDelivered
	StatDropped     // CSDropped before relaying: suppression, validation, return path
	StatSMTPDropped // CSDropped by the relay
	StatHardBounced
	StatSoftBounced
	StatOpened
	StatClicked
	StatUnsubscribed
	StatSpam
	StatUniqueOpened  // first opens by a person, of CSOpen
	StatUniqueClicked // first clicks by a person, of CSClick
)

// Source says whose word an event is.
type Source string

// The sources of events.
const (
	SourceAPI    Source = "api"    // our own accept step
	SourceRelay  Source = "relay"  // the SMTP conversation with the provider
	SourceAgent  Source = "agent"  // the agent beside the customer's mail server
	SourceBounce Source = "bounce" // a DSN at the bounce processor
	SourceTrack  Source = "track"  // an open, a click, an unsubscription

	SourceSimulator Source = "simulator" // a simulated recipient (D-40): no mail left
)

// Event is one fact about one message at one time. Events are never changed.
type Event struct {
	ID         int64 // assigned by the store: ascending in the order of commit, milliseconds since 2020 above 22 bits
	Type       EventType
	Account    int64
	SubAccount int64
	Provider   int64 // 0 when no provider was chosen
	Message    UUID
	Recipient  string
	At         time.Time // when it happened, to the millisecond; not when it was stored
	Source     Source

	Code     int    // SMTP reply code, 0 without one
	Enhanced string // enhanced status code of RFC 3463, "" without one
	Text     string // the reply or the documented reason, at most MaxText bytes
	Reason   Reason // machine-readable cause
	Rule     string // id of the rule that judged hard or soft, "" when none did

	Attempt  int     // relay attempts made so far, for CSSent and CSDropped
	Queue    QueueID // the mail server's queue id, when known
	Relay    string  // host that answered, when known
	Late     bool    // a bounce that came after a delivery (D-32)
	Evidence bool    // a second report of a bounce already counted (D-32): listed in the timeline, not an event

	Visit  *Visit // of CSOpen, CSClick and CSUnsubscribe, nil otherwise
	Facets Facets // given when the event is stored; not read back
}

// Visit is what a request to a tracking URL said (D-27). It is stored as JSON.
type Visit struct {
	URL       string `json:",omitempty"` // the link that was followed, byte for byte
	Link      int    `json:",omitempty"` // its place in the message, from 1
	IP        string `json:",omitempty"` // "" when the installation does not keep it
	UserAgent string `json:",omitempty"` // at most MaxUserAgent bytes
	Machine   string `json:",omitempty"` // the rule that says no person did this, "" for a person
	First     bool   `json:",omitempty"` // a person's first open, or first click, of the message: the unique one
}

// MaxUserAgent bounds Visit.UserAgent, in bytes.
const MaxUserAgent = 500

// MaxText bounds the text of an event, in bytes.
const MaxText = 2000

// Stat is the counter that the event adds one to; StatNone for evidence.
func (e *Event) Stat() Stat {
	if e.Evidence {
		return StatNone
	}
	if e.Type == CSDropped && e.Reason.BeforeRelay() {
		return StatDropped
	}
	return eventTypes[e.Type].stat
}

// Stats are the counters that the event adds one to each: Stat, and the unique
// one of a first open or click.
func (e *Event) Stats() []Stat {
	s := e.Stat()
	switch {
	case s == StatNone:
		return nil
	case e.Visit != nil && e.Visit.First && e.Type == CSOpen:
		return []Stat{s, StatUniqueOpened}
	case e.Visit != nil && e.Visit.First && e.Type == CSClick:
		return []Stat{s, StatUniqueClicked}
	}
	return []Stat{s}
}

// Reason is a machine-readable cause: of a drop here, of a bounce in
// [Verdict].
type Reason string

// The reasons of CSDropped.
const (
	DropNoReturnPath  Reason = "no_return_path"    // TextNoReturnPath
	DropSuppressed    Reason = "suppressed"        // the recipient is on the sub-account's suppression list
	DropInvalid       Reason = "invalid_recipient" // the address cannot be mailed
	DropRelayFailed   Reason = "relay_failed"      // every attempt failed
	DropRelayRefused  Reason = "relay_refused"     // 5yz, and the provider does not retry those
	DropTooLarge      Reason = "message_too_large" // larger than the provider's SIZE
	DropUnrenderable  Reason = "unrenderable"      // the content cannot be made into a message
	DropProviderGone  Reason = "provider_deleted"
	DropCancelled     Reason = "cancelled"
	DropDuplicate     Reason = "duplicate_recipient" // named twice in one call; the first got it
	DropRole          Reason = "role_address"        // postmaster@ and the like, by the sub-account's choice
	DropNullMX        Reason = "null_mx"             // its domain says that it takes no mail (RFC 7505)
	ReasonUnspecified Reason = ""
)

// TextNoReturnPath is the documented text of a drop for want of a verified
// return path; customers' programs compare it (sendpost.md, c.2).
const TextNoReturnPath = "No verified return path domain configured for sender domain"

// beforeRelay are the reasons of a drop before any attempt to relay.
var beforeRelay = map[Reason]bool{
	DropNoReturnPath: true, DropSuppressed: true, DropInvalid: true, DropUnrenderable: true,
	DropDuplicate: true, DropRole: true, DropNullMX: true,
}

// BeforeRelay tells whether a drop happened before any attempt to relay (D-36).
func (r Reason) BeforeRelay() bool { return beforeRelay[r] }

// Verdict is the judgement of a reply or report: hard (the mailbox or domain
// is no more) or soft, why, and by which rule (D-33).
type Verdict struct {
	Hard   bool
	Reason Reason
	Rule   string
}

// Type is the event type of the verdict.
func (v Verdict) Type() EventType {
	if v.Hard {
		return CSHardBounced
	}
	return CSSoftBounced
}
