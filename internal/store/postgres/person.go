package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
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

// ChangePerson changes a person under the lock of its row.
func (d *DB) ChangePerson(ctx context.Context, account, id int64, change func(*waypost.Person) error) (waypost.Person, error) {
	var out waypost.Person
	err := pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT `+personColumns+` FROM person WHERE id = $1 AND account = $2 FOR UPDATE`, id, account)
		if err != nil {
			return err
		}
		p, err := pgx.CollectExactlyOneRow(rows, scanPerson)
		if err != nil {
			return err
		}
		kept := p
		if err := change(&p); err != nil {
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
	return d.change(ctx, fmt.Sprintf("delete person %d", id), `DELETE FROM person WHERE id = $1 AND account = $2`, id, account)
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
