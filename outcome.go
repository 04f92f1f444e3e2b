package waypost

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// RetrySchedule holds the pause before each retry of a relay: before the
// second attempt, the third, and so on. With n pauses a message has n+1
// attempts.
type RetrySchedule []time.Duration

// DefaultRetrySchedule is the documented one: five retries, linearly spaced
// (D-19).
var DefaultRetrySchedule = RetrySchedule{time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 5 * time.Hour}

// ParseRetrySchedule reads pauses such as 1h,2h,3h,4h,5h: one to twenty,
// each from a millisecond to seven days.
func ParseRetrySchedule(s string) (RetrySchedule, error) {
	var out RetrySchedule
	for part := range strings.SplitSeq(s, ",") {
		d, err := time.ParseDuration(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("retry schedule %q: %q is no duration such as 90s or 1h", s, part)
		}
		if d < time.Millisecond || d > 7*24*time.Hour {
			return nil, fmt.Errorf("retry schedule %q: %s is outside 1ms to 168h", s, d)
		}
		out = append(out, d)
	}
	if len(out) > 20 {
		return nil, errors.New("retry schedule: more than 20 retries")
	}
	return out, nil
}

// String gives the form that [ParseRetrySchedule] reads.
func (s RetrySchedule) String() string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = d.String()
	}
	return strings.Join(parts, ",")
}

// Next gives the pause after the attempt of that number, counted from 1, with
// up to 10 % jitter on top; jitter is a number in [0,1). It answers false when
// no attempt is left.
func (s RetrySchedule) Next(attempt int, jitter float64) (time.Duration, bool) {
	if attempt < 1 || attempt > len(s) {
		return 0, false
	}
	pause := s[attempt-1]
	return pause + time.Duration(float64(pause)*0.1*jitter), true
}

// AttemptResult is how one relay attempt ended.
type AttemptResult int16

// The results. The numbers are stored.
const (
	AttemptSent      AttemptResult = 1 // 2yz after the final dot
	AttemptTransient AttemptResult = 2 // 4yz, or the connection failed before the message could be there
	AttemptPermanent AttemptResult = 3 // 5yz
	AttemptUnknown   AttemptResult = 4 // the connection died after the final dot, before the reply (D-20)
)

// String names the result.
func (r AttemptResult) String() string {
	switch r {
	case AttemptSent:
		return "sent"
	case AttemptTransient:
		return "transient"
	case AttemptPermanent:
		return "permanent"
	case AttemptUnknown:
		return "unknown"
	}
	return "invalid"
}

// Attempt is the record of one relay attempt that did not end in CSSent.
type Attempt struct {
	Message  UUID
	N        int // 1 is the first
	Provider int64
	At       time.Time // its end
	Took     time.Duration
	Result   AttemptResult
	Stage    string // where in the SMTP conversation it failed
	Code     int
	Enhanced string
	Text     string // the reply or the error, at most MaxText bytes
}

// Outcome is what becomes of a message after an attempt: exactly one of sent,
// retried at a time, or dropped with a reason.
type Outcome struct {
	Sent  bool
	Retry time.Time // zero: no retry
	Drop  Reason    // set when neither sent nor retried
}

// Decide turns an attempt into its outcome (D-19, D-20): a pure function of
// the attempt, the provider's rule on 5yz replies, the schedule and the time.
// tooLarge marks a message beyond the provider's SIZE, which no retry mends.
// An unknown attempt waits unknownWindow for the agent's evidence first.
func Decide(a Attempt, s RetrySchedule, retryPermanent, tooLarge bool, unknownWindow time.Duration, jitter float64) Outcome {
	if a.Result == AttemptSent {
		return Outcome{Sent: true}
	}
	if tooLarge {
		return Outcome{Drop: DropTooLarge}
	}
	if a.Result == AttemptPermanent && !retryPermanent {
		return Outcome{Drop: DropRelayRefused}
	}
	pause, ok := s.Next(a.N, jitter)
	if !ok {
		return Outcome{Drop: DropRelayFailed}
	}
	if a.Result == AttemptUnknown {
		pause = max(pause, unknownWindow)
	}
	return Outcome{Retry: a.At.Add(pause)}
}
