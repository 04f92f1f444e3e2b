package postgres

import (
	"context"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// Accept encodes its rows in the caller's goroutine and leaves the rest to the
// committer of accepts.
func (d *DB) Accept(ctx context.Context, a *store.Acceptance) error {
	o := &op{act: "accept"}
	if err := o.encode(a); err != nil {
		return err
	}
	return d.accepts.do(ctx, o)
}

func (o *op) encode(a *store.Acceptance) error {
	body, err := a.Body()
	if err != nil {
		return err
	}
	o.content = make(rows, 0, len(body)+64)
	o.content.row(5)
	o.content.uuid(a.Content.ID)
	o.content.int64(a.Content.Account)
	o.content.int64(a.Content.SubAccount)
	o.content.bytes(body)
	o.content.bytes(store.OwnMessageID(&a.Content))
	o.headlineOf(&a.Content)
	o.message = make(rows, 0, 256*len(a.Messages))
	for i := range a.Messages {
		if err := o.message.message(&a.Messages[i]); err != nil {
			return err
		}
	}
	o.queue = make(rows, 0, 80*len(a.Queue))
	for _, w := range a.Queue {
		o.queue.row(8)
		o.queue.uuid(w.Message)
		o.queue.int64(a.Content.Account)
		o.queue.int64(w.Lane.Provider)
		o.queue.int64(millis(w.Due))
		o.queue.int64(0)
		o.queue.int32(0)
		o.queue.int16(int16(w.Lane.Mailbox))
		o.queue.bool(false)
	}
	o.events = make(rows, 0, 256*len(a.Events))
	for i := range a.Events {
		if err := o.addEvent(&a.Events[i]); err != nil {
			return err
		}
	}
	o.addReplay(a)
	o.size = len(o.content) + len(o.headline) + len(o.tags) + len(o.message) + len(o.queue) + len(o.events) + len(o.replay.answer())
	return nil
}

// message adds a row of messageCopy.
func (r *rows) message(m *waypost.Message) error {
	cc, err := asJSON(m.Cc, len(m.Cc))
	if err != nil {
		return err
	}
	bcc, err := asJSON(m.Bcc, len(m.Bcc))
	if err != nil {
		return err
	}
	groups, err := asJSON(m.Groups, len(m.Groups))
	if err != nil {
		return err
	}
	r.row(18)
	r.uuid(m.ID)
	r.int64(m.Account)
	r.int64(m.SubAccount)
	r.uuid(m.Content)
	r.int64(m.Domain)
	r.int64(m.Pool)
	r.int64(m.Provider)
	r.int64(millis(m.SubmittedAt))
	r.int16(int16(m.Mailbox))
	r.text(m.Recipient)
	r.text(m.To.Name)
	if m.To.Email == m.Recipient {
		r.null()
	} else {
		r.text(m.To.Email)
	}
	r.text(cc)
	if len(m.Variables) == 0 {
		r.null()
	} else {
		r.bytes(m.Variables)
	}
	r.text(groups)
	r.bool(m.OwnWebhook)
	if folded := waypost.FoldEmail(m.Recipient); folded == m.Recipient {
		r.null()
	} else {
		r.text(folded)
	}
	r.text(bcc)
	return nil
}

// commitAccepts stores a group of accepted calls.
func (d *DB) commitAccepts(ctx context.Context, t *tx, group []*op) error {
	for _, o := range group {
		o.err = nil
	}
	group, err := t.answer(ctx, group)
	if err != nil {
		return err
	}
	for _, o := range group {
		d.enter(t, o)
	}
	for _, c := range []struct {
		sql  string
		part func(*op) rows
	}{
		{contentCopy, func(o *op) rows { return o.content }},
		{headlineCopy, func(o *op) rows { return o.headline }},
		{tagCopy, func(o *op) rows { return o.tags }},
		{messageCopy, func(o *op) rows { return o.message }},
		{eventCopy, func(o *op) rows { return o.events }},
		{queueCopy, func(o *op) rows { return o.queue }},
	} {
		if err := t.copy(ctx, c.sql, group, c.part); err != nil {
			return err
		}
	}
	return nil
}
