package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// FindMessages implements [store.Events]: the candidates are read off the index
// that selects the fewest, and judged in the order of their ids.
func (d *DB) FindMessages(ctx context.Context, s store.Search) (store.Found, error) {
	return s.Find(ctx, store.Walk{
		Candidates: func(ctx context.Context, below waypost.UUID, n int) ([]waypost.UUID, error) {
			f := &filter{}
			query := candidates(f, &s, below)
			return list(ctx, d, "look for messages", scanID, query+" LIMIT "+f.arg(n), f.args...)
		},
		Pick: func(ctx context.Context, ids []waypost.UUID) ([]waypost.Message, error) {
			f := &filter{}
			from := among16(f, ids, s.ByContent())
			judge(f, &s)
			return list(ctx, d, "find messages", scanMessage,
				from+f.where()+" ORDER BY m.id DESC LIMIT "+f.arg(min(max(s.Limit, 1), 1000)+1), f.args...)
		},
	})
}

func scanID(row scanner, u *waypost.UUID) error {
	var b []byte
	err := row.Scan(&b)
	copy(u[:], b)
	return err
}

// candidates selects ids from the index that serves a search best, newest first.
func candidates(f *filter, s *store.Search, below waypost.UUID) string {
	column, from := "id", "message"
	switch t := s.Status.EventType(); {
	case s.Queue != "":
		column, from = "message", "("+queuedAs(f.arg(queueHash(s.Account, s.Queue)))+")"
	case s.Recipient != "":
		column, from = "message", "("+messagesTo(f.arg(recipientHash(s.Recipient)))+")"
	case s.ByContent() && s.Tag != "":
		column, from = "content", "content_tag INDEXED BY content_tag_list"
		f.and("account = ?", s.Account)
		f.and("tag = ?", s.Tag)
	case s.ByContent():
		column, from = "content", "headline INDEXED BY headline_sender"
		f.and("account = ?", s.Account)
		f.and("sender = ?", s.Sender)
	case s.Status == waypost.StatusQueued:
		column, from = "message", "queue INDEXED BY queue_message"
	case s.Status == waypost.StatusSent:
		column, from = "message", "unsettled"
	case t != 0:
		column, from = "message", "event INDEXED BY event_outcome"
		if s.SubAccount != 0 {
			from = "event INDEXED BY event_outcome_sub"
			f.and("sub_account = ?", s.SubAccount)
		} else {
			f.and("account = ?", s.Account)
		}
		f.and("type = ?", int64(t))
		f.conds = append(f.conds, isOutcome)
	case s.SubAccount != 0:
		from = "message INDEXED BY message_sub_account"
		f.and("sub_account = ?", s.SubAccount)
	default:
		f.and("account = ?", s.Account)
	}
	high := below[:] // one bound: of two, the walk may begin at the other
	if !s.To.IsZero() {
		if until := firstMessage(s.To); bytes.Compare(until, high) < 0 {
			high = until
		}
	}
	f.and(column+" < ?", high)
	if !s.From.IsZero() {
		f.and(column+" >= ?", firstMessage(s.From))
	}
	return "SELECT " + column + " FROM " + from + f.where() + " ORDER BY " + column + " DESC"
}

// isOutcome is the condition of the indexes of outcomes.
const isOutcome = "evidence = 0 AND type IN (60, 62, 63, 64)"

// among16 selects the messages of ids, or those of contents.
func among16(f *filter, ids []waypost.UUID, contents bool) string {
	var b strings.Builder
	for i := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		if !contents {
			b.WriteString(f.arg(ids[i][:]))
			continue
		}
		from, to := store.Milliseconds(ids[i])
		b.WriteString("(" + f.arg(ids[i][:]) + "," + f.arg(from[:]) + "," + f.arg(to[:]) + ")")
	}
	if !contents {
		f.conds = append(f.conds, "m.id IN ("+b.String()+")")
		return selectMessage
	}
	return "WITH c (content, first, last) AS (VALUES " + b.String() + ") SELECT " + messageColumns +
		" FROM c CROSS JOIN message m ON m.id >= c.first AND m.id <= c.last AND m.content = c.content"
}

// judge adds everything that a search asks of a message.
func judge(f *filter, s *store.Search) {
	f.and("m.account = ?", s.Account)
	if s.SubAccount != 0 {
		f.and("m.sub_account = ?", s.SubAccount)
	}
	if s.Recipient != "" {
		f.and("waypost_fold(m.recipient) = ?", s.Recipient)
	}
	if !s.From.IsZero() {
		f.and("m.id >= ?", firstMessage(s.From))
	}
	if !s.To.IsZero() {
		f.and("m.id < ?", firstMessage(s.To))
	}
	if !s.Before.IsZero() {
		f.and("m.id < ?", s.Before[:])
	}
	call := "m.content"
	if s.ByContent() { // of one that does not fit no message is read
		call = "c.content"
	}
	if s.Sender != "" {
		f.and("EXISTS (SELECT 1 FROM headline h WHERE h.content = "+call+" AND h.sender = ?)", s.Sender)
	}
	if s.Subject != "" {
		f.and("EXISTS (SELECT 1 FROM headline h WHERE h.content = "+call+" AND instr(lower(h.subject), lower(?)) > 0)", s.Subject)
	}
	if s.Tag != "" {
		f.and("EXISTS (SELECT 1 FROM content_tag g WHERE g.content = "+call+" AND g.tag = ?)", s.Tag)
	}
	if s.Queue != "" {
		f.and("EXISTS (SELECT 1 FROM event e INDEXED BY event_message WHERE e.message = m.id AND e.queue = ?)", string(s.Queue))
	}
	stands(f, s.Status)
}

// stands adds the condition that a message has a status, see
// [waypost.StatusOf].
func stands(f *filter, s waypost.MessageStatus) {
	const (
		of     = "SELECT 1 FROM event e INDEXED BY event_message WHERE e.message = m.id AND e.evidence = 0 AND e.type "
		finals = "IN (60, 62, 63, 64)"
	)
	switch t := s.EventType(); {
	case t != 0:
		f.conds = append(f.conds, "EXISTS ("+of+fmt.Sprintf("= %d", t)+` AND NOT EXISTS (SELECT 1 FROM event l INDEXED BY event_message
WHERE l.message = m.id AND l.evidence = 0 AND l.type `+finals+" AND (l.at, l.id) > (e.at, e.id)))")
	case s == waypost.StatusSent:
		f.conds = append(f.conds, "EXISTS ("+of+"= 59)", "NOT EXISTS ("+of+finals+")")
	case s == waypost.StatusQueued:
		f.conds = append(f.conds, "EXISTS ("+of+"= 58)", "NOT EXISTS ("+of+"IN (59, 60, 62, 63, 64))")
	}
}

// Standings implements [store.Events].
func (d *DB) Standings(ctx context.Context, account int64, ids []waypost.UUID) (map[waypost.UUID]store.Standing, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	in, args := among(ids, 1, func(u *waypost.UUID) any { return u[:] })
	args = append([]any{account}, args...)
	events, err := list(ctx, d, "read where messages stand", scanEvent,
		selectEvent+" INDEXED BY event_message WHERE account = $1 AND evidence = 0 AND type IN (58, 59, 60, 62, 63, 64) AND message IN ("+in+")", args...)
	if err != nil {
		return nil, err
	}
	waiting := map[waypost.UUID]store.Pending{}
	_, err = list(ctx, d, "read what messages wait for", func(row scanner, p *store.Pending) error {
		var id []byte
		var due int64
		if err := row.Scan(&id, &due, &p.Attempt); err != nil {
			return err
		}
		p.Due = moment(due)
		waiting[waypost.UUID(id)] = *p
		return nil
	}, "SELECT q.message, q.due, q.attempt FROM queue q INDEXED BY queue_message JOIN message m ON m.id = q.message WHERE m.account = $1 AND q.message IN ("+in+")", args...)
	if err != nil {
		return nil, err
	}
	return store.Stand(ids, events, waiting), nil
}

// SearchedSince implements [store.Events].
func (d *DB) SearchedSince(ctx context.Context) (time.Time, error) {
	return one(ctx, d, "look from when on messages are found", func(row scanner, t *time.Time) error {
		var ids [3][]byte
		if err := row.Scan(&ids[0], &ids[1], &ids[2]); err != nil {
			return err
		}
		var at [3]*waypost.UUID
		for i, id := range ids {
			if len(id) == len(waypost.UUID{}) {
				u := waypost.UUID(id)
				at[i] = &u
			}
		}
		*t = store.SearchedSince(at[0], at[1], at[2])
		return nil
	}, "SELECT (SELECT min(id) FROM content), (SELECT max(id) FROM content), (SELECT min(content) FROM headline)")
}

// Headlines implements [store.Events].
func (d *DB) Headlines(ctx context.Context, contents []waypost.UUID) (map[waypost.UUID]store.Headline, error) {
	out := make(map[waypost.UUID]store.Headline, len(contents))
	if len(contents) == 0 {
		return out, nil
	}
	in, args := among(contents, 0, func(u *waypost.UUID) any { return u[:] })
	_, err := list(ctx, d, "read subjects", func(row scanner, h *store.Headline) error {
		var id []byte
		if err := row.Scan(&id, &h.From.Name, &h.From.Email, &h.Subject); err != nil {
			return err
		}
		out[waypost.UUID(id)] = *h
		return nil
	}, "SELECT content, from_name, from_email, subject FROM headline WHERE content IN ("+in+")", args...)
	return out, err
}
