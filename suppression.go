package waypost

import "time"

// Suppression is an address that a sub-account must not mail.
type Suppression struct {
	ID         int64
	Account    int64
	SubAccount int64
	Email      string // folded by FoldEmail
	Reason     SuppressionReason
	Text       string // the reply behind a bounce, "" otherwise
	Message    UUID   // the message that led to it, zero when a person did
	Created    time.Time
	Expires    time.Time // zero: never
}

// SuppressionReason says why an address is suppressed; the public numbers
// (sendpost.md, h).
type SuppressionReason int16

// The reasons.
const (
	SuppressManual      SuppressionReason = 0
	SuppressUnsubscribe SuppressionReason = 1
	SuppressHardBounce  SuppressionReason = 2
	SuppressComplaint   SuppressionReason = 3
	SuppressValidation  SuppressionReason = 4 // hard bounce found after sending (v1 contract only)
)

// String names the reason in words.
func (r SuppressionReason) String() string {
	switch r {
	case SuppressManual:
		return "added by hand"
	case SuppressUnsubscribe:
		return "unsubscribed"
	case SuppressHardBounce:
		return "hard bounce"
	case SuppressComplaint:
		return "spam complaint"
	case SuppressValidation:
		return "hard bounce found after sending"
	}
	return "unknown"
}
