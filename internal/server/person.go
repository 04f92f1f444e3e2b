package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dash"
	"github.com/waypost-mail/waypost/internal/store"
)

// LoginLink makes a link that logs a person in to the dashboard once, within
// [dash.LinkLife], whatever is set about passwords and single sign-on. With
// owner the person is made one first, and is made when there is none with the
// address. It works on the database itself: with SQLite no server may run.
func LoginLink(ctx context.Context, c Config, email string, owner bool) (string, error) {
	if err := c.Check(); err != nil {
		return "", err
	}
	email = waypost.FoldEmail(email)
	if err := waypost.CheckEmail(email); err != nil {
		return "", fmt.Errorf("%q is no e-mail address: %w", email, err)
	}
	if _, err := os.Stat(filepath.Join(c.Data, "waypost.db")); c.Database == "" && err != nil {
		return "", asOwner(fmt.Errorf("there is no installation in %s: %w", c.Data, err), c.Data)
	}
	s, err := openStore(ctx, &c)
	if err != nil {
		return "", asOwner(err, c.Data)
	}
	link, err := loginLink(ctx, s, email, owner, time.Now().Truncate(time.Millisecond))
	if err = errors.Join(err, s.Close()); err != nil {
		return "", err
	}
	return strings.TrimRight(dashboardURL(&c), "/") + link, nil
}

func loginLink(ctx context.Context, s store.Store, email string, owner bool, now time.Time) (string, error) {
	account, err := s.FirstAccount(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return "", errors.New("there is no installation here; waypost init makes one")
	}
	if err != nil {
		return "", fmt.Errorf("look for the account: %w", err)
	}
	p, err := s.PersonByEmail(ctx, email)
	switch {
	case errors.Is(err, store.ErrNotFound) && owner:
		p = waypost.Person{Account: account.ID, Email: email, Role: waypost.RoleOwner, Created: now}
		if err := s.CreatePerson(ctx, &p); err != nil {
			return "", fmt.Errorf("store a person: %w", err)
		}
	case errors.Is(err, store.ErrNotFound):
		return "", fmt.Errorf("nobody here has the address %s; with --owner an owner with it is made", email)
	case err != nil:
		return "", fmt.Errorf("look for a person: %w", err)
	case owner && p.Role != waypost.RoleOwner:
		id := p.ID
		p, err = s.ChangePerson(ctx, p.Account, id, func(now *waypost.Person) error { now.Role = waypost.RoleOwner; return nil })
		if err != nil {
			return "", fmt.Errorf("store the role of person %d: %w", id, err)
		}
	}
	link, err := dash.LoginLink(ctx, s, &p, now)
	if err != nil {
		return "", err
	}
	err = s.AddAudit(ctx, &waypost.Audit{
		Account: account.ID, At: now, Actor: "waypost person link", Action: "person.link", Object: fmt.Sprintf("person %d", p.ID),
		Text: fmt.Sprintf("made a link that logs %s in once, as %s", email, p.Role),
	})
	if err != nil {
		return "", fmt.Errorf("write the audit log: %w", err)
	}
	return link, nil
}
