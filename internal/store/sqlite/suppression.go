package sqlite

import (
	"context"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// Suppressed implements [store.Suppressions].
func (d *DB) Suppressed(ctx context.Context, subAccount int64, emails []string, now time.Time) (map[string]waypost.Suppression, error) {
	out := map[string]waypost.Suppression{}
	if len(emails) == 0 {
		return out, nil
	}
	in, args := among(emails, 2, func(e *string) any { return *e })
	all, err := list(ctx, d, "look up suppressions", scanSuppression,
		"SELECT "+suppressionColumns+` FROM suppression
WHERE sub_account = $1 AND (expires = 0 OR expires > $2) AND email IN (`+in+")",
		append([]any{subAccount, now.UnixMilli()}, args...)...)
	for _, s := range all {
		out[s.Email] = s
	}
	return out, err
}

const suppressionColumns = "id, account, sub_account, email, reason, text, message, created, expires"

func scanSuppression(row scanner, s *waypost.Suppression) error {
	var message []byte
	var created, expires int64
	if err := row.Scan(&s.ID, &s.Account, &s.SubAccount, &s.Email, &s.Reason, &s.Text, &message, &created, &expires); err != nil {
		return err
	}
	copy(s.Message[:], message)
	s.Created, s.Expires = moment(created), moment(expires)
	return nil
}

// Suppress implements [store.Suppressions]. A row that has expired is replaced.
func (d *DB) Suppress(ctx context.Context, all []waypost.Suppression) (added int, err error) {
	if len(all) == 0 {
		return 0, nil
	}
	err = d.do(ctx, "suppress", 100*len(all), func(tx *tx) error {
		added = 0
		for i := range all {
			n, err := tx.suppress(&all[i])
			if err != nil {
				return err
			}
			added += int(n)
		}
		return nil
	})
	return added, err
}

const upsertSuppression = `INSERT INTO suppression (account, sub_account, email, reason, text, message, created, expires)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (sub_account, email) DO UPDATE SET
account = excluded.account, reason = excluded.reason, text = excluded.text, message = excluded.message,
created = excluded.created, expires = excluded.expires
WHERE suppression.expires <> 0 AND suppression.expires <= excluded.created`

func (t *tx) suppress(s *waypost.Suppression) (added int64, err error) {
	return t.exec(upsertSuppression, s.Account, s.SubAccount, s.Email, int64(s.Reason), s.Text, blob(s.Message),
		millis(s.Created), millis(s.Expires))
}

// Unsuppress implements [store.Suppressions].
func (d *DB) Unsuppress(ctx context.Context, subAccount int64, emails []string) ([]waypost.Suppression, error) {
	if len(emails) == 0 {
		return nil, nil
	}
	var out []waypost.Suppression
	in, args := among(emails, 1, func(e *string) any { return *e })
	args = append([]any{subAccount}, args...)
	err := d.do(ctx, "remove suppressions", 100*len(emails), func(tx *tx) error {
		rows, err := tx.rows("SELECT "+suppressionColumns+" FROM suppression WHERE sub_account = $1 AND email IN ("+in+")", args...)
		if err != nil {
			return err
		}
		if out, err = collect[waypost.Suppression](rows, "read suppressions", scanSuppression); err != nil {
			return err
		}
		for i := range out {
			if _, err := tx.exec("DELETE FROM suppression WHERE id = $1", out[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// suppressionFilter is the condition of a query, without its page, and what it
// selects from: ids, and what a filter may ask of them, which an index holds.
func suppressionFilter(q *store.SuppressionQuery) (f *filter, from string) {
	f, from = &filter{}, "suppression"
	if q.Email == "" && q.Domain == "" {
		from += " INDEXED BY suppression_list"
	}
	f.and("sub_account = ?", q.SubAccount)
	if q.Email != "" {
		f.and("email = ?", q.Email)
	}
	if q.Domain != "" {
		f.and(domainOfEmail+" = ?", q.Domain)
	}
	if q.Before != 0 {
		f.and("id < ?", q.Before)
	}
	if q.Look > 0 { // what no index serves is decided on so many
		from = "(SELECT id, email, reason, created, expires FROM " + from + f.where() + " ORDER BY id DESC LIMIT " + f.arg(q.Look) + ")"
		f.conds = nil
	}
	f.and("(expires = 0 OR expires > ?)", q.Now.UnixMilli())
	if len(q.Reasons) > 0 {
		f.anyOf("reason", len(q.Reasons), func(i int) any { return int64(q.Reasons[i]) })
	}
	if q.Search != "" {
		f.and("instr(email, ?) > 0", strings.ToLower(q.Search)) // addresses are folded
	}
	if !q.From.IsZero() {
		f.and("created >= ?", ceilMillis(q.From))
	}
	if !q.To.IsZero() {
		f.and("created < ?", ceilMillis(q.To))
	}
	return f, from
}

// domainOfEmail is the expression of the index suppression_domain.
const domainOfEmail = "substr(email, instr(email, '@') + 1)"

// ListSuppressions implements [store.Suppressions].
func (d *DB) ListSuppressions(ctx context.Context, q store.SuppressionQuery) ([]waypost.Suppression, error) {
	f, from := suppressionFilter(&q)
	return list(ctx, d, "list suppressions", scanSuppression,
		"SELECT "+suppressionColumns+" FROM suppression WHERE id IN (SELECT id FROM "+from+f.where()+" ORDER BY id DESC"+f.page(q.Limit, q.Offset)+") ORDER BY id DESC", f.args...)
}

// CountSuppressions implements [store.Suppressions].
func (d *DB) CountSuppressions(ctx context.Context, q store.SuppressionQuery) (int, error) {
	q.Before = 0 // of the page
	f, from := suppressionFilter(&q)
	return one(ctx, d, "count suppressions", func(row scanner, n *int) error { return row.Scan(n) },
		"SELECT count(*) FROM "+from+f.where(), f.args...)
}

// PruneSuppressions implements [store.Suppressions].
func (d *DB) PruneSuppressions(ctx context.Context, before time.Time, limit int) (int, error) {
	return d.prune(ctx, "prune suppressions", `DELETE FROM suppression WHERE id IN
(SELECT id FROM suppression WHERE expires <> 0 AND expires < $1 ORDER BY expires LIMIT $2)`, before.UnixMilli(), max(limit, 0))
}
