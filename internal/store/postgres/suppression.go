package postgres

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// addSuppressions keeps a row that is there, unless it has expired.
const addSuppressions = `INSERT INTO suppression (account, sub_account, email, reason, text, message, created, expires)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::smallint[], $5::text[], $6::uuid[], $7::bigint[], $8::bigint[])
ON CONFLICT (sub_account, email) DO UPDATE SET account = excluded.account, reason = excluded.reason, text = excluded.text,
  message = excluded.message, created = excluded.created, expires = excluded.expires
WHERE suppression.expires <> 0 AND suppression.expires <= excluded.created`

// suppressionArgs are the arguments of addSuppressions: of several for one
// address the first, and in one order on every node.
func suppressionArgs(all []waypost.Suppression) []any {
	type key struct {
		sub   int64
		email string
	}
	seen := map[key]bool{}
	var rows []waypost.Suppression
	for _, s := range all {
		s.Email = clean(s.Email)
		if k := (key{s.SubAccount, s.Email}); !seen[k] {
			seen[k] = true
			rows = append(rows, s)
		}
	}
	slices.SortFunc(rows, func(a, b waypost.Suppression) int {
		return cmp.Or(cmp.Compare(a.SubAccount, b.SubAccount), cmp.Compare(a.Email, b.Email))
	})
	var accounts, subs, created, expires []int64
	var emails, texts []string
	var reasons []int16
	var messages []pgtype.UUID
	for _, s := range rows {
		accounts, subs, emails = append(accounts, s.Account), append(subs, s.SubAccount), append(emails, s.Email)
		reasons, texts, messages = append(reasons, int16(s.Reason)), append(texts, clean(s.Text)), append(messages, uuid(s.Message))
		created, expires = append(created, millis(s.Created)), append(expires, millis(s.Expires))
	}
	return []any{accounts, subs, emails, reasons, texts, messages, created, expires}
}

const suppressionColumns = `id, account, sub_account, email, reason, text, message, created, expires`

func scanSuppression(row pgx.CollectableRow) (s waypost.Suppression, err error) {
	var message pgtype.UUID
	var created, expires int64
	err = row.Scan(&s.ID, &s.Account, &s.SubAccount, &s.Email, (*int16)(&s.Reason), &s.Text, &message, &created, &expires)
	s.Message, s.Created, s.Expires = message.Bytes, moment(created), moment(expires)
	return s, err
}

// Suppress adds addresses.
func (d *DB) Suppress(ctx context.Context, all []waypost.Suppression) (added int, err error) {
	if len(all) == 0 {
		return 0, ctx.Err()
	}
	tag, err := d.pool.Exec(ctx, addSuppressions, suppressionArgs(all)...)
	return int(tag.RowsAffected()), wrap(ctx, "suppress addresses", err)
}

// Suppressed finds which of the addresses are suppressed.
func (d *DB) Suppressed(ctx context.Context, subAccount int64, emails []string, now time.Time) (map[string]waypost.Suppression, error) {
	out := map[string]waypost.Suppression{}
	if len(emails) == 0 {
		return out, nil
	}
	asked := make([]string, len(emails))
	for i, e := range emails {
		asked[i] = clean(e)
	}
	all, err := list(ctx, d, "look up suppressions", scanSuppression, `SELECT `+suppressionColumns+` FROM suppression
WHERE sub_account = $1 AND email = ANY($2) AND (expires = 0 OR expires > $3)`, subAccount, asked, now.UnixMilli())
	byEmail := make(map[string]waypost.Suppression, len(all))
	for _, s := range all {
		byEmail[s.Email] = s
	}
	for i, e := range asked {
		if s, ok := byEmail[e]; ok {
			out[emails[i]] = s
		}
	}
	return out, err
}

// Unsuppress removes addresses and gives the rows that went.
func (d *DB) Unsuppress(ctx context.Context, subAccount int64, emails []string) ([]waypost.Suppression, error) {
	if len(emails) == 0 {
		return nil, ctx.Err()
	}
	asked := make([]string, len(emails))
	for i, e := range emails {
		asked[i] = clean(e)
	}
	return list(ctx, d, "remove suppressions", scanSuppression,
		`DELETE FROM suppression WHERE sub_account = $1 AND email = ANY($2) RETURNING `+suppressionColumns, subAccount, asked)
}

// suppressionFilter is the condition of a query, without its page, and what it
// selects from.
func suppressionFilter(q *store.SuppressionQuery) (f *filter, from string) {
	f, from = &filter{}, "suppression"
	f.and("sub_account = ?", q.SubAccount)
	if q.Email != "" {
		f.and("email = ?", clean(q.Email))
	}
	if q.Domain != "" {
		f.and("split_part(email, '@', 2) = ?", clean(q.Domain)) // the index suppression_domain
	}
	if q.Before != 0 {
		f.and("id < ?", q.Before)
	}
	if q.Look > 0 { // what no index serves is decided on so many
		from = "(SELECT id, email, reason, created, expires FROM suppression" + f.where() + " ORDER BY id DESC LIMIT " + f.arg(q.Look) + ") AS looked"
		f.conds = nil
	}
	f.and("(expires = 0 OR expires > ?)", q.Now.UnixMilli())
	if len(q.Reasons) > 0 {
		reasons := make([]int16, len(q.Reasons))
		for i, r := range q.Reasons {
			reasons[i] = int16(r)
		}
		f.and("reason = ANY(?)", reasons)
	}
	if q.Search != "" {
		f.and("strpos(lower(email), lower(?)) > 0", clean(q.Search))
	}
	if !q.From.IsZero() {
		f.and("created >= ?", ceilMillis(q.From))
	}
	if !q.To.IsZero() {
		f.and("created < ?", ceilMillis(q.To))
	}
	return f, from
}

// ListSuppressions lists suppressions, newest first.
func (d *DB) ListSuppressions(ctx context.Context, q store.SuppressionQuery) ([]waypost.Suppression, error) {
	f, from := suppressionFilter(&q)
	return list(ctx, d, "list suppressions", scanSuppression,
		`SELECT `+suppressionColumns+` FROM suppression WHERE id IN (SELECT id FROM `+from+f.where()+` ORDER BY id DESC`+f.page(q.Limit, q.Offset)+`) ORDER BY id DESC`, append([]any{planned}, f.args...)...)
}

// CountSuppressions counts what a query selects.
func (d *DB) CountSuppressions(ctx context.Context, q store.SuppressionQuery) (n int, err error) {
	q.Before = 0 // of the page
	f, from := suppressionFilter(&q)
	err = d.pool.QueryRow(ctx, `SELECT count(*) FROM `+from+f.where(), append([]any{planned}, f.args...)...).Scan(&n)
	return n, wrap(ctx, "count suppressions", err)
}

// PruneSuppressions deletes rows that expired, the longest ago first.
func (d *DB) PruneSuppressions(ctx context.Context, before time.Time, limit int) (int, error) {
	tag, err := d.pool.Exec(ctx, `DELETE FROM suppression WHERE id IN (
  SELECT id FROM suppression WHERE expires <> 0 AND expires < $1 ORDER BY expires LIMIT $2)`, before.UnixMilli(), max(limit, 0))
	return int(tag.RowsAffected()), wrap(ctx, "prune suppressions", err)
}
