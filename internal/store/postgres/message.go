package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// one reads the first row of a query; ErrNotFound when there is none.
func one[T any](ctx context.Context, d *DB, act string, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	rows, err := d.pool.Query(ctx, sql, args...)
	if err != nil {
		var none T
		return none, wrap(ctx, act, err)
	}
	v, err := pgx.CollectOneRow(rows, scan)
	return v, wrap(ctx, act, err)
}

// list reads all rows of a query.
func list[T any](ctx context.Context, d *DB, act string, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := d.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, wrap(ctx, act, err)
	}
	all, err := pgx.CollectRows(rows, scan)
	return all, wrap(ctx, act, err)
}

const messageColumns = `m.id, m.account, m.sub_account, m.content, m.recipient, m.to_name, m.to_email, m.cc, m.bcc, m.variables,
m.provider, m.submitted, ` + facetColumns

// facetColumns are what the events of a message are counted under.
const facetColumns = `m.domain, m.pool, m.mailbox, m.groups, m.own_webhook`

// facetRow is where a row of facetColumns is read to.
type facetRow struct {
	f      waypost.Facets
	groups string
}

func (r *facetRow) dest() []any {
	return []any{&r.f.Domain, &r.f.Pool, (*int16)(&r.f.Mailbox), &r.groups, &r.f.OwnWebhook}
}

// value are the facets of the row read last.
func (r *facetRow) value() (waypost.Facets, error) {
	f := r.f
	f.Groups = nil
	return f, store.DecodeJSON(r.groups, &f.Groups)
}

// messageRow is where a row of messageColumns is read to.
type messageRow struct {
	m         waypost.Message
	to        *string
	cc, bcc   string
	submitted int64
	facets    facetRow
}

func (r *messageRow) dest() []any {
	m := &r.m
	return append([]any{
		into(&m.ID), &m.Account, &m.SubAccount, into(&m.Content), &m.Recipient, &m.To.Name, &r.to, &r.cc, &r.bcc, &m.Variables,
		&m.Provider, &r.submitted,
	}, r.facets.dest()...)
}

// value is the message of the row read last.
func (r *messageRow) value() (waypost.Message, error) {
	m := r.m
	m.To.Email = m.Recipient
	if r.to != nil {
		m.To.Email = *r.to
	}
	m.SubmittedAt = moment(r.submitted)
	f, err := r.facets.value()
	m.Domain, m.Pool, m.Mailbox, m.Groups, m.OwnWebhook = f.Domain, f.Pool, f.Mailbox, f.Groups, f.OwnWebhook
	m.Cc, m.Bcc = nil, nil
	return m, errors.Join(err, store.DecodeJSON(r.cc, &m.Cc), store.DecodeJSON(r.bcc, &m.Bcc))
}

func scanMessage(row pgx.CollectableRow) (waypost.Message, error) {
	var r messageRow
	if err := row.Scan(r.dest()...); err != nil {
		return waypost.Message{}, err
	}
	return r.value()
}

// Message finds a message of an account.
func (d *DB) Message(ctx context.Context, account int64, id waypost.UUID) (waypost.Message, error) {
	return one(ctx, d, "message "+id.String(), scanMessage,
		`SELECT `+messageColumns+` FROM message m WHERE m.id = $1 AND m.account = $2`, [16]byte(id), account)
}

// Messages finds messages of whatever account.
func (d *DB) Messages(ctx context.Context, ids []waypost.UUID) (map[waypost.UUID]waypost.Message, error) {
	out := make(map[waypost.UUID]waypost.Message, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	keys := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		keys[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	all, err := list(ctx, d, "messages", scanMessage,
		`SELECT `+messageColumns+` FROM message m WHERE m.id = ANY($1::uuid[])`, keys)
	for i := range all {
		out[all[i].ID] = all[i]
	}
	return out, err
}

// Content finds what the messages of one call share.
func (d *DB) Content(ctx context.Context, id waypost.UUID) (waypost.Content, error) {
	c := waypost.Content{ID: id}
	var body []byte
	act := "content " + id.String()
	err := d.pool.QueryRow(ctx, `SELECT account, sub_account, body FROM content WHERE id = $1`, [16]byte(id)).
		Scan(&c.Account, &c.SubAccount, &body)
	if err != nil {
		return waypost.Content{}, wrap(ctx, act, err)
	}
	if err := store.DecodeContent(body, &c); err != nil {
		return waypost.Content{}, fmt.Errorf("%s: %w", act, err)
	}
	return c, nil
}

// PackedContent implements [store.Queue].
func (d *DB) PackedContent(ctx context.Context, id waypost.UUID, most int) (store.Packed, error) {
	p := store.Packed{ID: id}
	err := d.pool.QueryRow(ctx, `SELECT account, sub_account, length(body), CASE WHEN length(body) <= $2 THEN body END FROM content WHERE id = $1`,
		[16]byte(id), most).Scan(&p.Account, &p.SubAccount, &p.Size, &p.Bytes)
	if err != nil {
		return store.Packed{}, wrap(ctx, "content "+id.String(), err)
	}
	return p, nil
}

// idSlack is how far the time in a message's id may be from its submission.
const idSlack = time.Second

// idFloor is the lowest message id of a time.
func idFloor(t time.Time) (u waypost.UUID) {
	if t.UnixMilli() < 0 {
		return u
	}
	u = waypost.NewUUID(t)
	clear(u[6:])
	return u
}

// ListMessages lists messages, newest first. Their ids ascend with the time of
// submission, which bounds the walk.
func (d *DB) ListMessages(ctx context.Context, q store.MessageQuery) ([]waypost.Message, error) {
	f := &filter{}
	f.and("m.account = ?", q.Account)
	if q.SubAccount != 0 {
		f.and("m.sub_account = ?", q.SubAccount)
	}
	if q.Recipient != "" {
		f.and("coalesce(m.folded, m.recipient) = ?", clean(q.Recipient))
	}
	if !q.From.IsZero() {
		f.and("m.submitted >= ?", ceilMillis(q.From))
		f.and("m.id >= ?", pgtype.UUID{Bytes: idFloor(q.From.Add(-idSlack)), Valid: true})
	}
	if !q.To.IsZero() {
		f.and("m.submitted < ?", ceilMillis(q.To))
		f.and("m.id < ?", pgtype.UUID{Bytes: idFloor(q.To.Add(idSlack)), Valid: true})
	}
	if !q.Before.IsZero() {
		f.and("m.id < ?", uuid(q.Before))
	}
	return list(ctx, d, "list messages", scanMessage, `SELECT `+messageColumns+` FROM message m`+f.where()+
		` ORDER BY m.id DESC`+f.page(q.Limit, q.Offset), append([]any{planned}, f.args...)...)
}

// SentAs finds the messages of calls that brought a Message-ID of their own.
// The messages of a call are as old as their content, so they are looked for by
// the times in their ids.
func (d *DB) SentAs(ctx context.Context, id waypost.MessageID, recipient string) ([]waypost.Message, error) {
	contents, err := list(ctx, d, "find contents by Message-ID", pgx.RowTo[pgtype.UUID],
		`SELECT id FROM content WHERE own_id = $1 ORDER BY id DESC LIMIT 10`, store.MessageIDKey(id))
	var out []waypost.Message
	for _, c := range contents {
		at := waypost.UUID(c.Bytes).Time()
		all, err := list(ctx, d, "find messages by Message-ID", scanMessage, `SELECT `+messageColumns+` FROM message m
WHERE m.id >= $1 AND m.id < $2 AND m.content = $3 AND ($4 = '' OR coalesce(m.folded, m.recipient) = $4) ORDER BY m.id LIMIT 10`,
			uuid(idFloor(at.Add(-time.Second))), uuid(idFloor(at.Add(time.Second))), c, clean(recipient))
		if err != nil {
			return nil, err
		}
		out = append(out, all...)
	}
	return out[:min(len(out), 10)], err
}
