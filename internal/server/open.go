package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
)

// open makes the data directory and opens its key file, and the database that
// the configuration names. A key file is made only for a new installation: one
// that is lost, or of another installation, would leave every sealed password
// and DKIM key of the database unreadable.
func open(ctx context.Context, c *Config) (*secret.Box, store.Store, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, nil, asOwner(fmt.Errorf("make data directory: %w", err), c.Data)
	}
	path := filepath.Join(c.Data, keyName)
	_, err := os.Stat(path)
	fresh := errors.Is(err, fs.ErrNotExist)
	s, err := openStore(ctx, c)
	if err != nil {
		return nil, nil, asOwner(err, c.Data)
	}
	box, err := openBox(ctx, path, fresh, s)
	if err != nil {
		return nil, nil, errors.Join(asOwner(err, c.Data), s.Close())
	}
	return box, s, nil
}

func openBox(ctx context.Context, path string, fresh bool, s store.Store) (*secret.Box, error) {
	if fresh {
		switch installed, err := s.Installed(ctx); {
		case err != nil:
			return nil, fmt.Errorf("look for an installation: %w", err)
		case installed:
			return nil, fmt.Errorf("the database has an installation, and there is no key file %s, which opens its passwords and DKIM keys: put it back from your backup, or for a further node copy it from the first", path)
		}
		return secret.OpenOrCreate(path)
	}
	box, err := secret.Open(path)
	if err != nil {
		return nil, err
	}
	return box, matches(ctx, box, path, s)
}

// matches holds a key file against what is sealed in the database. One domain
// or provider that it opens is proof.
func matches(ctx context.Context, box *secret.Box, path string, s store.Store) error {
	const most = 20
	domains, err := s.DomainsDue(ctx, time.Now().AddDate(100, 0, 0), most)
	if err != nil {
		return fmt.Errorf("look for sealed keys: %w", err)
	}
	var providers []waypost.Provider
	switch account, err := s.FirstAccount(ctx); {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("look for the account: %w", err)
	default:
		if providers, err = s.Providers(ctx, account.ID, store.Page{Limit: most}); err != nil {
			return fmt.Errorf("look for sealed passwords: %w", err)
		}
	}
	sealed := 0
	for i := range domains {
		for _, k := range domains[i].SigningKeys() {
			if len(k.Key) == 0 {
				continue
			}
			if sealed++; isOpened(senderdomain.OpenKey(box, k.Key)) {
				return nil
			}
		}
	}
	for i := range providers {
		if len(providers[i].Password) == 0 {
			continue
		}
		if sealed++; isOpened(box.Open(providers[i].Password, queue.PasswordPlace)) {
			return nil
		}
	}
	if sealed > 0 {
		return fmt.Errorf("the key file %s is of another installation: it opens no password and no DKIM key of this database; put the right one back from your backup, or copy it from the first node", path)
	}
	return nil
}

func isOpened[T any](_ T, err error) bool { return err == nil }

// asOwner says what to do about files that this user may not use.
func asOwner(err error, dir string) error {
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w; this process runs as user %d: start it as the owner of %s, or give the directory to this user with chown -R", err, os.Getuid(), dir)
}

// listenOn opens a listen address; of says what for.
func listenOn(ctx context.Context, of, addr string) (net.Listener, error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		err = fmt.Errorf("%w; another program has this port (ss -ltnp shows which): stop it, or choose another address", err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		err = fmt.Errorf("%w; this machine has no such address: choose one of its own, or leave the host out to listen on all", err)
	case errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("%w; ports below 1024 need the capability CAP_NET_BIND_SERVICE, which the systemd unit gives", err)
	}
	return nil, fmt.Errorf("listen for %s on %s: %w", of, addr, err)
}

// openStore opens the engine that the configuration names and brings its
// schema up to date.
func openStore(ctx context.Context, c *Config) (store.Store, error) {
	if c.Database != "" {
		s, err := postgres.Open(ctx, c.Database, postgres.Options{Log: c.Log})
		if err != nil {
			return nil, fmt.Errorf("open PostgreSQL: %w", err)
		}
		return s, nil
	}
	path := filepath.Join(c.Data, databaseName)
	s, err := sqlite.Open(ctx, path, sqlite.Options{Log: c.Log})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return s, nil
}

// resolver asks the configured DNS server, nil for the system's.
func resolver(c *Config) *net.Resolver {
	if c.DNSResolver == "" {
		return nil
	}
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, c.DNSResolver)
		},
	}
}
