package sqlite

import (
	"context"
	"time"

	"github.com/waypost-mail/waypost"
)

// Suppressed implements [store.Suppressions].
func (d *DB) Suppressed(ctx context.Context, subAccount int64, emails []string, now time.Time) (map[string]waypost.Suppression, error) {
	out := map[string]waypost.Suppression{}
	if len(emails) == 0 {
		return out, nil
	}
	in, args := among(emails, 2, func(e *string) any { return *e })
	all, err := list(ctx, d, "look up suppressions", scanSuppression,
		`SELECT id, account, sub_account, email, reason, text, message, created, expires FROM suppression
WHERE sub_account = $1 AND (expires = 0 OR expires > $2) AND email IN (`+in+")",
		append([]any{subAccount, now.UnixMilli()}, args...)...)
	for _, s := range all {
		out[s.Email] = s
	}
	return out, err
}

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
