package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
)

// MaxReportRaw bounds the raw form of a kept report, in bytes.
const MaxReportRaw = 1 << 20

// Reports keeps the mails that came back: delivery status notifications,
// complaints, automatic answers, and what nobody understood (D-35).
type Reports interface {
	// Reported finds the message that a report may be about, of whatever
	// account, and tells whether its delivery is known, evidence aside: all in
	// one read. ErrNotFound when there is no such message.
	Reported(ctx context.Context, id waypost.UUID) (m waypost.Message, delivered bool, err error)
	// SaveReport stores a report and the facts read from it in one
	// transaction, and tells for each fact what became of it. When the first
	// fact is evidence, the report's Status is stored as ReportEvidence. A
	// report whose Hash is known is not stored again; its facts carry keys of
	// their own. A report without an account belongs to the installation's
	// first one.
	SaveReport(ctx context.Context, r *Report, facts []Fact) ([]Recorded, error)
	// Report reads one report, Raw included. ErrNotFound when it is unknown or
	// another account's.
	Report(ctx context.Context, account int64, id waypost.UUID) (Report, error)
	// ListReports lists reports without Raw, newest first.
	ListReports(ctx context.Context, q ReportQuery) ([]Report, error)
	// Reclassify puts a person's verdict in the place of the report's. The
	// counted bounces of its message become evidence and leave the counters,
	// and the new event, when there is one, is counted on the day of the first
	// of them: counters stay equal to a recount of the events. ErrNotFound
	// when the report is unknown, another account's, or has no message.
	Reclassify(ctx context.Context, r Reclassification) error
	// PruneReports deletes up to limit reports received before a time, and
	// tells how many.
	PruneReports(ctx context.Context, before time.Time, limit int) (int, error)
}

// OnceBounce is the Fact.Once of terminal bounces: of them a message has one.
const OnceBounce = "bounce"

// Report is a mail that came to a return path, or to one of the addresses for
// complaints.
type Report struct {
	ID         waypost.UUID // of version 7: its time is Received
	Hash       [16]byte     // of envelope recipient and raw form: the same report has the same
	Received   time.Time
	Account    int64
	SubAccount int64        // 0 when no message was found
	Message    waypost.UUID // zero when none was found
	Provider   int64
	Envelope   string // the address that it came to
	Kind       string // a bounce.Kind in words
	Recipient  string // whom it is about, as it says; "" when it names nobody

	Verdict  string // one of the Verdict* words
	Reason   waypost.Reason
	Rule     string
	Code     int
	Enhanced string
	Text     string          // at most waypost.MaxText bytes
	Queue    waypost.QueueID // at the server that wrote the report, "" when it does not say

	Status         ReportStatus
	Note           string // why, in a sentence; "" when the status says it all
	Reclassified   string // a person's verdict, "" for none
	ReclassifiedAt time.Time
	Raw            []byte // at most MaxReportRaw bytes; compressed in storage
}

// The words of Report.Verdict and of a reclassification.
const (
	VerdictHard        = "hard"
	VerdictSoft        = "soft"
	VerdictNone        = "none"
	VerdictComplaint   = "complaint"
	VerdictUnsubscribe = "unsubscribe"
)

// ReportStatus says what a report led to.
type ReportStatus string

// The statuses.
const (
	ReportCounted  ReportStatus = "counted"  // an event, and a suppression where the event brings one
	ReportEvidence ReportStatus = "evidence" // an event of its kind was known, or it is about another address: kept in the timeline
	ReportHeld     ReportStatus = "held"     // an event; its suppression is held back by the breaker
	ReportIgnored  ReportStatus = "ignored"  // nothing that counts: automatic answer, delay, delivery, not understood
	ReportUnlinked ReportStatus = "unlinked" // no message of ours was found in it
)

// ReportQuery selects reports of an account. Zero fields select all.
type ReportQuery struct {
	Account    int64
	SubAccount int64
	Kind       string
	Status     ReportStatus
	Message    waypost.UUID
	Limit      int // 1 to 1000
	Offset     int
}

// Reclassification is a person's verdict on a report.
type Reclassification struct {
	Account int64
	Report  waypost.UUID
	Verdict string // VerdictHard, VerdictSoft or VerdictNone
	At      time.Time
	// Event is what counts from now on; its At is replaced by that of the
	// bounce it takes the place of, when there is one. nil: nothing counts,
	// and a later bounce will.
	Event *waypost.Event
	// Suppress is added unless nil; without it, a suppression for a hard
	// bounce that the same message led to is taken back.
	Suppress *waypost.Suppression
	Email    string // the address of that suppression, folded
}

// EncodeRaw compresses the raw form of a report.
func EncodeRaw(raw []byte) []byte { return encoder().EncodeAll(raw[:min(len(raw), MaxReportRaw)], nil) }

// DecodeRaw reads what EncodeRaw wrote.
func DecodeRaw(stored []byte) ([]byte, error) {
	raw, err := decoder().DecodeAll(stored, nil)
	if err != nil {
		return nil, fmt.Errorf("inflate report: %w", err)
	}
	if len(raw) > MaxReportRaw {
		return nil, errors.New("stored report is larger than any that is kept")
	}
	return raw, nil
}
