package waypost

import "time"

// Report is the body that an agent posts to /api/v1/tpsp/custom-smtp/events
// (D-31): at most MaxReportItems items and MaxReportBytes after inflation. A
// report without items is a heartbeat. A bare array of items is accepted too.
type Report struct {
	Agent ReportAgent  `json:"agent"`
	Items []ReportItem `json:"events"`
}

// The bounds of a report.
const (
	MaxReportItems = 1000
	MaxReportBytes = 1 << 20
)

// ReportAgent says who reports. All of it is optional.
type ReportAgent struct {
	ID       string `json:"id,omitempty"`
	Version  string `json:"version,omitempty"`
	Hostname string `json:"hostname,omitempty"`
	MTA      string `json:"mta,omitempty"`
	AgentState
}

// AgentState is how far an agent is, by its own word. All of it is optional.
type AgentState struct {
	Status   string    `json:"status,omitempty"`  // ok, degraded or failing
	Reasons  []string  `json:"reasons,omitempty"` // of a status other than ok, at most MaxAgentReasons
	Log      string    `json:"log,omitempty"`     // the file that it reads, or the journal
	Position int64     `json:"position,omitempty"`
	LagBytes int64     `json:"lagBytes,omitempty"`  // of the log, not read yet
	LastLine Timestamp `json:"lastLineAt,omitzero"` // stamp of the last line understood
	Buffered int64     `json:"buffered,omitempty"`  // events on its disk that the server does not have
	// Unmatched counts outcomes in the log whose message is unknown, since the
	// agent's start; Sample has queue ids of the latest, at most MaxAgentSample.
	Unmatched int64    `json:"unknownQueueIds,omitempty"`
	Sample    []string `json:"unknownSample,omitempty"`
}

// The bounds of what an agent's state names one by one.
const (
	MaxAgentReasons = 5
	MaxAgentSample  = 5
)

// ReportItem is one delivery fact read off a mail server's log. MessageID and
// EventType are required; the type is a hint, the text decides (D-33).
type ReportItem struct {
	EventID         string    `json:"event_id,omitempty"` // makes ingestion idempotent, at most 64 bytes
	MessageID       string    `json:"message_id"`         // our UUID
	EventType       string    `json:"event_type"`         // one of the Report* words
	Recipient       string    `json:"recipient,omitempty"`
	Timestamp       Timestamp `json:"timestamp,omitzero"`
	SMTPCode        int       `json:"smtp_code,omitempty"`
	EnhancedCode    string    `json:"enhanced_code,omitempty"`
	SMTPDescription string    `json:"smtp_description,omitempty"`
	QueueID         QueueID   `json:"queue_id,omitempty"`
	Relay           string    `json:"relay,omitempty"`
}

// The words of ReportItem.EventType (sendpost.md, b.3).
const (
	ReportDelivered   = "delivered"
	ReportBounced     = "bounced"
	ReportDeferred    = "deferred"
	ReportSoftBounced = "soft_bounced"
)

// ReportReply answers a report, one result an item, in their order.
type ReportReply struct {
	Accepted int            `json:"accepted"`
	Rejected int            `json:"rejected"`
	Results  []ReportResult `json:"results"`
}

// ReportResult says what became of one item.
type ReportResult struct {
	Index  int          `json:"index"`
	Status ReportStatus `json:"status"`
	Error  string       `json:"error,omitempty"`
}

// ReportStatus is the word for what became of an item.
type ReportStatus string

// The statuses. Only a rejected item was refused; it must not be sent again.
const (
	ReportAccepted  ReportStatus = "accepted"
	ReportIgnored   ReportStatus = "ignored"   // a deferral: noted on the message, not an event
	ReportDuplicate ReportStatus = "duplicate" // known already
	ReportRejected  ReportStatus = "rejected"
)

// Timestamp is a time in a report: RFC 3339 text on the way out; on the way
// in also a number of seconds, milliseconds, microseconds or nanoseconds since
// 1970, told apart by size.
type Timestamp struct{ time.Time }
