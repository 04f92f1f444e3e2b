package sqlite

import (
	"context"
	"fmt"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// Accept implements [store.Queue]. Content is compressed and JSON encoded in
// the caller's goroutine.
func (d *DB) Accept(ctx context.Context, a *store.Acceptance) error {
	body, err := a.Body()
	if err != nil {
		return err
	}
	encoded := make([]encodedMessage, len(a.Messages))
	size := len(body)
	for i := range a.Messages {
		m := &a.Messages[i]
		if encoded[i], err = encodeMessage(m); err != nil {
			return err
		}
		size += 400 + len(m.Variables) + len(encoded[i].cc) + len(encoded[i].bcc)
	}
	return d.do(ctx, "accept", size, func(tx *tx) error { return tx.accept(a, body, encoded) })
}

// encodedMessage is what of a message is made in the caller's goroutine.
type encodedMessage struct {
	cc, bcc, groups string
	to              int64 // hash of its recipient
}

func encodeMessage(m *waypost.Message) (e encodedMessage, err error) {
	if e.cc, err = listJSON(m.Cc); err != nil {
		return e, err
	}
	if e.bcc, err = listJSON(m.Bcc); err != nil {
		return e, err
	}
	e.groups, err = listJSON(m.Groups)
	e.to = recipientHash(m.Recipient)
	return e, err
}

const (
	insertContent = "INSERT INTO content (id, account, sub_account, body, own_id) VALUES ($1, $2, $3, $4, $5)"
	insertMessage = `INSERT INTO message (id, account, sub_account, content, recipient, to_name, to_email, cc, variables, domain, pool,
provider, mailbox, submitted, groups, own_webhook, bcc)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`
)

func (t *tx) accept(a *store.Acceptance, body []byte, encoded []encodedMessage) error {
	c := &a.Content
	if a.Replay != nil {
		if err := t.replay(a.Replay, c.ID.Time()); err != nil {
			return err
		}
	}
	if _, err := t.exec(insertContent, c.ID[:], c.Account, c.SubAccount, body, store.OwnMessageID(c)); err != nil {
		return fmt.Errorf("content %s: %w", c.ID, taken(err))
	}
	t.headline(c)
	for i := range a.Messages {
		m := &a.Messages[i]
		var to any
		if m.To.Email != m.Recipient {
			to = m.To.Email
		}
		e := &encoded[i]
		if _, err := t.exec(insertMessage, m.ID[:], m.Account, m.SubAccount, m.Content[:], m.Recipient, m.To.Name, to, e.cc,
			m.Variables, m.Domain, m.Pool, m.Provider, int64(m.Mailbox), millis(m.SubmittedAt), e.groups, m.OwnWebhook, e.bcc); err != nil {
			return fmt.Errorf("message %s: %w", m.ID, taken(err))
		}
		if err := t.findable(m.ID, e.to); err != nil {
			return err
		}
	}
	for i := range a.Events {
		if err := t.event(&a.Events[i]); err != nil {
			return err
		}
	}
	for i := range a.Queue {
		w := &a.Queue[i]
		if err := t.enqueue(w.Lane, w.Message, w.Due.UnixMilli(), 0, false); err != nil {
			return err
		}
	}
	return nil
}

const insertQueue = "INSERT INTO queue (provider, mailbox, due, message, attempt, unknown) VALUES ($1, $2, $3, $4, $5, $6)"

// enqueue writes a queue row and tells the lane that it is there.
func (t *tx) enqueue(at waypost.Lane, message waypost.UUID, due int64, attempt int, unknown bool) error {
	if _, err := t.exec(insertQueue, at.Provider, int64(at.Mailbox), due, message[:], attempt, unknown); err != nil {
		return fmt.Errorf("queue %s: %w", message, err)
	}
	if l := t.db.lanes[at]; l != nil {
		l.lower(position{due, message})
	}
	return nil
}

const insertEvent = `INSERT INTO event (id, type, account, sub_account, provider, message, recipient, at, source, code, enhanced,
text, reason, rule, attempt, queue, relay, late, evidence, domain, visit)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`

// event stores one event under the next id, counts it, and notes whom to tell
// of it. Ids ascend in the
// order of commit, also when the clock steps back: this process is the only
// writer, so all 22 bits below the millisecond are its sequence.
func (t *tx) event(e *waypost.Event) error {
	d := t.db
	visit := ""
	if e.Visit != nil {
		var err error
		if visit, err = store.EncodeJSON(e.Visit); err != nil {
			return err
		}
	}
	d.lastEvent = max(store.EventID(d.now().UnixMilli(), 0, 0), d.lastEvent+1)
	if _, err := t.exec(insertEvent, d.lastEvent, int64(e.Type), e.Account, e.SubAccount, e.Provider, e.Message[:], e.Recipient,
		millis(e.At), string(e.Source), e.Code, e.Enhanced, e.Text, string(e.Reason), e.Rule, e.Attempt, string(e.Queue), e.Relay,
		e.Late, e.Evidence, e.Facets.Domain, visit); err != nil {
		return fmt.Errorf("event of %s: %w", e.Message, err)
	}
	t.count(e)
	return t.tell(e, d.lastEvent)
}
