package smtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// Stage names the part of a session in which something happened, in the order in
// which a session passes through them.
type Stage string

// The stages of a session.
const (
	StageResolve  Stage = "resolve"  // name to address
	StageConnect  Stage = "connect"  // address check and TCP
	StageBanner   Stage = "banner"   // the server's greeting
	StageEHLO     Stage = "ehlo"     // EHLO, before and after TLS
	StageStartTLS Stage = "starttls" // the STARTTLS command
	StageTLS      Stage = "tls"      // the handshake
	StageAuth     Stage = "auth"     // AUTH and its challenges
	StageRset     Stage = "rset"     // RSET that closes an earlier transaction
	StageMail     Stage = "mail"     // MAIL FROM
	StageRcpt     Stage = "rcpt"     // RCPT TO
	StageData     Stage = "data"     // the DATA command
	StageBody     Stage = "body"     // after 354 until the final dot was written
	StageFinal    Stage = "final"    // final dot written, its reply not yet read
	StageQuit     Stage = "quit"     // QUIT
)

// Class is the coarse reason of a failure, as the connection test reports it (D-13).
type Class string

// The classes of D-13.
const (
	ClassConnectionRefused Class = "connection_refused"
	ClassDNSFailure        Class = "dns_failure"
	ClassTLSFailed         Class = "tls_handshake_failed"
	ClassAuthRejected      Class = "auth_rejected"
	ClassAuthUnsupported   Class = "auth_unsupported"
	ClassMailFailed        Class = "mail_from_failed"
	ClassRcptFailed        Class = "rcpt_to_failed"
	ClassDataFailed        Class = "data_failed"
	ClassTimeout           Class = "timeout"
	ClassProtocol          Class = "protocol_error"
)

// classOf is the class of a failure in a stage unless the failure itself says
// more (a timeout, an answer that is no SMTP).
var classOf = map[Stage]Class{
	StageResolve:  ClassDNSFailure,
	StageConnect:  ClassConnectionRefused,
	StageBanner:   ClassConnectionRefused,
	StageEHLO:     ClassProtocol,
	StageStartTLS: ClassTLSFailed,
	StageTLS:      ClassTLSFailed,
	StageAuth:     ClassAuthRejected,
	StageRset:     ClassProtocol,
	StageMail:     ClassMailFailed,
	StageRcpt:     ClassRcptFailed,
	StageData:     ClassDataFailed,
	StageBody:     ClassDataFailed,
	StageFinal:    ClassDataFailed,
	StageQuit:     ClassProtocol,
}

// sessionStages are those before MAIL.
var sessionStages = map[Stage]bool{
	StageResolve: true, StageConnect: true, StageBanner: true, StageEHLO: true,
	StageStartTLS: true, StageTLS: true, StageAuth: true,
}

// Reasons found here rather than by the server; use with errors.Is.
var (
	// ErrTooLarge: the message is over the limit the server announced (RFC 1870).
	ErrTooLarge = errors.New("message larger than the relay accepts")
	// ErrBadAddress: an envelope address cannot be written into a command.
	ErrBadAddress = errors.New("address not usable in SMTP")
	// ErrNeedsSMTPUTF8: the envelope needs SMTPUTF8 and the server lacks it (RFC 6531).
	ErrNeedsSMTPUTF8 = errors.New("relay does not offer SMTPUTF8")
	// ErrBareNewline: the body has a CR without LF or a LF without CR.
	ErrBareNewline = errors.New("BUG: body with a bare CR or LF")
	// ErrUnusable: the session ended earlier; dial a new one.
	ErrUnusable = errors.New("session is closed")
	// ErrUnsolicited: the server spoke without being asked.
	ErrUnsolicited = errors.New("server sent data nobody asked for")
	// ErrNoStartTLS: STARTTLS is required and the server does not offer it.
	ErrNoStartTLS = errors.New("server does not offer STARTTLS")
	// ErrPlainAuth: credentials would travel without TLS and AllowPlainAuth is off (D-15).
	ErrPlainAuth = errors.New("refusing to send credentials without TLS")
	// ErrPoolBusy: the context ended while all connections were in use.
	ErrPoolBusy = errors.New("waiting for a free connection")
	// ErrPoolClosed: the pool was closed.
	ErrPoolClosed = errors.New("pool is closed")
)

// Error is every failure of this package. Reply is nil when there was no answer
// (the connection died, or nothing was asked). Reply and Err both set: we refused
// by ourselves and Reply is what to record.
type Error struct {
	Reply     *Reply
	Stage     Stage
	Class     Class
	Permanent bool // 5yz, or repeating the same message to the same server cannot succeed
	Err       error
}

// Error is one line: the stage, then the reply or the cause.
func (e *Error) Error() string {
	switch {
	case e.Reply != nil:
		return fmt.Sprintf("%s: %s", e.Stage, e.Reply)
	case e.Err != nil:
		return string(e.Stage) + ": " + clean([]byte(e.Err.Error()))
	}
	return fmt.Sprintf("%s: %s", e.Stage, e.Class)
}

// Unwrap gives the cause: a network error, a context's cause, a sentinel of this package.
func (e *Error) Unwrap() error { return e.Err }

// Ambiguous reports whether the server may have taken the message although no
// reply says so: no valid answer came after the final dot (D-20).
func (e *Error) Ambiguous() bool {
	return e.Stage == StageFinal && (e.Reply == nil || e.Reply.Code < 400)
}

// Session reports whether it failed before MAIL, so that it speaks of the
// provider and not of the message (D-22). 530 to a later command does too: the
// server wants TLS (RFC 3207 section 4) or a login (RFC 4954 section 6) first. A
// cancelled context and the pool's own refusals speak of neither.
func (e *Error) Session() bool {
	if e.Reply != nil && e.Reply.Code == 530 {
		return true
	}
	for _, ours := range []error{context.Canceled, ErrPoolBusy, ErrPoolClosed} {
		if errors.Is(e.Err, ours) {
			return false
		}
	}
	return sessionStages[e.Stage]
}

// died makes the error of a step that got no valid answer.
func died(stage Stage, err error) *Error {
	return &Error{Stage: stage, Class: classify(stage, err), Err: err}
}

// refused makes the error of a negative or unexpected reply.
func refused(stage Stage, r Reply) *Error {
	e := &Error{Reply: &r, Stage: stage, Class: classOf[stage], Permanent: r.Code >= 500}
	if r.Positive() {
		e.Class = ClassProtocol // a yes where another kind of answer was due
	}
	return e
}

// local makes the permanent error of a refusal decided here.
func local(stage Stage, code int, enh Enhanced, text string, err error) *Error {
	return &Error{
		Reply: &Reply{Code: code, Enhanced: enh, Text: text},
		Stage: stage, Class: classOf[stage], Permanent: true, Err: err,
	}
}

func classify(stage Stage, err error) Class {
	var ne net.Error
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) ||
		(errors.As(err, &ne) && ne.Timeout()) {
		return ClassTimeout
	}
	var ge *garbageError
	if errors.As(err, &ge) || errors.Is(err, ErrUnsolicited) {
		return ClassProtocol
	}
	return classOf[stage]
}

// withCause replaces the secondary error of a connection we closed ourselves
// because the context ended.
func withCause(ctx context.Context, e *Error) *Error {
	if e == nil || e.Reply != nil || ctx.Err() == nil {
		return e
	}
	e.Err = cause(ctx)
	e.Class = classify(e.Stage, e.Err)
	return e
}

// cause is why ctx ended, always recognisable as a context's error.
func cause(ctx context.Context) error {
	why := context.Cause(ctx)
	if errors.Is(why, ctx.Err()) {
		return why
	}
	return fmt.Errorf("%w: %w", ctx.Err(), why)
}
