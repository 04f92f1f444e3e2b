package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// also reads columns that follow those of another scan.
type also struct {
	scanner
	more []any
}

// Scan reads dest, then more.
func (a also) Scan(dest ...any) error { return a.scanner.Scan(append(dest, a.more...)...) }

const selectReported = "SELECT " + messageColumns + `, EXISTS (SELECT 1 FROM event WHERE message = $1 AND type = 60 AND evidence = 0)
FROM message m WHERE m.id = $1`

// Reported implements [store.Reports].
func (d *DB) Reported(ctx context.Context, id waypost.UUID) (m waypost.Message, delivered bool, err error) {
	m, err = one(ctx, d, "find a reported message", func(row scanner, m *waypost.Message) error {
		return scanMessage(also{row, []any{&delivered}}, m)
	}, selectReported, id[:])
	return m, delivered, err
}

const insertReport = `INSERT INTO report (id, hash, received, account, sub_account, message, provider, envelope, kind, recipient,
verdict, reason, rule, code, enhanced, text, queue, status, note, reclassified, reclassified_at, raw)
VALUES ($1, $2, $3, coalesce(nullif($4, 0), (SELECT min(id) FROM account), 0), $5, $6, $7, $8, $9, $10,
$11, $12, $13, $14, $15, $16, $17, $18, $19, '', 0, $20) ON CONFLICT DO NOTHING`

// SaveReport implements [store.Reports].
func (d *DB) SaveReport(ctx context.Context, r *store.Report, facts []store.Fact) ([]store.Recorded, error) {
	out := make([]store.Recorded, len(facts))
	raw := store.EncodeRaw(r.Raw)
	err := d.do(ctx, "save report", 600+len(raw), func(tx *tx) (err error) {
		for i := range facts {
			if out[i], err = tx.record(&facts[i]); err != nil {
				return fmt.Errorf("fact about %s: %w", facts[i].Event.Message, err)
			}
		}
		status := r.Status
		if len(out) > 0 && out[0] == store.Evidence {
			status = store.ReportEvidence
		}
		_, err = tx.exec(insertReport, r.ID[:], r.Hash[:], millis(r.Received), r.Account, r.SubAccount, blob(r.Message), r.Provider,
			r.Envelope, r.Kind, r.Recipient, r.Verdict, string(r.Reason), r.Rule, r.Code, r.Enhanced, r.Text, string(r.Queue),
			string(status), r.Note, raw)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

const reportColumns = `id, hash, received, account, sub_account, message, provider, envelope, kind, recipient,
verdict, reason, rule, code, enhanced, text, queue, status, note, reclassified, reclassified_at`

// scanReport reads reportColumns and what follows them.
func scanReport(row scanner, r *store.Report, more ...any) error {
	var id, hash, message []byte
	var received, at int64
	dest := []any{
		&id, &hash, &received, &r.Account, &r.SubAccount, &message, &r.Provider, &r.Envelope, &r.Kind, &r.Recipient,
		&r.Verdict, &r.Reason, &r.Rule, &r.Code, &r.Enhanced, &r.Text, &r.Queue, &r.Status, &r.Note, &r.Reclassified, &at,
	}
	if err := row.Scan(append(dest, more...)...); err != nil {
		return err
	}
	copy(r.ID[:], id)
	copy(r.Hash[:], hash)
	copy(r.Message[:], message)
	r.Received, r.ReclassifiedAt = moment(received), moment(at)
	return nil
}

// Report implements [store.Reports].
func (d *DB) Report(ctx context.Context, account int64, id waypost.UUID) (store.Report, error) {
	return one(ctx, d, "read report "+id.String(), func(row scanner, r *store.Report) error {
		var raw []byte
		err := scanReport(row, r, &raw)
		if err == nil {
			r.Raw, err = store.DecodeRaw(raw)
		}
		return err
	}, "SELECT "+reportColumns+", raw FROM report WHERE id = $1 AND account = $2", id[:], account)
}

// ListReports implements [store.Reports].
func (d *DB) ListReports(ctx context.Context, q store.ReportQuery) ([]store.Report, error) {
	query := "SELECT " + reportColumns + ` FROM report WHERE account = $1 AND ($2 = 0 OR sub_account = $2) AND ($3 = '' OR kind = $3)
AND ($4 = '' OR status = $4) ORDER BY id DESC LIMIT $5 OFFSET $6`
	args := []any{q.Account, q.SubAccount, q.Kind, string(q.Status), min(max(q.Limit, 1), 1000), max(q.Offset, 0)}
	if !q.Message.IsZero() {
		query = "SELECT " + reportColumns + ` FROM report WHERE message = $7 AND account = $1 AND ($2 = 0 OR sub_account = $2)
AND ($3 = '' OR kind = $3) AND ($4 = '' OR status = $4) ORDER BY id DESC LIMIT $5 OFFSET $6`
		args = append(args, q.Message[:])
	}
	return list(ctx, d, "list reports", func(row scanner, r *store.Report) error { return scanReport(row, r) }, query, args...)
}

// PruneReports implements [store.Reports].
func (d *DB) PruneReports(ctx context.Context, before time.Time, limit int) (int, error) {
	var deleted int64
	edge := waypost.NewUUID(before)
	clear(edge[6:])
	err := d.do(ctx, "prune reports", 100*limit, func(tx *tx) (err error) {
		deleted, err = tx.exec("DELETE FROM report WHERE rowid IN (SELECT rowid FROM report WHERE id < $1 ORDER BY id LIMIT $2)", edge[:], limit)
		return err
	})
	return int(deleted), err
}

// Reclassify implements [store.Reports].
func (d *DB) Reclassify(ctx context.Context, r store.Reclassification) error {
	return d.do(ctx, "reclassify report "+r.Report.String(), 600, func(tx *tx) error { return tx.reclassify(&r) })
}

func (t *tx) reclassify(r *store.Reclassification) error {
	var id []byte
	found, err := t.row("SELECT message FROM report WHERE id = $1 AND account = $2 AND message IS NOT NULL", []any{r.Report[:], r.Account}, &id)
	if err != nil {
		return err
	}
	if !found {
		return store.ErrNotFound
	}
	var message waypost.UUID
	copy(message[:], id)
	old, err := t.countedBounces(message)
	if err != nil {
		return err
	}
	if err := t.replaceBounces(r, message, old); err != nil {
		return err
	}
	if r.Suppress != nil {
		_, err = t.suppress(r.Suppress)
	} else {
		_, err = t.exec("DELETE FROM suppression WHERE message = $1 AND email = $2 AND reason = $3", message[:], r.Email, int64(waypost.SuppressHardBounce))
	}
	if err != nil {
		return err
	}
	status := store.ReportCounted
	if r.Event == nil {
		status = store.ReportIgnored
	}
	_, err = t.exec("UPDATE report SET reclassified = $1, reclassified_at = $2, status = $3 WHERE id = $4", r.Verdict, millis(r.At), string(status), r.Report[:])
	return err
}

func (t *tx) countedBounces(message waypost.UUID) ([]waypost.Event, error) {
	rows, err := t.rows(selectEvent+" WHERE message = $1 AND type IN ($2, $3) AND evidence = 0 ORDER BY id",
		message[:], int64(waypost.CSHardBounced), int64(waypost.CSSoftBounced))
	if err != nil {
		return nil, err
	}
	return collect[waypost.Event](rows, "read counted bounces", scanEvent)
}

// replaceBounces makes old evidence and counts the new event, unless old is of
// the new one's type already.
func (t *tx) replaceBounces(r *store.Reclassification, message waypost.UUID, old []waypost.Event) error {
	if r.Event != nil && len(old) == 1 && old[0].Type == r.Event.Type {
		return nil
	}
	facets, err := t.facets(message)
	if err != nil {
		return err
	}
	for i := range old {
		e := &old[i]
		if _, err := t.exec("UPDATE event SET evidence = 1 WHERE id = $1", e.ID); err != nil {
			return err
		}
		e.Facets = facets
		t.uncount(e)
	}
	if r.Event == nil {
		if _, err := t.exec("DELETE FROM fact_key WHERE message = $1 AND kind = $2 AND key = $3", message[:], keyOnce, store.OnceBounce); err != nil {
			return err
		}
		_, err := t.exec("INSERT OR IGNORE INTO unsettled (message, account) SELECT id, account FROM message WHERE id = $1", message[:])
		return err
	}
	if _, err := t.key(message, keyOnce, store.OnceBounce); err != nil {
		return err
	}
	e := *r.Event
	e.Facets = facets
	if len(old) > 0 {
		e.At = old[0].At
	}
	return t.event(&e)
}

// facets are what the events of a message are counted under; none when it is
// past its retention.
func (t *tx) facets(message waypost.UUID) (waypost.Facets, error) {
	rows, err := t.rows(selectMessage+" WHERE m.id = $1", message[:])
	if err != nil {
		return waypost.Facets{}, err
	}
	all, err := collect(rows, "read a message", scanMessage)
	if err != nil || len(all) == 0 {
		return waypost.Facets{}, err
	}
	return all[0].Facets(), nil
}
