package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// FindMessages finds messages: the candidates are read off the index that
// selects the fewest, and judged in the order of their ids.
func (d *DB) FindMessages(ctx context.Context, s store.Search) (store.Found, error) {
	return s.Find(ctx, store.Walk{
		Candidates: func(ctx context.Context, below waypost.UUID, n int) ([]waypost.UUID, error) {
			f := &filter{}
			sql := candidates(f, &s, below)
			return list(ctx, d, "look for messages", scanID, sql+" LIMIT "+f.arg(n), append([]any{planned}, f.args...)...)
		},
		Pick: func(ctx context.Context, ids []waypost.UUID) ([]waypost.Message, error) {
			f := &filter{}
			from := amongIDs(f, ids, s.ByContent())
			judge(f, &s)
			return list(ctx, d, "find messages", scanMessage, `SELECT `+messageColumns+from+f.where()+
				` ORDER BY m.id DESC LIMIT `+f.arg(min(max(s.Limit, 1), 1000)+1), append([]any{planned}, f.args...)...)
		},
	})
}

func scanID(row pgx.CollectableRow) (u waypost.UUID, err error) {
	err = row.Scan(into(&u))
	return u, err
}

// candidates selects ids from the index that serves a search best, newest first.
func candidates(f *filter, s *store.Search, below waypost.UUID) string {
	var from, distinct string
	column := "message"
	switch t := s.Status.EventType(); {
	case s.Queue != "":
		from, distinct = "event", "DISTINCT "
		f.and("account = ?", s.Account)
		f.and("queue = ?", clean(string(s.Queue)))
		f.conds = append(f.conds, "queue <> ''") // what the index holds
	case s.Recipient != "":
		column, from = "id", "message"
		f.and("account = ?", s.Account)
		f.and("coalesce(folded, recipient) = ?", clean(s.Recipient))
	case s.ByContent() && s.Tag != "":
		column, from = "content", "content_tag"
		f.and("account = ?", s.Account)
		f.and("tag = ?", clean(s.Tag))
	case s.ByContent():
		column, from = "content", "headline"
		f.and("account = ?", s.Account)
		f.and("sender = ?", clean(s.Sender))
	case s.Status == waypost.StatusQueued:
		from = "queue"
		f.and("account = ?", s.Account)
	case s.Status == waypost.StatusSent:
		from = "unsettled"
		f.and("account = ?", s.Account)
	case t != 0:
		from, distinct = "event", "DISTINCT "
		f.and("account = ?", s.Account)
		if s.SubAccount != 0 {
			f.and("sub_account = ?", s.SubAccount)
		}
		f.and("type = ?", int16(t))
		f.conds = append(f.conds, isOutcome)
	default:
		column, from = "id", "message"
		f.and("account = ?", s.Account)
		if s.SubAccount != 0 {
			f.and("sub_account = ?", s.SubAccount)
		}
	}
	f.and(column+" < ?", uuid(below))
	if !s.From.IsZero() {
		f.and(column+" >= ?", pgtype.UUID{Bytes: idFloor(s.From.Add(-idSlack)), Valid: true})
	}
	if !s.To.IsZero() {
		f.and(column+" < ?", pgtype.UUID{Bytes: idFloor(s.To.Add(idSlack)), Valid: true})
	}
	return `SELECT ` + distinct + column + ` FROM ` + from + f.where() + ` ORDER BY ` + column + ` DESC`
}

// isOutcome is the condition of the indexes of outcomes.
const isOutcome = "NOT evidence AND type IN (60, 62, 63, 64)"

// amongIDs selects from the messages of ids, or from those of contents.
func amongIDs(f *filter, ids []waypost.UUID, contents bool) string {
	all, first, last := make([]pgtype.UUID, len(ids)), make([]pgtype.UUID, len(ids)), make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		from, to := store.Milliseconds(id)
		all[i], first[i], last[i] = uuid(id), pgtype.UUID{Bytes: from, Valid: true}, uuid(to)
	}
	if !contents {
		f.and("m.id = ANY(?::uuid[])", all)
		return ` FROM message m`
	}
	return ` FROM unnest(` + f.arg(all) + `::uuid[], ` + f.arg(first) + `::uuid[], ` + f.arg(last) + `::uuid[]) AS c(content, first, last)
JOIN LATERAL (SELECT * FROM message n WHERE n.id >= c.first AND n.id <= c.last AND n.content = c.content) m ON true`
}

// judge adds everything that a search asks of a message.
func judge(f *filter, s *store.Search) {
	f.and("m.account = ?", s.Account)
	if s.SubAccount != 0 {
		f.and("m.sub_account = ?", s.SubAccount)
	}
	if s.Recipient != "" {
		f.and("coalesce(m.folded, m.recipient) = ?", clean(s.Recipient))
	}
	if !s.From.IsZero() {
		f.and("m.submitted >= ?", ceilMillis(s.From))
	}
	if !s.To.IsZero() {
		f.and("m.submitted < ?", ceilMillis(s.To))
	}
	if !s.Before.IsZero() {
		f.and("m.id < ?", uuid(s.Before))
	}
	call := "m.content"
	if s.ByContent() { // of one that does not fit no message is read
		call = "c.content"
	}
	if s.Sender != "" {
		f.and("EXISTS (SELECT FROM headline h WHERE h.content = "+call+" AND h.sender = ?)", clean(s.Sender))
	}
	if s.Subject != "" {
		f.and("EXISTS (SELECT FROM headline h WHERE h.content = "+call+" AND strpos(lower(h.subject), lower(?)) > 0)", clean(s.Subject))
	}
	if s.Tag != "" {
		f.and("EXISTS (SELECT FROM content_tag g WHERE g.content = "+call+" AND g.tag = ?)", clean(s.Tag))
	}
	if s.Queue != "" {
		f.and("EXISTS (SELECT FROM event e WHERE e.message = m.id AND e.queue = ?)", clean(string(s.Queue)))
	}
	stands(f, s.Status)
}

// stands adds the condition that a message has a status, see
// [waypost.StatusOf].
func stands(f *filter, s waypost.MessageStatus) {
	const (
		of     = "SELECT FROM event e WHERE e.message = m.id AND NOT e.evidence AND e.type "
		finals = "IN (60, 62, 63, 64)"
	)
	switch t := s.EventType(); {
	case t != 0:
		f.conds = append(f.conds, "EXISTS ("+of+fmt.Sprintf("= %d", t)+` AND NOT EXISTS (SELECT FROM event l
WHERE l.message = m.id AND NOT l.evidence AND l.type `+finals+" AND (l.at, l.id) > (e.at, e.id)))")
	case s == waypost.StatusSent:
		f.conds = append(f.conds, "EXISTS ("+of+"= 59)", "NOT EXISTS ("+of+finals+")")
	case s == waypost.StatusQueued:
		f.conds = append(f.conds, "EXISTS ("+of+"= 58)", "NOT EXISTS ("+of+"IN (59, 60, 62, 63, 64))")
	}
}

// Standings finds where messages stand.
func (d *DB) Standings(ctx context.Context, account int64, ids []waypost.UUID) (map[waypost.UUID]store.Standing, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	keys := uuids(ids)
	events, err := list(ctx, d, "read where messages stand", scanEvent, `SELECT `+eventColumns+` FROM event e
WHERE e.message = ANY($2::uuid[]) AND e.account = $1 AND NOT e.evidence AND e.type IN (58, 59, 60, 62, 63, 64)`, account, keys)
	if err != nil {
		return nil, err
	}
	waiting := map[waypost.UUID]store.Pending{}
	_, err = list(ctx, d, "read what messages wait for", func(row pgx.CollectableRow) (p store.Pending, err error) {
		var id waypost.UUID
		var due int64
		err = row.Scan(into(&id), &due, &p.Attempt)
		p.Due = moment(due)
		waiting[id] = p
		return p, err
	}, `SELECT message, due, attempt FROM queue WHERE message = ANY($2::uuid[]) AND account = $1`, account, keys)
	if err != nil {
		return nil, err
	}
	return store.Stand(ids, events, waiting), nil
}

// SearchedSince tells from when on messages are found by what was sent.
func (d *DB) SearchedSince(ctx context.Context) (time.Time, error) {
	return one(ctx, d, "look from when on messages are found", func(row pgx.CollectableRow) (time.Time, error) {
		var ids [3]pgtype.UUID
		if err := row.Scan(&ids[0], &ids[1], &ids[2]); err != nil {
			return time.Time{}, err
		}
		var at [3]*waypost.UUID
		for i := range ids {
			if ids[i].Valid {
				u := waypost.UUID(ids[i].Bytes)
				at[i] = &u
			}
		}
		return store.SearchedSince(at[0], at[1], at[2]), nil
	}, `SELECT (SELECT id FROM content ORDER BY id LIMIT 1), (SELECT id FROM content ORDER BY id DESC LIMIT 1), (SELECT content FROM headline ORDER BY content LIMIT 1)`)
}

// Headlines reads what lists show of contents.
func (d *DB) Headlines(ctx context.Context, contents []waypost.UUID) (map[waypost.UUID]store.Headline, error) {
	out := make(map[waypost.UUID]store.Headline, len(contents))
	if len(contents) == 0 {
		return out, nil
	}
	_, err := list(ctx, d, "read subjects", func(row pgx.CollectableRow) (h store.Headline, err error) {
		var id waypost.UUID
		err = row.Scan(into(&id), &h.From.Name, &h.From.Email, &h.Subject)
		out[id] = h
		return h, err
	}, `SELECT content, from_name, from_email, subject FROM headline WHERE content = ANY($1::uuid[])`, uuids(contents))
	return out, err
}

func uuids(ids []waypost.UUID) []pgtype.UUID {
	out := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		out[i] = uuid(id)
	}
	return out
}
