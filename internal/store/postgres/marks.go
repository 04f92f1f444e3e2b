package postgres

import (
	"bytes"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// settled is what a transaction's events say of messages that were sent with
// no more known of them: those that are so now, and those that are no more.
type settled map[waypost.UUID]*waypost.Event

// add takes in an event: what closes is nil.
func (s settled) add(e *waypost.Event) {
	switch _, known := s[e.Message]; {
	case store.Closes(e):
		s[e.Message] = nil
	case store.Opens(e) && !known:
		opened := *e
		s[e.Message] = &opened
	}
}

const (
	addUnsettled = `INSERT INTO unsettled (message, account)
SELECT * FROM unnest($1::uuid[], $2::bigint[]) ON CONFLICT DO NOTHING`
	dropUnsettled = `DELETE FROM unsettled WHERE message IN (SELECT u.message FROM unsettled u WHERE u.message = ANY($1::uuid[]) ORDER BY u.message FOR UPDATE)`
)

// queue writes it with the COMMIT, in one order on every node. A message whose
// two events two nodes store at once may stay on the list, which does no harm.
func (s settled) queue(t *tx) {
	ids := make([]waypost.UUID, 0, len(s))
	for id := range s {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b waypost.UUID) int { return bytes.Compare(a[:], b[:]) })
	var opened, closed []pgtype.UUID
	var accounts []int64
	for _, id := range ids {
		e := s[id]
		if e == nil {
			closed = append(closed, uuid(id))
			continue
		}
		opened, accounts = append(opened, uuid(id)), append(accounts, e.Account)
	}
	if len(opened) > 0 {
		t.queue(addUnsettled, opened, accounts)
	}
	if len(closed) > 0 {
		t.queue(dropUnsettled, closed)
	}
}

// headlineOf adds the rows of headlineCopy and tagCopy of a content.
func (o *op) headlineOf(c *waypost.Content) {
	h := store.HeadlineOf(c)
	o.headline.row(6)
	o.headline.uuid(c.ID)
	o.headline.int64(c.Account)
	o.headline.text(waypost.FoldEmail(h.From.Email))
	o.headline.text(h.From.Name)
	o.headline.text(h.From.Email)
	o.headline.text(h.Subject)
	seen := map[string]bool{}
	for _, tag := range store.Tags(c) {
		if tag = clean(tag); seen[tag] || tag == "" {
			continue
		}
		seen[tag] = true
		o.tags.row(3)
		o.tags.uuid(c.ID)
		o.tags.text(tag)
		o.tags.int64(c.Account)
	}
}

// The statements that they are copied by.
const (
	headlineCopy = `COPY headline (content, account, sender, from_name, from_email, subject) FROM STDIN BINARY`
	tagCopy      = `COPY content_tag (content, tag, account) FROM STDIN BINARY`
)
