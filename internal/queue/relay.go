package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/store"
)

// relay drives one claimed message: refuse, or compose, send, decide, settle.
func (q *Queue) relay(ctx context.Context, r *relay, c *store.Claimable, suppressed *waypost.Suppression) {
	if suppressed != nil {
		r.breaker.release()
		q.settle(ctx, c, func(ctx context.Context) error {
			return q.cfg.Door.Drop(ctx, c, waypost.DropSuppressed, suppressedText(suppressed), time.Now())
		})
		return
	}
	if r.provider.ID == waypost.SimulatorProvider {
		q.simulate(ctx, r, c)
		return
	}
	started := time.Now()
	var trace smtp.Transaction
	reply, err := q.send(ctx, r, c, &trace)
	now := time.Now()

	if unready, ok := errors.AsType[*notReady](err); ok {
		q.unready(ctx, r, c, unready, now)
		return
	}
	var failure *smtp.Error
	unseen := errors.As(err, &failure) && failure.Session() // the provider saw nothing of the message
	q.noteSession(ctx, r, failure, now)

	a := attemptOf(c, reply, err, now, now.Sub(started))
	if q.cfg.Observe != nil {
		q.cfg.Observe(a.Provider, a.Result, a.Took)
	}
	o := waypost.Decide(a, q.schedule(r), r.provider.RetryPermanent, errors.Is(err, smtp.ErrTooLarge), q.cfg.UnknownWindow, rand.Float64())
	settled := ingest.Settled{Attempt: a, Outcome: o, Unseen: unseen, Transcript: transcriptOf(&trace, a.N, a.Took)}
	lane := c.Entry.Lane
	// Another provider may take it at once when this one surely does not have
	// it: no session, or the connection died before the last byte.
	if surely := unseen || failure != nil && failure.Reply == nil && !failure.Ambiguous(); surely && !o.Retry.IsZero() {
		if id := q.elsewhere(ctx, &c.Message, false, now); id != 0 {
			settled.Provider, settled.Outcome.Retry, lane.Provider = id, now, id
		}
	}
	q.settle(ctx, c, func(ctx context.Context) error { return q.cfg.Door.Settle(ctx, c, settled) })
	if at := settled.Outcome.Retry; !at.IsZero() {
		q.lanes.note(lane, at)
	}
}

// noteSession tells the breaker whether a session with the provider came
// about; nil is a message sent.
func (q *Queue) noteSession(ctx context.Context, r *relay, failure *smtp.Error, now time.Time) {
	if failure != nil && (errors.Is(failure, context.Canceled) || errors.Is(failure, smtp.ErrPoolClosed) || errors.Is(failure, smtp.ErrPoolBusy)) {
		r.breaker.release() // our doing, not the provider's
		return
	}
	kind := r.breaker.note(failure != nil && failure.Session(), now)
	switch kind {
	case waypost.BreakerOpened:
		_, _, until := r.breaker.state(now)
		q.noteProvider(ctx, r, kind, fmt.Sprintf("no session came about, at last because of: %s. Its mail waits, or goes to other members of its pools; the next try is at %s.", failure, until.UTC().Format(time.RFC3339)), now)
	case waypost.BreakerClosed:
		q.noteProvider(ctx, r, kind, "a session came about again", now)
	case waypost.BreakerHalfOpen:
	}
}

// notReady is a message that could not be handed to SMTP for a cause of ours:
// dropped when nothing can mend it, else tried again after wait.
type notReady struct {
	drop waypost.Reason
	wait time.Duration
	err  error
}

func (n *notReady) Error() string { return n.err.Error() }
func (n *notReady) Unwrap() error { return n.err }

// unready settles a message that could not be handed on.
func (q *Queue) unready(ctx context.Context, r *relay, c *store.Claimable, unready *notReady, now time.Time) {
	r.breaker.release()
	if unready.drop != "" {
		q.settle(ctx, c, func(ctx context.Context) error { return q.cfg.Door.Drop(ctx, c, unready.drop, unready.Error(), now) })
		return
	}
	if ctx.Err() == nil {
		q.cfg.Log.WarnContext(ctx, "message cannot be prepared now; it waits", "message", c.Message.ID.String(), "error", unready)
	}
	q.settle(ctx, c, func(ctx context.Context) error { return q.cfg.Door.Postpone(ctx, c, now.Add(unready.wait)) })
}

// send composes the message and hands it to the provider, which trace records.
// The error is a *notReady or an *smtp.Error.
func (q *Queue) send(ctx context.Context, r *relay, c *store.Claimable, trace *smtp.Transaction) (smtp.Reply, error) {
	if r.fault != nil {
		return smtp.Reply{}, &notReady{wait: time.Minute, err: r.fault}
	}
	in, err := q.ingredients(ctx, &c.Message)
	if err != nil {
		return smtp.Reply{}, err
	}
	defer in.free()
	signed, err := guarded(func() (compose.Signed, error) { return in.prepared.Message(&c.Message, in.options) })
	if err != nil {
		return smtp.Reply{}, unmade(err)
	}
	in.room.keep(signed.Own())
	envelope := signed.Envelope()
	return r.pool.Send(ctx, smtp.Envelope{
		From: envelope.ReturnPath.String(), To: envelope.Recipient, SMTPUTF8: signed.EightBit(),
		ENVID: c.Message.ID.String(), ORCPT: envelope.Recipient, // D-44
		Trace: trace,
	}, signed.Pieces()...)
}

// ingredients are what a message is composed from, and the room to do it in.
type ingredients struct {
	prepared *compose.Prepared
	options  compose.Options
	room     *room
	done     func()
}

func (in *ingredients) free() {
	in.room.free()
	in.done()
}

// ingredients gathers those of a message, to be freed by the caller. The error
// is a *notReady.
func (q *Queue) ingredients(ctx context.Context, m *waypost.Message) (*ingredients, error) {
	soon := func(err error) error { return &notReady{wait: 5 * time.Second, err: err} }
	domain, err := q.domains.get(ctx, m.Domain)
	if errors.Is(err, store.ErrNotFound) {
		return nil, &notReady{drop: waypost.DropNoReturnPath, err: errors.New(waypost.TextNoReturnPath)} //nolint:staticcheck // the documented text
	} else if err != nil {
		return nil, soon(err)
	}
	if null, err := q.nullMX(ctx, m); err != nil {
		return nil, soon(err)
	} else if null {
		return nil, &notReady{drop: waypost.DropNullMX, err: errors.New(nullMXText(m.Recipient))}
	}
	in := &ingredients{options: compose.Options{
		HeaderPrefix: q.cfg.HeaderPrefix, Signers: domain.signers, Separator: q.cfg.Separator, SenderDomain: domain.name, Track: q.cfg.Track.site(domain.track), Now: time.Now(),
	}}
	if in.prepared, in.done, err = q.contents.get(ctx, m.Content); err != nil {
		return nil, soon(err)
	}
	if in.room, err = q.composing.take(ctx, in.prepared); err != nil {
		in.done()
		return nil, soon(err)
	}
	return in, nil
}

// errDefect is the cause when composing panicked.
var errDefect = errors.New("BUG: composing it panicked")

// guarded composes a message. A panic is an error of this one message: it would
// end the process with all mail in flight, and again after each start, when the
// message is the first that is due.
func guarded[T any](compose func() (T, error)) (made T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v\n%s", errDefect, v, debug.Stack())
		}
	}()
	return compose()
}

// unmade says what becomes of a message that cannot be composed.
func unmade(err error) *notReady {
	if errors.Is(err, errDefect) {
		return &notReady{wait: time.Hour, err: err}
	}
	return &notReady{drop: waypost.DropUnrenderable, err: fmt.Errorf("render: %w", err)}
}

func (q *Queue) schedule(r *relay) waypost.RetrySchedule {
	if len(r.provider.Retry) > 0 {
		return r.provider.Retry
	}
	return q.cfg.Retry
}

// attemptOf puts what SMTP said into the words of the house.
func attemptOf(c *store.Claimable, reply smtp.Reply, err error, now time.Time, took time.Duration) waypost.Attempt {
	a := waypost.Attempt{
		Message: c.Message.ID, N: c.Entry.Attempt + 1, Provider: c.Entry.Lane.Provider,
		At: now, Took: took, Result: waypost.AttemptSent,
		Code: reply.Code, Enhanced: string(reply.Enhanced), Text: reply.String(),
	}
	if err == nil {
		return a
	}
	a.Result, a.Text, a.Stage = waypost.AttemptTransient, err.Error(), string(smtp.StageConnect)
	var e *smtp.Error
	if !errors.As(err, &e) {
		return a
	}
	a.Stage = string(e.Stage)
	switch {
	case e.Ambiguous():
		a.Result = waypost.AttemptUnknown
	case e.Permanent && !e.Session(): // before MAIL it speaks of the provider, not of the message (D-22)
		a.Result = waypost.AttemptPermanent
	}
	if e.Reply != nil {
		a.Code, a.Enhanced, a.Text = e.Reply.Code, string(e.Reply.Enhanced), e.Reply.String()
	}
	return a
}

// settle stores an outcome. While storage is unavailable it tries again: a
// message whose outcome is lost would be relayed twice. The lease is renewed
// meanwhile; after the grace period the outcome is given up. An outcome that
// may have been stored is stored again: the lease tells.
func (q *Queue) settle(ctx context.Context, c *store.Claimable, write func(context.Context) error) {
	pause := 100 * time.Millisecond
	for {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		err := write(limit)
		cancel()
		switch {
		case err == nil:
			return
		case errors.Is(err, store.ErrLost):
			q.cfg.Log.WarnContext(ctx, "the message was no longer held when its outcome came: its lease ran out, or the agent reported it meanwhile", "message", c.Message.ID.String())
			return
		case !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrUnknown) && !errors.Is(err, context.DeadlineExceeded):
			q.cfg.Log.ErrorContext(ctx, "cannot store the outcome of a message; it is tried again when its lease ends", "message", c.Message.ID.String(), "error", err)
			return
		}
		q.outage.begin(time.Now())
		q.cfg.Log.ErrorContext(ctx, "storage unavailable; holding the outcome of a message", "message", c.Message.ID.String(), "error", err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			pause = min(2*pause, time.Second)
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func suppressedText(s *waypost.Suppression) string {
	return fmt.Sprintf("Recipient is on the suppression list: %s on %s", s.Reason, s.Created.UTC().Format(time.DateOnly))
}
