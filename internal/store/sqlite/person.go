package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// CreatePerson implements [store.People].
func (d *DB) CreatePerson(ctx context.Context, p *waypost.Person) error {
	return d.do(ctx, "create a person", 0, func(tx *tx) (err error) {
		p.ID, err = tx.insert(`INSERT INTO person (account, email, name, role, password, created, last_login)
VALUES ($1, $2, $3, $4, $5, $6, $7)`, p.Account, p.Email, p.Name, string(p.Role), p.Password, millis(p.Created), millis(p.LastLogin))
		return err
	})
}

// UpdatePerson implements [store.People].
func (d *DB) UpdatePerson(ctx context.Context, p *waypost.Person) error {
	return d.do(ctx, fmt.Sprintf("update person %d", p.ID), 0, func(tx *tx) error {
		return tx.updatePerson(p)
	})
}

func (t *tx) updatePerson(p *waypost.Person) error {
	n, err := t.exec(`UPDATE person SET email = $1, name = $2, role = $3, password = $4, last_login = $5 WHERE id = $6 AND account = $7`,
		p.Email, p.Name, string(p.Role), p.Password, millis(p.LastLogin), p.ID, p.Account)
	return found(n, taken(err))
}

// ChangePerson implements [store.People]. The committer runs one transaction
// at a time, so nothing comes between reading and writing.
func (d *DB) ChangePerson(ctx context.Context, account, id int64, change func(*waypost.Person) error) (waypost.Person, error) {
	var out waypost.Person
	err := d.do(ctx, fmt.Sprintf("change person %d", id), 0, func(tx *tx) error {
		p, err := tx.person(account, id)
		if err != nil {
			return err
		}
		kept := p
		if err := change(&p); err != nil {
			return err
		}
		if err := tx.keepOwner(&kept, p.Role); err != nil {
			return err
		}
		p.ID, p.Account, p.Created = kept.ID, kept.Account, kept.Created
		out = p
		return tx.updatePerson(&p)
	})
	if err != nil {
		return waypost.Person{}, err
	}
	return out, nil
}

// DeletePerson implements [store.People].
func (d *DB) DeletePerson(ctx context.Context, account, id int64) error {
	return d.do(ctx, fmt.Sprintf("delete person %d", id), 0, func(tx *tx) error {
		p, err := tx.person(account, id)
		if err != nil {
			return err
		}
		if err := tx.keepOwner(&p, ""); err != nil {
			return err
		}
		return found(tx.exec("DELETE FROM person WHERE id = $1 AND account = $2", id, account))
	})
}

func (t *tx) person(account, id int64) (waypost.Person, error) {
	rows, err := t.rows(selectPerson+" WHERE id = $1 AND account = $2", id, account)
	if err != nil {
		return waypost.Person{}, err
	}
	all, err := collect(rows, "read a person", scanPerson)
	if err != nil {
		return waypost.Person{}, err
	}
	if len(all) == 0 {
		return waypost.Person{}, store.ErrNotFound
	}
	return all[0], nil
}

// keepOwner fails when p is the only owner of its account and would have
// another role, or none.
func (t *tx) keepOwner(p *waypost.Person, role waypost.Role) error {
	if p.Role != waypost.RoleOwner || role == waypost.RoleOwner {
		return nil
	}
	rows, err := t.rows(selectPerson+" WHERE account = $1 AND role = $2 AND id <> $3 LIMIT 1", p.Account, string(waypost.RoleOwner), p.ID)
	if err != nil {
		return err
	}
	if others, err := collect(rows, "look for other owners", scanPerson); err != nil || len(others) > 0 {
		return err
	}
	return store.ErrLastOwner
}

const selectPerson = "SELECT id, account, email, name, role, password, created, last_login FROM person"

func scanPerson(row scanner, p *waypost.Person) error {
	var created, login int64
	err := row.Scan(&p.ID, &p.Account, &p.Email, &p.Name, &p.Role, &p.Password, &created, &login)
	p.Created, p.LastLogin = moment(created), moment(login)
	return err
}

// Person implements [store.People].
func (d *DB) Person(ctx context.Context, id int64) (waypost.Person, error) {
	return one(ctx, d, "find a person", scanPerson, selectPerson+" WHERE id = $1", id)
}

// PersonByEmail implements [store.People].
func (d *DB) PersonByEmail(ctx context.Context, email string) (waypost.Person, error) {
	return one(ctx, d, "find a person", scanPerson, selectPerson+" WHERE email = $1", email)
}

// People implements [store.People].
func (d *DB) People(ctx context.Context, account int64) ([]waypost.Person, error) {
	return list(ctx, d, "list people", scanPerson, selectPerson+" WHERE account = $1 ORDER BY id", account)
}

// SaveSession implements [store.People].
func (d *DB) SaveSession(ctx context.Context, token [32]byte, data []byte, expires time.Time) error {
	if data == nil {
		data = []byte{}
	}
	return d.do(ctx, "save a session", len(data), func(tx *tx) error {
		_, err := tx.exec("INSERT OR REPLACE INTO session (token, data, expires) VALUES ($1, $2, $3)", token[:], data, millis(expires))
		return err
	})
}

// RenewSession implements [store.People].
func (d *DB) RenewSession(ctx context.Context, token [32]byte, data []byte, expires time.Time) error {
	if data == nil {
		data = []byte{}
	}
	return d.do(ctx, "renew a session", len(data), func(tx *tx) error {
		return found(tx.exec("UPDATE session SET data = $1, expires = $2 WHERE token = $3", data, millis(expires), token[:]))
	})
}

// Session implements [store.People].
func (d *DB) Session(ctx context.Context, token [32]byte, now time.Time) ([]byte, error) {
	return one(ctx, d, "find a session", func(row scanner, b *[]byte) error { return row.Scan(b) },
		"SELECT data FROM session WHERE token = $1 AND expires > $2", token[:], now.UnixMilli())
}

// DeleteSession implements [store.People].
func (d *DB) DeleteSession(ctx context.Context, token [32]byte) error {
	return d.do(ctx, "delete a session", 0, func(tx *tx) error {
		_, err := tx.exec("DELETE FROM session WHERE token = $1", token[:])
		return err
	})
}

// PruneSessions implements [store.People].
func (d *DB) PruneSessions(ctx context.Context, before time.Time) error {
	return d.do(ctx, "prune sessions", 0, func(tx *tx) error {
		_, err := tx.exec("DELETE FROM session WHERE expires < $1", before.UnixMilli())
		return err
	})
}
