package postgres

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// report is a store.Report on its way in.
type report struct {
	*store.Report
	raw []byte // compressed
}

// SaveReport hands the report and its facts to the committer of settlements.
func (d *DB) SaveReport(ctx context.Context, r *store.Report, facts []store.Fact) ([]store.Recorded, error) {
	raw := store.EncodeRaw(r.Raw)
	o := &op{act: "save report", size: 600 + len(raw), facts: storable(facts), report: &report{r, raw}}
	if err := d.settles.do(ctx, o); err != nil {
		return nil, err
	}
	return o.recorded, nil
}

// also reads columns that follow those of another scan.
type also struct {
	pgx.CollectableRow
	more []any
}

// Scan reads dest, then more.
func (a also) Scan(dest ...any) error { return a.CollectableRow.Scan(append(dest, a.more...)...) }

// Reported finds a message, and whether its delivery is known.
func (d *DB) Reported(ctx context.Context, id waypost.UUID) (m waypost.Message, delivered bool, err error) {
	m, err = one(ctx, d, "find a reported message", func(row pgx.CollectableRow) (waypost.Message, error) {
		return scanMessage(also{row, []any{&delivered}})
	}, `SELECT `+messageColumns+`, EXISTS (SELECT 1 FROM event e WHERE e.message = $1 AND e.type = 60 AND NOT e.evidence)
FROM message m WHERE m.id = $1`, [16]byte(id))
	return m, delivered, err
}

const insertReport = `INSERT INTO report (id, hash, received, account, sub_account, message, provider, envelope, kind, recipient,
verdict, reason, rule, code, enhanced, text, queue, status, note, reclassified, reclassified_at, raw)
VALUES ($1, $2, $3, coalesce(nullif($4::bigint, 0), (SELECT min(id) FROM account), 0), $5, $6, $7, $8, $9, $10,
$11, $12, $13, $14, $15, $16, $17, $18, $19, '', 0, $20) ON CONFLICT DO NOTHING`

// queueReports adds the reports of a group, after their facts were judged and
// in one order on every node.
func (t *tx) queueReports(group []*op) {
	var with []*op
	for _, o := range group {
		if o.report != nil {
			with = append(with, o)
		}
	}
	slices.SortFunc(with, func(a, b *op) int { return bytes.Compare(a.report.Hash[:], b.report.Hash[:]) })
	for _, o := range with {
		r := o.report
		status := r.Status
		if len(o.recorded) > 0 && o.recorded[0] == store.Evidence {
			status = store.ReportEvidence
		}
		t.queue(insertReport, uuid(r.ID), r.Hash[:], millis(r.Received), r.Account, r.SubAccount, uuid(r.Message), r.Provider,
			clean(r.Envelope), clean(r.Kind), clean(r.Recipient), r.Verdict, clean(string(r.Reason)), clean(r.Rule), r.Code,
			clean(r.Enhanced), clean(r.Text), clean(string(r.Queue)), string(status), clean(r.Note), r.raw)
	}
}

const reportColumns = `id, hash, received, account, sub_account, message, provider, envelope, kind, recipient,
verdict, reason, rule, code, enhanced, text, queue, status, note, reclassified, reclassified_at`

// scanReport reads reportColumns and what follows them.
func scanReport(row pgx.CollectableRow, r *store.Report, more ...any) error {
	var hash []byte
	var message pgtype.UUID
	var received, at int64
	dest := []any{
		into(&r.ID), &hash, &received, &r.Account, &r.SubAccount, &message, &r.Provider, &r.Envelope, &r.Kind, &r.Recipient,
		&r.Verdict, (*string)(&r.Reason), &r.Rule, &r.Code, &r.Enhanced, &r.Text, (*string)(&r.Queue), (*string)(&r.Status),
		&r.Note, &r.Reclassified, &at,
	}
	if err := row.Scan(append(dest, more...)...); err != nil {
		return err
	}
	copy(r.Hash[:], hash)
	r.Message, r.Received, r.ReclassifiedAt = message.Bytes, moment(received), moment(at)
	return nil
}

// Report reads one report, its raw form included.
func (d *DB) Report(ctx context.Context, account int64, id waypost.UUID) (store.Report, error) {
	return one(ctx, d, "read report "+id.String(), func(row pgx.CollectableRow) (r store.Report, err error) {
		var raw []byte
		if err = scanReport(row, &r, &raw); err == nil {
			r.Raw, err = store.DecodeRaw(raw)
		}
		return r, err
	}, "SELECT "+reportColumns+", raw FROM report WHERE id = $1 AND account = $2", uuid(id), account)
}

// ListReports lists reports, newest first.
func (d *DB) ListReports(ctx context.Context, q store.ReportQuery) ([]store.Report, error) {
	query := "SELECT " + reportColumns + ` FROM report WHERE account = $1 AND ($2::bigint = 0 OR sub_account = $2) AND ($3::text = '' OR kind = $3)
AND ($4::text = '' OR status = $4) ORDER BY id DESC LIMIT $5 OFFSET $6`
	args := []any{q.Account, q.SubAccount, clean(q.Kind), clean(string(q.Status)), min(max(q.Limit, 1), 1000), max(q.Offset, 0)}
	if !q.Message.IsZero() {
		query = "SELECT " + reportColumns + ` FROM report WHERE message = $7 AND account = $1 AND ($2::bigint = 0 OR sub_account = $2)
AND ($3::text = '' OR kind = $3) AND ($4::text = '' OR status = $4) ORDER BY id DESC LIMIT $5 OFFSET $6`
		args = append(args, uuid(q.Message))
	}
	return list(ctx, d, "list reports", func(row pgx.CollectableRow) (r store.Report, err error) {
		err = scanReport(row, &r)
		return r, err
	}, query, args...)
}

// PruneReports deletes old reports, the oldest first.
func (d *DB) PruneReports(ctx context.Context, before time.Time, limit int) (int, error) {
	edge := waypost.NewUUID(before)
	clear(edge[6:])
	tag, err := d.pool.Exec(ctx, "DELETE FROM report WHERE id IN (SELECT id FROM report WHERE id < $1 ORDER BY id LIMIT $2)", uuid(edge), limit)
	return int(tag.RowsAffected()), wrap(ctx, "prune reports", err)
}

// Reclassify works in a transaction of its own, which holds the report's row:
// two verdicts on one report follow each other.
func (d *DB) Reclassify(ctx context.Context, r store.Reclassification) error {
	err := pgx.BeginFunc(ctx, d.pool, func(conn pgx.Tx) error {
		t := newTx(conn.Conn(), 0)
		if err := d.reclassify(ctx, t, &r); err != nil {
			return err
		}
		if err := t.finish(ctx, d.slot); err != nil {
			return err
		}
		return t.send(ctx, &t.last)
	})
	if errors.Is(err, store.ErrNotFound) {
		return err
	}
	return wrap(ctx, "reclassify report "+r.Report.String(), err)
}

func (d *DB) reclassify(ctx context.Context, t *tx, r *store.Reclassification) error {
	var message waypost.UUID
	err := t.conn.QueryRow(ctx, "SELECT message FROM report WHERE id = $1 AND account = $2 AND message IS NOT NULL FOR UPDATE",
		uuid(r.Report), r.Account).Scan(into(&message))
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrNotFound
	}
	if err != nil {
		return err
	}
	rows, err := t.conn.Query(ctx, "SELECT "+eventColumns+` FROM event e WHERE e.message = $1 AND e.type IN ($2, $3) AND NOT e.evidence
ORDER BY e.id FOR UPDATE`, uuid(message), int16(waypost.CSHardBounced), int16(waypost.CSSoftBounced))
	if err != nil {
		return err
	}
	old, err := pgx.CollectRows(rows, scanEvent)
	if err != nil {
		return err
	}
	if err := d.replaceBounces(ctx, t, r, message, old); err != nil {
		return err
	}
	if r.Suppress != nil {
		t.queue(addSuppressions, suppressionArgs([]waypost.Suppression{*r.Suppress})...)
	} else {
		t.queue("DELETE FROM suppression WHERE message = $1 AND email = $2 AND reason = $3", uuid(message), clean(r.Email), int16(waypost.SuppressHardBounce))
	}
	status := store.ReportCounted
	if r.Event == nil {
		status = store.ReportIgnored
	}
	t.queue("UPDATE report SET reclassified = $1, reclassified_at = $2, status = $3 WHERE id = $4", r.Verdict, millis(r.At), string(status), uuid(r.Report))
	return nil
}

// replaceBounces makes old evidence and counts the new event, unless old is of
// the new one's type already.
func (d *DB) replaceBounces(ctx context.Context, t *tx, r *store.Reclassification, message waypost.UUID, old []waypost.Event) error {
	if r.Event != nil && len(old) == 1 && old[0].Type == r.Event.Type {
		return nil
	}
	facets, err := t.facets(ctx, message)
	if err != nil {
		return err
	}
	for i := range old {
		e := &old[i]
		e.Facets = facets
		t.counted.add(e, -1)
		t.queue("UPDATE event SET evidence = true WHERE id = $1 AND message = $2", e.ID, uuid(message))
	}
	if r.Event == nil {
		t.queue("DELETE FROM fact_key WHERE message = $1 AND kind = 2 AND key = $2", uuid(message), store.OnceBounce)
		t.queue("INSERT INTO unsettled SELECT id, account FROM message WHERE id = $1 ON CONFLICT DO NOTHING", uuid(message))
		return nil
	}
	t.queue("INSERT INTO fact_key (message, kind, key) VALUES ($1, 2, $2) ON CONFLICT DO NOTHING", uuid(message), store.OnceBounce)
	e := *r.Event
	e.Facets = facets
	if len(old) > 0 {
		e.At = old[0].At
	}
	o := &op{}
	if err := o.addEvent(&e); err != nil {
		return err
	}
	d.enter(t, o)
	return t.copy(ctx, eventCopy, []*op{o}, func(o *op) rows { return o.events })
}

// facets are those of a message: what its events were counted under.
func (t *tx) facets(ctx context.Context, message waypost.UUID) (waypost.Facets, error) {
	var r facetRow
	err := t.conn.QueryRow(ctx, "SELECT "+facetColumns+" FROM message m WHERE m.id = $1", uuid(message)).Scan(r.dest()...)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return waypost.Facets{}, err
	}
	return r.value()
}
