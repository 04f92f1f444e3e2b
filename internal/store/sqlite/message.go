package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const (
	messageColumns = `m.id, m.account, m.sub_account, m.content, m.recipient, m.to_name, m.to_email, m.cc, m.variables, m.domain,
m.pool, m.provider, m.mailbox, m.submitted, m.groups, m.own_webhook, m.bcc`
	selectMessage = "SELECT " + messageColumns + " FROM message m"
)

// messageRow is what of messageColumns is read on the way to a message.
type messageRow struct {
	id, content []byte
	email       sql.NullString
	cc, bcc     string
	groups      string
	submitted   int64
}

func (r *messageRow) dest(m *waypost.Message) []any {
	return []any{
		&r.id, &m.Account, &m.SubAccount, &r.content, &m.Recipient, &m.To.Name, &r.email, &r.cc, &m.Variables, &m.Domain,
		&m.Pool, &m.Provider, &m.Mailbox, &r.submitted, &r.groups, &m.OwnWebhook, &r.bcc,
	}
}

func (r *messageRow) finish(m *waypost.Message) error {
	copy(m.ID[:], r.id)
	copy(m.Content[:], r.content)
	m.To.Email = m.Recipient
	if r.email.Valid {
		m.To.Email = r.email.String
	}
	m.SubmittedAt = moment(r.submitted)
	return errors.Join(store.DecodeJSON(r.cc, &m.Cc), store.DecodeJSON(r.bcc, &m.Bcc), store.DecodeJSON(r.groups, &m.Groups))
}

func scanMessage(row scanner, m *waypost.Message) error {
	var r messageRow
	if err := row.Scan(r.dest(m)...); err != nil {
		return err
	}
	return r.finish(m)
}

// Message implements [store.Events].
func (d *DB) Message(ctx context.Context, account int64, id waypost.UUID) (waypost.Message, error) {
	return one(ctx, d, "find a message", scanMessage, selectMessage+" WHERE id = $1 AND account = $2", id[:], account)
}

// Messages implements [store.Events].
func (d *DB) Messages(ctx context.Context, ids []waypost.UUID) (map[waypost.UUID]waypost.Message, error) {
	out := make(map[waypost.UUID]waypost.Message, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	in, args := among(ids, 0, func(u *waypost.UUID) any { return u[:] })
	all, err := list(ctx, d, "find messages", scanMessage, selectMessage+" WHERE id IN ("+in+")", args...)
	for _, m := range all {
		out[m.ID] = m
	}
	return out, err
}

// SentAs implements [store.Events]. The messages of a call are as old as their
// content, so they are looked for by the times in their ids.
func (d *DB) SentAs(ctx context.Context, id waypost.MessageID, recipient string) ([]waypost.Message, error) {
	contents, err := list(ctx, d, "find contents by Message-ID", func(row scanner, u *waypost.UUID) error {
		var b []byte
		err := row.Scan(&b)
		copy(u[:], b)
		return err
	}, "SELECT id FROM content WHERE own_id = $1 ORDER BY id DESC LIMIT 10", store.MessageIDKey(id))
	var out []waypost.Message
	for _, c := range contents {
		all, err := list(ctx, d, "find messages by Message-ID", scanMessage, selectMessage+` WHERE m.id >= $1 AND m.id < $2 AND m.content = $3
AND ($4 = '' OR waypost_fold(m.recipient) = $4) ORDER BY m.id LIMIT 10`,
			firstMessage(c.Time().Add(-time.Second)), firstMessage(c.Time().Add(time.Second)), c[:], recipient)
		if err != nil {
			return nil, err
		}
		out = append(out, all...)
	}
	return out[:min(len(out), 10)], err
}

// Content implements [store.Queue].
func (d *DB) Content(ctx context.Context, id waypost.UUID) (waypost.Content, error) {
	var body []byte
	c, err := one(ctx, d, "find content", func(row scanner, c *waypost.Content) error {
		return row.Scan(&c.Account, &c.SubAccount, &body)
	}, "SELECT account, sub_account, body FROM content WHERE id = $1", id[:])
	if err != nil {
		return waypost.Content{}, err
	}
	c.ID = id
	return c, store.DecodeContent(body, &c)
}

// PackedContent implements [store.Queue].
func (d *DB) PackedContent(ctx context.Context, id waypost.UUID, most int) (store.Packed, error) {
	p, err := one(ctx, d, "find content", func(row scanner, p *store.Packed) error {
		return row.Scan(&p.Account, &p.SubAccount, &p.Size, &p.Bytes)
	}, "SELECT account, sub_account, length(body), CASE WHEN length(body) <= $1 THEN body END FROM content WHERE id = $2", most, id[:])
	p.ID = id
	return p, err
}

// Depth implements [store.Queue].
func (d *DB) Depth(ctx context.Context) (int, error) {
	return one(ctx, d, "count the queue", func(row scanner, n *int) error { return row.Scan(n) },
		"SELECT count(*) FROM (SELECT 1 FROM queue LIMIT 100000)")
}

// nextLane finds the head of the first lane behind the one given: the seek
// begins behind the lane's last possible due time, because SQLite seeks to the
// first row that equals a vector, and would walk over the whole lane.
const nextLane = `SELECT provider, mailbox, due FROM queue WHERE (provider, mailbox, due) > ($1, $2, 9223372036854775807)
ORDER BY provider, mailbox, due LIMIT 1`

// LaneHeads implements [store.Queue], with one seek a lane.
func (d *DB) LaneHeads(ctx context.Context) ([]store.LaneHead, error) {
	scan := func(row scanner, h *store.LaneHead) error {
		var due int64
		err := row.Scan(&h.Lane.Provider, &h.Lane.Mailbox, &due)
		h.Due = moment(due)
		return err
	}
	var out []store.LaneHead
	at := waypost.Lane{Provider: -1 << 63}
	for {
		h, err := one(ctx, d, "list lanes", scan, nextLane, at.Provider, int64(at.Mailbox))
		if errors.Is(err, store.ErrNotFound) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out, at = append(out, h), h.Lane
	}
}

// Trail implements [store.Events], all of it as of one moment.
func (d *DB) Trail(ctx context.Context, account int64, id waypost.UUID) (store.Trail, error) {
	var t store.Trail
	tx, err := d.read.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return t, wrap("read a trail", err)
	}
	defer func() { _ = tx.Rollback() }()
	err = scanMessage(tx.QueryRowContext(ctx, selectMessage+" WHERE id = $1 AND account = $2", id[:], account), &t.Message)
	if errors.Is(err, sql.ErrNoRows) {
		return store.Trail{}, fmt.Errorf("message %s: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return store.Trail{}, wrap("read a trail", err)
	}
	for _, part := range []func(context.Context, *sql.Tx, *store.Trail) error{trailEvents, trailAttempts, trailTranscripts, trailDeferral, trailPending} {
		if err := part(ctx, tx, &t); err != nil {
			return store.Trail{}, wrap("read a trail", err)
		}
	}
	return t, nil
}

func trailEvents(ctx context.Context, tx *sql.Tx, t *store.Trail) error {
	rows, err := tx.QueryContext(ctx, selectEvent+" WHERE message = $1 ORDER BY at, id", t.Message.ID[:])
	if err != nil {
		return err
	}
	t.Events, err = collect(rows, "events", scanEvent)
	return err
}

func trailAttempts(ctx context.Context, tx *sql.Tx, t *store.Trail) error {
	rows, err := tx.QueryContext(ctx, selectAttempt+" WHERE message = $1 ORDER BY n", t.Message.ID[:])
	if err != nil {
		return err
	}
	t.Attempts, err = collect(rows, "attempts", scanAttempt)
	return err
}

func trailTranscripts(ctx context.Context, tx *sql.Tx, t *store.Trail) error {
	rows, err := tx.QueryContext(ctx, `SELECT s.n, s.body FROM transcript s JOIN message m ON m.id = s.message
WHERE s.message = $1 AND m.account = $2 ORDER BY s.n`, t.Message.ID[:], t.Message.Account)
	if err != nil {
		return err
	}
	t.Transcripts, err = collect(rows, "transcripts", scanTranscript)
	return err
}

func scanTranscript(row scanner, t *waypost.Transcript) error {
	var n int
	var body []byte
	if err := row.Scan(&n, &body); err != nil {
		return err
	}
	*t = store.DecodeTranscript(n, body)
	return nil
}

const selectAttempt = "SELECT message, n, provider, at, took, result, stage, code, enhanced, text FROM attempt"

func scanAttempt(row scanner, a *waypost.Attempt) error {
	var id []byte
	var at, took int64
	err := row.Scan(&id, &a.N, &a.Provider, &at, &took, &a.Result, &a.Stage, &a.Code, &a.Enhanced, &a.Text)
	copy(a.Message[:], id)
	a.At, a.Took = moment(at), milliseconds(took)
	return err
}

func trailDeferral(ctx context.Context, tx *sql.Tx, t *store.Trail) error {
	var v store.Deferral
	var at int64
	err := tx.QueryRowContext(ctx, "SELECT at, code, enhanced, text, count FROM deferral WHERE message = $1", t.Message.ID[:]).
		Scan(&at, &v.Code, &v.Enhanced, &v.Text, &v.Count)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	v.At = moment(at)
	t.Deferral = &v
	return err
}

func trailPending(ctx context.Context, tx *sql.Tx, t *store.Trail) error {
	var p store.Pending
	var due int64
	err := tx.QueryRowContext(ctx, "SELECT provider, mailbox, due, attempt, unknown FROM queue WHERE message = $1", t.Message.ID[:]).
		Scan(&p.Lane.Provider, &p.Lane.Mailbox, &due, &p.Attempt, &p.Unknown)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	p.Due = moment(due)
	t.Waiting = &p
	return err
}
