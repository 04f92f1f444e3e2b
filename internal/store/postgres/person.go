package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const personColumns = `id, account, email, name, role, password, created, last_login`

func scanPerson(row pgx.CollectableRow) (p waypost.Person, err error) {
	var created, login int64
	err = row.Scan(&p.ID, &p.Account, &p.Email, &p.Name, (*string)(&p.Role), &p.Password, &created, &login)
	p.Created, p.LastLogin = moment(created), moment(login)
	return p, err
}

// CreatePerson stores a person.
func (d *DB) CreatePerson(ctx context.Context, p *waypost.Person) error {
	return wrap(ctx, "create person "+p.Email, d.pool.QueryRow(ctx,
		`INSERT INTO person (account, email, name, role, password, created, last_login)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`, p.Account, clean(p.Email), clean(p.Name), clean(string(p.Role)), clean(p.Password),
		millis(p.Created), millis(p.LastLogin)).Scan(&p.ID))
}

// UpdatePerson stores everything of a person but the creation.
func (d *DB) UpdatePerson(ctx context.Context, p *waypost.Person) error {
	return d.change(ctx, "update person "+p.Email, `UPDATE person SET email = $3, name = $4, role = $5, password = $6, last_login = $7
WHERE id = $1 AND account = $2`, p.ID, p.Account, clean(p.Email), clean(p.Name), clean(string(p.Role)), clean(p.Password),
		millis(p.LastLogin))
}

// ChangePerson changes a person under the lock of the account's people.
func (d *DB) ChangePerson(ctx context.Context, account, id int64, change func(*waypost.Person) error) (waypost.Person, error) {
	var out waypost.Person
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		p, err := lockPerson(ctx, tx, account, id)
		if err != nil {
			return err
		}
		kept := p
		if err := change(&p); err != nil {
			return err
		}
		if err := keepOwner(ctx, tx, &kept, p.Role); err != nil {
			return err
		}
		p.ID, p.Account, p.Created = kept.ID, kept.Account, kept.Created
		out = p
		_, err = tx.Exec(ctx, `UPDATE person SET email = $2, name = $3, role = $4, password = $5, last_login = $6 WHERE id = $1`,
			id, clean(p.Email), clean(p.Name), clean(string(p.Role)), clean(p.Password), millis(p.LastLogin))
		return err
	})
	if err != nil {
		return waypost.Person{}, wrap(ctx, fmt.Sprintf("change person %d", id), err)
	}
	return out, nil
}

// DeletePerson deletes a person of an account.
func (d *DB) DeletePerson(ctx context.Context, account, id int64) error {
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		p, err := lockPerson(ctx, tx, account, id)
		if err != nil {
			return err
		}
		if err := keepOwner(ctx, tx, &p, ""); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `DELETE FROM person WHERE id = $1 AND account = $2`, id, account)
		return err
	})
	return wrap(ctx, fmt.Sprintf("delete person %d", id), err)
}

// lockPerson reads a person and keeps everybody else from changing people of
// the account until the transaction ends: of two owners who make each other
// something else at the same time on two nodes, one stays.
func lockPerson(ctx context.Context, tx pgx.Tx, account, id int64) (waypost.Person, error) {
	if _, err := tx.Exec(ctx, `SELECT id FROM account WHERE id = $1 FOR UPDATE`, account); err != nil {
		return waypost.Person{}, err
	}
	rows, err := tx.Query(ctx, `SELECT `+personColumns+` FROM person WHERE id = $1 AND account = $2 FOR UPDATE`, id, account)
	if err != nil {
		return waypost.Person{}, err
	}
	return pgx.CollectExactlyOneRow(rows, scanPerson)
}

// keepOwner fails when p is the only owner of its account and would have
// another role, or none.
func keepOwner(ctx context.Context, tx pgx.Tx, p *waypost.Person, role waypost.Role) error {
	if p.Role != waypost.RoleOwner || role == waypost.RoleOwner {
		return nil
	}
	var others bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM person WHERE account = $1 AND role = $2 AND id <> $3)`,
		p.Account, string(waypost.RoleOwner), p.ID).Scan(&others)
	if err == nil && !others {
		err = store.ErrLastOwner
	}
	return err
}

// Person finds a person.
func (d *DB) Person(ctx context.Context, id int64) (waypost.Person, error) {
	return one(ctx, d, fmt.Sprintf("person %d", id), scanPerson, `SELECT `+personColumns+` FROM person WHERE id = $1`, id)
}

// PersonByEmail finds a person by address.
func (d *DB) PersonByEmail(ctx context.Context, email string) (waypost.Person, error) {
	return one(ctx, d, "person "+email, scanPerson, `SELECT `+personColumns+` FROM person WHERE email = $1`, clean(email))
}

// People lists the people of an account.
func (d *DB) People(ctx context.Context, account int64) ([]waypost.Person, error) {
	return list(ctx, d, "list people", scanPerson, `SELECT `+personColumns+` FROM person WHERE account = $1 ORDER BY id`, account)
}

// SaveSession stores a session.
func (d *DB) SaveSession(ctx context.Context, token [32]byte, data []byte, expires time.Time) error {
	if data == nil {
		data = []byte{}
	}
	_, err := d.pool.Exec(ctx, `INSERT INTO session (token, data, expires) VALUES ($1, $2, $3)
ON CONFLICT (token) DO UPDATE SET data = excluded.data, expires = excluded.expires`, token[:], data, millis(expires))
	return wrap(ctx, "save a session", err)
}

// RenewSession stores data and end of a session that is there.
func (d *DB) RenewSession(ctx context.Context, token [32]byte, data []byte, expires time.Time) error {
	if data == nil {
		data = []byte{}
	}
	return d.change(ctx, "renew a session", `UPDATE session SET data = $2, expires = $3 WHERE token = $1`, token[:], data, millis(expires))
}

// Session finds a live session.
func (d *DB) Session(ctx context.Context, token [32]byte, now time.Time) ([]byte, error) {
	return one(ctx, d, "session", pgx.RowTo[[]byte], `SELECT data FROM session WHERE token = $1 AND expires > $2`, token[:], now.UnixMilli())
}

// DeleteSession ends a session; one that is gone is no error.
func (d *DB) DeleteSession(ctx context.Context, token [32]byte) error {
	_, err := d.pool.Exec(ctx, `DELETE FROM session WHERE token = $1`, token[:])
	return wrap(ctx, "end a session", err)
}

// PruneSessions deletes the sessions that expired before a time.
func (d *DB) PruneSessions(ctx context.Context, before time.Time) error {
	_, err := d.pool.Exec(ctx, `DELETE FROM session WHERE expires < $1`, before.UnixMilli())
	return wrap(ctx, "prune sessions", err)
}
