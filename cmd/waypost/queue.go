package main

import (
	"fmt"
	"net/url"
	"strconv"

	"github.com/waypost-mail/waypost/internal/api"
)

// queueCmd is surgery on what waits.
type queueCmd struct {
	List   queueListCmd   `cmd:"" help:"The lanes that have messages, or with --messages the messages themselves."`
	Retry  queueRetryCmd  `cmd:"" help:"Make waiting messages due at once."`
	Cancel queueCancelCmd `cmd:"" help:"Drop waiting messages."`
	Move   queueMoveCmd   `cmd:"" help:"Give waiting messages to another pool."`
	Pause  queuePauseCmd  `cmd:"" help:"Stop relaying through a provider or one of its categories."`
	Resume queueResumeCmd `cmd:"" help:"End a pause."`
}

type queueListCmd struct {
	remote
	Messages bool   `help:"List messages instead of lanes."`
	Provider int64  `help:"Of this provider only." placeholder:"ID"`
	Mailbox  string `help:"Of this mailbox category only." placeholder:"NAME"`
	Limit    int    `help:"How many messages." default:"50"`
	Offset   int    `help:"How many to pass over."`
}

// Run lists lanes or messages.
func (c *queueListCmd) Run(e *env) error {
	if !c.Messages {
		var lanes []api.QueueLane
		if ok, err := c.call(e, "GET", "/account/queue", nil, &lanes); !ok {
			return err
		}
		return table(e.stdout, "PROVIDER\tCATEGORY\tMESSAGES\tUNKNOWN\tEARLIEST DUE\tSTATE", len(lanes), func(i int) []any {
			l := lanes[i]
			return []any{l.Provider, l.Mailbox, l.Messages, l.Unknown, when(l.Due), l.Paused}
		})
	}
	q := url.Values{"limit": {strconv.Itoa(c.Limit)}, "offset": {strconv.Itoa(c.Offset)}}
	if c.Provider != 0 {
		q.Set("tpspId", strconv.FormatInt(c.Provider, 10))
	}
	if c.Mailbox != "" {
		q.Set("mailboxCategory", c.Mailbox)
	}
	var all []api.QueueMessage
	if ok, err := c.call(e, "GET", "/account/queue/messages?"+q.Encode(), nil, &all); !ok {
		return err
	}
	return table(e.stdout, "MESSAGE\tRECIPIENT\tPROVIDER\tCATEGORY\tDUE\tATTEMPTS\tLAST REPLY", len(all), func(i int) []any {
		m := all[i]
		return []any{m.ID, m.To, m.Provider, m.Mailbox, when(m.Due), m.Attempts, m.LastText}
	})
}

// picked selects messages for an action.
type picked struct {
	remote
	IDs      []string `arg:"" optional:"" name:"message" help:"Ids of messages; or else give --provider."`
	Provider int64    `help:"All that wait for this provider." placeholder:"ID"`
	Mailbox  string   `help:"With --provider: of this mailbox category only." placeholder:"NAME"`
	Limit    int      `help:"At most so many." default:"10000"`
}

func (p *picked) act(e *env, action, pool string) error {
	var done api.QueueChanged
	ok, err := p.call(e, "POST", "/account/queue/"+action, map[string]any{
		"messageIds": p.IDs, "tpspId": p.Provider, "mailboxCategory": p.Mailbox, "limit": p.Limit, "ippool": pool,
	}, &done)
	if !ok {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s: %d messages\n", action, done.Messages)
	return err
}

type queueRetryCmd struct{ picked }

// Run makes messages due.
func (c *queueRetryCmd) Run(e *env) error { return c.act(e, "retry", "") }

type queueCancelCmd struct{ picked }

// Run drops messages.
func (c *queueCancelCmd) Run(e *env) error { return c.act(e, "cancel", "") }

type queueMoveCmd struct {
	picked
	Pool string `help:"Pool to move to." required:"" placeholder:"NAME"`
}

// Run moves messages.
func (c *queueMoveCmd) Run(e *env) error { return c.act(e, "move", c.Pool) }

// stopped names a provider or one of its lanes.
type stopped struct {
	remote
	Provider int64  `arg:"" help:"Id of the provider."`
	Mailbox  string `help:"This mailbox category only." placeholder:"NAME"`
}

func (s *stopped) act(e *env, action, reason string) error {
	var done api.PauseRequest
	ok, err := s.call(e, "POST", "/account/queue/"+action, map[string]any{
		"tpspId": s.Provider, "mailboxCategory": s.Mailbox, "reason": reason,
	}, &done)
	if !ok {
		return err
	}
	what := fmt.Sprintf("provider %d", s.Provider)
	if s.Mailbox != "" {
		what += ", category " + s.Mailbox
	}
	_, err = fmt.Fprintf(e.stdout, "%s: %s\n", action, what)
	return err
}

type queuePauseCmd struct {
	stopped
	Reason string `help:"Why, for those who ask later."`
}

// Run pauses.
func (c *queuePauseCmd) Run(e *env) error { return c.act(e, "pause", c.Reason) }

type queueResumeCmd struct{ stopped }

// Run resumes.
func (c *queueResumeCmd) Run(e *env) error { return c.act(e, "resume", "") }
