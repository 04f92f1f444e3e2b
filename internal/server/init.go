package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
)

// Keys is what init prints, once.
type Keys struct {
	AccountAPIKey     string `json:"accountApiKey"`
	SubAccountAPIKey  string `json:"subAccountApiKey"`
	SubAccountID      int64  `json:"subAccountId"`
	DashboardURL      string `json:"dashboardURL"`
	DashboardPassword string `json:"dashboardPassword"`
}

// ErrInstalled is returned by Init for a data directory that has an
// installation.
var ErrInstalled = errors.New("there is an installation here already; its keys were shown when it was made and cannot be shown again")

// Init creates the installation: data directory, key file, database, account,
// default sub-account and their keys.
func Init(ctx context.Context, c Config) (Keys, error) {
	if err := c.Check(); err != nil {
		return Keys{}, err
	}
	_, s, err := open(ctx, &c)
	if err != nil {
		return Keys{}, err
	}
	keys, err := install(ctx, s, &c)
	return keys, errors.Join(err, s.Close())
}

func install(ctx context.Context, s store.Store, c *Config) (Keys, error) {
	now := time.Now().Truncate(time.Millisecond)
	keys := Keys{
		AccountAPIKey: secret.NewKey("wpa"), SubAccountAPIKey: secret.NewKey("wps"), DashboardPassword: secret.NewKey("wpd"),
		DashboardURL: dashboardURL(c),
	}
	in := store.Installation{
		Account:    waypost.Account{Name: "default", Created: now},
		SubAccount: waypost.SubAccount{Name: "Default", Default: true, Created: now},
	}
	for _, k := range []struct {
		kind  waypost.KeyKind
		plain string
	}{
		{waypost.KeyAccount, keys.AccountAPIKey},
		{waypost.KeySubAccount, keys.SubAccountAPIKey},
		{waypost.KeyDashboard, keys.DashboardPassword},
	} {
		in.Keys = append(in.Keys, &waypost.APIKey{
			Kind: k.kind, Hash: secret.HashKey(k.plain), Hint: secret.Hint(k.plain), Created: now,
		})
	}
	if err := s.Install(ctx, &in); err != nil {
		if errors.Is(err, store.ErrExists) {
			return Keys{}, ErrInstalled
		}
		return Keys{}, fmt.Errorf("store the installation: %w", err)
	}
	keys.SubAccountID = in.SubAccount.ID
	return keys, nil
}

func dashboardURL(c *Config) string {
	if c.PublicURL != "" {
		return c.PublicURL
	}
	return "http://" + c.HTTP
}
