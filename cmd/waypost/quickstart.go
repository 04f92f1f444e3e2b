package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/waypost-mail/waypost/internal/simulator"
)

// quickstartCmd shows the whole way of a message on one machine: the server, a
// mail server behind it, the agent that reads the mail server's log, and a
// first mail for each outcome. Everything is in a temporary directory and on
// free ports of loopback; no mail leaves the machine.
type quickstartCmd struct {
	Once    bool `help:"End when the outcomes are in; exit code 0 only if every one is as it should be."`
	Postfix bool `help:"Use a private instance of the installed Postfix as the mail server; needs root."`
	Keep    bool `help:"Keep the temporary directory with database and logs."`
}

// The names of the show. They are reserved for examples (RFC 6761).
const (
	quickSender     = "quickstart.example"
	quickRecipients = "mailbox.example"
	quickProvider   = "quickstart-relay"
	quickFrom       = "hello@" + quickSender
)

// errNotAsExpected ends a run whose outcomes are not all as they should be;
// the summary has said which.
var errNotAsExpected = errors.New("not every outcome is as it should be; the summary above says what is missing, the logs say why (--keep keeps them)")

// deadline is how long the outcomes may take. Postfix looks at its queue in
// intervals, and the agent waits a few seconds to tell a hop from a delivery.
func (q *quickstartCmd) deadline() time.Duration {
	if q.Postfix {
		return 2 * time.Minute
	}
	return time.Minute
}

// Run starts everything, shows the outcomes, and undoes everything in reverse.
func (q *quickstartCmd) Run(e *env) error {
	if q.Postfix {
		if err := simulator.CheckPostfix(); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "waypost-quickstart-")
	if err != nil {
		return fmt.Errorf("make a temporary directory: %w; set TMPDIR to a directory that can be written", err)
	}
	ctx, fail := context.WithCancelCause(e.ctx)
	defer fail(nil)
	h := &quickHouse{dir: dir, postfix: q.Postfix, parts: parts{fail: fail}}
	v := newQuickView(e.stdout)
	err = q.show(ctx, h, v)
	switch cause := context.Cause(ctx); {
	case e.ctx.Err() != nil && err != nil:
		err = errors.New("interrupted before the outcomes were in")
	case cause != nil && e.ctx.Err() == nil:
		err = cause // a part failed: what came of it is of no interest
	}
	err = errors.Join(err, h.parts.stop())
	if q.Keep {
		v.line("\nKept: %s", dir)
		return err
	}
	if removing := os.RemoveAll(dir); removing != nil {
		err = errors.Join(err, fmt.Errorf("remove the temporary directory: %w", removing))
	}
	return err
}

func (q *quickstartCmd) show(ctx context.Context, h *quickHouse, v *quickView) error {
	fate := "removed at the end; --keep keeps it"
	if q.Keep {
		fate = "kept"
	}
	v.line("Waypost quickstart: an installation on loopback; no mail leaves this machine.\n")
	v.part("directory", "%s (%s)", h.dir, fate)
	if err := h.start(ctx, v); err != nil {
		return err
	}
	v.line(`
One mail for each outcome, from %s to NAME@%s.
CSProcessed: accepted by the API. CSSent: taken by the mail server. CSDelivered, CSHardBounced,
CSSoftBounced: what the recipient's server said, as the agent reads it in the mail server's log.
CSOpen, CSClick, CSUnsubscribe: what a reader did.
`, quickFrom, quickRecipients)
	s := &quickShow{house: h, view: v, started: time.Now()}
	if err := s.sendAll(ctx); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, q.deadline())
	defer cancel()
	s.watch(limit, true)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	good := s.summary(q.deadline())
	if q.Once {
		if !good {
			return errNotAsExpected
		}
		return nil
	}
	h.nextSteps(v)
	s.watch(ctx, false) // mail sent by hand is shown too
	v.line("\nStopping.")
	return nil
}

func (h *quickHouse) nextSteps(v *quickView) {
	v.line(`
dashboard             %[1]s   (makes your login at the first visit, for the password on the next line)
dashboard password    %[6]s
API                   %[1]s/api/v1   (described at %[1]s/docs/api)
account API key       %[2]s   (header X-Account-ApiKey)
sub-account API key   %[3]s   (header X-SubAccount-ApiKey)

Send the next mail; its way appears below:

  curl -sS %[1]s/api/v1/subaccount/email/ \
    -H 'X-SubAccount-ApiKey: %[3]s' \
    -H 'Content-Type: application/json' \
    -d '{"from":{"email":"%[4]s"},"to":[{"email":"deliver@%[5]s"}],"subject":"My first mail","textBody":"Hello"}'

Other names in place of deliver: softbounce, deferred, refused, hardbounce+2, reader+2.
(hardbounce and reader are on the suppression list: one bounced, the other unsubscribed.)

All that is known of a message, by the messageId of the answer:

  curl -sS %[1]s/api/v1/account/message/MESSAGEID/timeline \
    -H 'X-Account-ApiKey: %[2]s'

Ctrl-C ends this installation.
`, h.url, h.keys.AccountAPIKey, h.keys.SubAccountAPIKey, quickFrom, quickRecipients, h.keys.DashboardPassword)
}
