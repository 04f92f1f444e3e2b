package server

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
)

// openBox makes the data directory and opens its key file.
func openBox(c *Config) (*secret.Box, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	return secret.OpenOrCreate(filepath.Join(c.Data, "secret.key"))
}

// openStore opens the engine that the configuration names and brings its
// schema up to date.
func openStore(ctx context.Context, c *Config) (store.Store, error) {
	if c.Database != "" {
		s, err := postgres.Open(ctx, c.Database, postgres.Options{})
		if err != nil {
			return nil, fmt.Errorf("open PostgreSQL: %w", err)
		}
		return s, nil
	}
	path := filepath.Join(c.Data, "waypost.db")
	s, err := sqlite.Open(ctx, path, sqlite.Options{})
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
