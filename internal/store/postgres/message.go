package postgres

import (
	"context"
	"fmt"

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

const messageColumns = `m.id, m.account, m.sub_account, m.content, m.recipient, m.to_name, m.to_email, m.cc, m.variables,
m.domain, m.pool, m.provider, m.mailbox, m.submitted`

// messageRow is where a row of messageColumns is read to.
type messageRow struct {
	m         waypost.Message
	to        *string
	cc        string
	submitted int64
}

func (r *messageRow) dest() []any {
	m := &r.m
	return []any{
		into(&m.ID), &m.Account, &m.SubAccount, into(&m.Content), &m.Recipient, &m.To.Name, &r.to, &r.cc, &m.Variables,
		&m.Domain, &m.Pool, &m.Provider, (*int16)(&m.Mailbox), &r.submitted,
	}
}

// value is the message of the row read last.
func (r *messageRow) value() (waypost.Message, error) {
	m := r.m
	m.To.Email = m.Recipient
	if r.to != nil {
		m.To.Email = *r.to
	}
	m.SubmittedAt = moment(r.submitted)
	m.Cc = nil
	return m, store.DecodeJSON(r.cc, &m.Cc)
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
