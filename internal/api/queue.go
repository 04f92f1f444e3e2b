package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/route"
	"github.com/waypost-mail/waypost/internal/store"
)

// QueueLane is how much waits in a lane, and whether it may go.
type QueueLane struct {
	Provider int64     `json:"tpspId"`
	Mailbox  string    `json:"mailboxCategory"`
	Messages int       `json:"messages" doc:"counted up to 100000"`
	Unknown  int       `json:"unknown" doc:"of them, wait for the agent's evidence"`
	Due      time.Time `json:"earliestDue"`
	Paused   string    `json:"paused,omitempty"`
}

// QueueMessage is a message that waits.
type QueueMessage struct {
	ID       string    `json:"messageId"`
	To       string    `json:"recipient"`
	Provider int64     `json:"tpspId"`
	Mailbox  string    `json:"mailboxCategory"`
	Due      time.Time `json:"due"`
	Attempts int       `json:"attempts"`
	Unknown  bool      `json:"unknown,omitempty"`
	LastCode int       `json:"lastSmtpCode,omitempty"`
	LastText string    `json:"lastText,omitempty"`
}

// QueueAction selects waiting messages: those listed, or else those of a
// provider, or of one of its categories.
type QueueAction struct {
	Messages []string `json:"messageIds,omitempty"`
	Provider number   `json:"tpspId,omitempty"`
	Mailbox  string   `json:"mailboxCategory,omitempty"`
	Limit    number   `json:"limit,omitempty" doc:"1 to 10000, default 10000"`
	Pool     string   `json:"ippool,omitempty" doc:"for a move: the pool to move to"`
}

// QueueChanged answers how many messages were acted on. Those in flight are
// left alone.
type QueueChanged struct {
	Messages int `json:"messages"`
}

// PauseRequest names what to pause or resume.
type PauseRequest struct {
	Provider number `json:"tpspId"`
	Mailbox  string `json:"mailboxCategory,omitempty" doc:"the whole provider without it"`
	Reason   string `json:"reason,omitempty"`
}

func (a *API) queueRoutes() {
	const q = "/account/queue"
	register(a, operation(http.MethodGet, q, "The lanes that have messages", waypost.KeyAccount), nil, a.queueLanes)
	register(a, operation(http.MethodGet, q+"/messages", "Messages that wait, in the order of lane and due time", waypost.KeyAccount), nil, a.queueMessages)
	register(a, operation(http.MethodPost, q+"/retry", "Make waiting messages due at once", waypost.KeyAccount), QueueAction{}, a.queueRetry)
	register(a, operation(http.MethodPost, q+"/cancel", "Drop waiting messages", waypost.KeyAccount), QueueAction{}, a.queueCancel)
	register(a, operation(http.MethodPost, q+"/move", "Give waiting messages to another pool", waypost.KeyAccount), QueueAction{}, a.queueMove)
	register(a, operation(http.MethodPost, q+"/pause", "Stop relaying through a provider or one of its lanes", waypost.KeyAccount), PauseRequest{}, a.queuePause)
	register(a, operation(http.MethodPost, q+"/resume", "End a pause", waypost.KeyAccount), PauseRequest{}, a.queueResume)
}

func (a *API) queueLanes(ctx context.Context, _ *struct{}) ([]QueueLane, error) {
	account := caller(ctx).Account
	lanes, err := a.cfg.Store.Lanes(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("list the lanes: %w", err)
	}
	paused, err := a.cfg.Store.Pauses(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("list the pauses: %w", err)
	}
	out := make([]QueueLane, len(lanes))
	for i, l := range lanes {
		out[i] = QueueLane{l.Lane.Provider, l.Lane.Mailbox.String(), l.Messages, l.Unknown, l.Due, ""}
		for _, p := range paused {
			if p.Provider == l.Lane.Provider && (p.Mailbox == waypost.AllMailboxes || p.Mailbox == l.Lane.Mailbox) {
				out[i].Paused = "paused at " + p.At.UTC().Format(time.RFC3339) + ": " + p.Reason
			}
		}
	}
	return out, nil
}

type queueQuery struct {
	Provider int64  `query:"tpspId" minimum:"0"`
	Mailbox  string `query:"mailboxCategory" maxLength:"40"`
	Limit    int    `query:"limit" default:"50" minimum:"1" maximum:"1000"`
	Offset   int    `query:"offset" default:"0" minimum:"0"`
}

func (a *API) queueMessages(ctx context.Context, in *queueQuery) ([]QueueMessage, error) {
	box, err := category(in.Mailbox)
	if err != nil {
		return nil, err
	}
	all, err := a.cfg.Store.Waiting(ctx, store.WaitingQuery{
		Account: caller(ctx).Account, Provider: in.Provider, Mailbox: box, Limit: in.Limit, Offset: in.Offset,
	})
	if err != nil {
		return nil, fmt.Errorf("list the queue: %w", err)
	}
	out := make([]QueueMessage, len(all))
	for i := range all {
		m := &all[i]
		out[i] = QueueMessage{
			ID: m.Message.ID.String(), To: m.Message.Recipient, Provider: m.Pending.Lane.Provider, Mailbox: m.Pending.Lane.Mailbox.String(),
			Due: m.Pending.Due, Attempts: m.Pending.Attempt, Unknown: m.Pending.Unknown,
		}
		if m.Last != nil {
			out[i].LastCode, out[i].LastText = m.Last.Code, m.Last.Text
		}
	}
	return out, nil
}

func category(name string) (waypost.Mailbox, error) {
	if name == "" {
		return waypost.AllMailboxes, nil
	}
	box, ok := waypost.ParseMailbox(name)
	if !ok {
		return 0, badField("mailboxCategory", "%.40q is none of the 27 mailbox categories, such as gmail or default", name)
	}
	return box, nil
}

// selection reads what a request acts on.
func (a *API) selection(ctx context.Context, body []byte) (QueueAction, store.Selection, error) {
	var s store.Selection
	req, err := decode[QueueAction](body)
	if err != nil {
		return req, s, err
	}
	if s.Mailbox, err = category(req.Mailbox); err != nil {
		return req, s, err
	}
	if len(req.Messages) > 1000 {
		return req, s, badField("messageIds", "%d of them; at most 1,000 in one call", len(req.Messages))
	}
	for _, id := range req.Messages {
		u, err := waypost.ParseUUID(id)
		if err != nil {
			return req, s, badField("messageIds", "%v", err)
		}
		s.Messages = append(s.Messages, u)
	}
	if s.Limit = int(req.Limit); s.Limit == 0 {
		s.Limit = 10_000
	}
	if s.Limit < 1 || s.Limit > 10_000 {
		return req, s, badField("limit", "must be 1 to 10,000; call again for more")
	}
	if len(s.Messages) > 0 {
		return req, s, nil
	}
	if req.Provider < 1 {
		return req, s, badField("tpspId", "say which messages: messageIds, or a tpspId, alone or with a mailboxCategory")
	}
	s.Provider = int64(req.Provider)
	_, err = a.provider(ctx, s.Provider)
	return req, s, err
}

func describe(s *store.Selection) string {
	if len(s.Messages) > 0 {
		return fmt.Sprintf("%d listed messages", len(s.Messages))
	}
	if s.Mailbox == waypost.AllMailboxes {
		return fmt.Sprintf("messages of provider %d", s.Provider)
	}
	return fmt.Sprintf("messages of provider %d to %s", s.Provider, s.Mailbox)
}

// acted finishes an action on the queue: the audit, and the loop looks again.
func (a *API) acted(ctx context.Context, action string, s *store.Selection, n int, err error) (QueueChanged, error) {
	if err != nil {
		return QueueChanged{}, fmt.Errorf("%s of %s: %w", action, describe(s), err)
	}
	a.audit(ctx, "queue."+action, describe(s), "%s: %d messages", action, n)
	a.cfg.Queue.Wake(ctx)
	return QueueChanged{n}, nil
}

func (a *API) queueRetry(ctx context.Context, in *raw) (QueueChanged, error) {
	_, s, err := a.selection(ctx, in.RawBody)
	if err != nil {
		return QueueChanged{}, err
	}
	n, err := a.cfg.Store.RetryNow(ctx, caller(ctx).Account, s, time.Now())
	return a.acted(ctx, "retry", &s, n, err)
}

func (a *API) queueCancel(ctx context.Context, in *raw) (QueueChanged, error) {
	_, s, err := a.selection(ctx, in.RawBody)
	if err != nil {
		return QueueChanged{}, err
	}
	n, err := a.cfg.Store.Cancel(ctx, caller(ctx).Account, s, "Cancelled by "+caller(ctx).Hint, time.Now())
	return a.acted(ctx, "cancel", &s, n, err)
}

func (a *API) queueMove(ctx context.Context, in *raw) (QueueChanged, error) {
	account := caller(ctx).Account
	req, s, err := a.selection(ctx, in.RawBody)
	if err != nil {
		return QueueChanged{}, err
	}
	pool, err := a.cfg.Store.PoolByName(ctx, account, req.Pool)
	if isNotFound(err) {
		return QueueChanged{}, badField("ippool", "there is no pool named %q", req.Pool)
	}
	if err != nil {
		return QueueChanged{}, fmt.Errorf("find pool %q: %w", req.Pool, err)
	}
	if err := a.standIn(ctx, &pool); err != nil {
		return QueueChanged{}, err
	}
	if len(pool.Members) == 0 {
		return QueueChanged{}, badField("ippool", "pool %q has no provider to move messages to", req.Pool)
	}
	domains, err := a.domainNames(ctx, &pool)
	if err != nil {
		return QueueChanged{}, err
	}
	n, err := a.cfg.Store.Move(ctx, account, s, pool.ID, func(m *waypost.Message) int64 {
		return route.Choose(&pool, route.Target{Message: m.ID, Mailbox: m.Mailbox, Domain: domains[m.Domain]}, nil)
	})
	return a.acted(ctx, "move", &s, n, err)
}

// standIn gives a pool that names the pseudo IP alone all providers of the
// account (D-8).
func (a *API) standIn(ctx context.Context, p *waypost.Pool) error {
	if !p.StandsForAll() {
		return nil
	}
	providers, err := a.cfg.Store.Providers(ctx, p.Account, store.Page{Limit: 1000})
	if err != nil {
		return fmt.Errorf("list the providers that pool %q stands for: %w", p.Name, err)
	}
	route.StandForAll(p, providers)
	return nil
}

// domainNames gives the names of the account's sender domains, for a pool that
// routes by them; nothing else needs them.
func (a *API) domainNames(ctx context.Context, pool *waypost.Pool) (map[int64]string, error) {
	if pool.Strategy != waypost.StrategySendingDomain {
		return nil, nil
	}
	out := map[int64]string{}
	subs, err := a.cfg.Store.SubAccounts(ctx, pool.Account, store.Page{Limit: 1000})
	if err != nil {
		return nil, fmt.Errorf("list sub-accounts: %w", err)
	}
	for _, sub := range subs {
		all, err := a.cfg.Store.Domains(ctx, sub.ID, store.Page{Limit: 1000})
		if err != nil {
			return nil, fmt.Errorf("list domains of sub-account %d: %w", sub.ID, err)
		}
		for i := range all {
			out[all[i].ID] = all[i].Name
		}
	}
	return out, nil
}

func (a *API) pauseOf(ctx context.Context, body []byte) (waypost.Pause, error) {
	req, err := decode[PauseRequest](body)
	if err != nil {
		return waypost.Pause{}, err
	}
	box, err := category(req.Mailbox)
	if err != nil {
		return waypost.Pause{}, err
	}
	if req.Provider < 1 {
		return waypost.Pause{}, badField("tpspId", "is missing")
	}
	if len(req.Reason) > 500 {
		return waypost.Pause{}, badField("reason", "longer than 500 bytes")
	}
	if req.Reason == "" {
		req.Reason = "by " + caller(ctx).Hint
	}
	p, err := a.provider(ctx, int64(req.Provider))
	return waypost.Pause{Account: p.Account, Provider: p.ID, Mailbox: box, Reason: short(req.Reason), At: time.Now().Truncate(time.Millisecond)}, err
}

func laneWords(p *waypost.Pause) string {
	if p.Mailbox == waypost.AllMailboxes {
		return fmt.Sprintf("provider %d", p.Provider)
	}
	return fmt.Sprintf("provider %d, category %s", p.Provider, p.Mailbox)
}

func (a *API) queuePause(ctx context.Context, in *raw) (PauseRequest, error) {
	p, err := a.pauseOf(ctx, in.RawBody)
	if err != nil {
		return PauseRequest{}, err
	}
	if err := a.cfg.Queue.Pause(ctx, p); err != nil {
		return PauseRequest{}, fmt.Errorf("pause %s: %w", laneWords(&p), err)
	}
	a.audit(ctx, "queue.pause", laneWords(&p), "paused: %s", p.Reason)
	return pauseView(&p), nil
}

func (a *API) queueResume(ctx context.Context, in *raw) (PauseRequest, error) {
	p, err := a.pauseOf(ctx, in.RawBody)
	if err != nil {
		return PauseRequest{}, err
	}
	if err := a.cfg.Queue.Resume(ctx, p.Account, p.Provider, p.Mailbox); err != nil {
		if isNotFound(err) {
			return PauseRequest{}, fail(http.StatusNotFound, laneWords(&p)+" is not paused")
		}
		return PauseRequest{}, fmt.Errorf("resume %s: %w", laneWords(&p), err)
	}
	a.audit(ctx, "queue.resume", laneWords(&p), "resumed")
	return pauseView(&p), nil
}

func pauseView(p *waypost.Pause) PauseRequest {
	out := PauseRequest{Provider: number(p.Provider), Reason: p.Reason}
	if p.Mailbox != waypost.AllMailboxes {
		out.Mailbox = p.Mailbox.String()
	}
	return out
}
