package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
)

// SubAccountSettings are what is ours of a sub-account: whether it may send,
// and which recipients it wants refused.
type SubAccountSettings struct {
	ID          int64      `json:"id"`
	Name        string     `json:"name"`
	Blocked     bool       `json:"blocked"`
	BlockedAt   *time.Time `json:"blockedAt"`
	BlockReason string     `json:"blockReason"`
	IPPool      string     `json:"ippool" doc:"pool of calls that name none; empty: the account's only one"`
	Roles       bool       `json:"dropRoleAddresses" doc:"drop recipients such as postmaster@"`
	NullMX      bool       `json:"dropNullMX" doc:"drop recipients whose domain takes no mail (RFC 7505)"`
	Duplicates  bool       `json:"dropDuplicates" doc:"drop a recipient named twice in one call"`
}

// SubAccountSettingsRequest changes what it names and leaves the rest.
type SubAccountSettingsRequest struct {
	Blocked     *bool   `json:"blocked,omitempty"`
	BlockReason *string `json:"blockReason,omitempty" doc:"at most 500 characters"`
	Roles       *bool   `json:"dropRoleAddresses,omitempty"`
	NullMX      *bool   `json:"dropNullMX,omitempty"`
	Duplicates  *bool   `json:"dropDuplicates,omitempty"`
}

func (a *API) subAccountSettingsRoutes() {
	const one = "/account/settings/subaccount/{id}"
	register(a, operation(http.MethodGet, one, "Read whether a sub-account may send, and its checks of recipients", waypost.KeyAccount), nil, a.subAccountSettings)
	register(a, operation(http.MethodPut, one, "Block or unblock a sub-account, change its checks of recipients", waypost.KeyAccount), SubAccountSettingsRequest{}, a.changeSubAccountSettings)
}

func (a *API) subAccountSettings(ctx context.Context, in *idPath) (SubAccountSettings, error) {
	s, err := a.ownSubAccount(ctx, in.ID)
	if err != nil {
		return SubAccountSettings{}, err
	}
	return a.settingsOf(ctx, &s)
}

func (a *API) settingsOf(ctx context.Context, s *waypost.SubAccount) (SubAccountSettings, error) {
	out := SubAccountSettings{
		ID: s.ID, Name: s.Name, Blocked: s.Blocked, BlockedAt: optional(s.BlockedAt), BlockReason: s.BlockReason,
		Roles: s.Checks&waypost.CheckRoles != 0, NullMX: s.Checks&waypost.CheckNullMX != 0, Duplicates: s.Checks&waypost.CheckDuplicates != 0,
	}
	if s.Pool != 0 {
		p, err := a.cfg.Store.Pool(ctx, s.Account, s.Pool)
		if err != nil && !isNotFound(err) {
			return out, fmt.Errorf("read pool %d: %w", s.Pool, err)
		}
		out.IPPool = p.Name
	}
	return out, nil
}

func (a *API) changeSubAccountSettings(ctx context.Context, in *idBody) (SubAccountSettings, error) {
	s, err := a.ownSubAccount(ctx, in.ID)
	if err != nil {
		return SubAccountSettings{}, err
	}
	req, err := decode[SubAccountSettingsRequest](in.RawBody)
	if err != nil {
		return SubAccountSettings{}, err
	}
	if err := req.apply(&s, time.Now().Truncate(time.Millisecond)); err != nil {
		return SubAccountSettings{}, err
	}
	if err := a.storeSubAccount(ctx, &s); err != nil {
		return SubAccountSettings{}, err
	}
	a.audit(ctx, "subaccount.settings", fmt.Sprintf("sub-account %d", s.ID), "blocked %t %q, checks %03b", s.Blocked, s.BlockReason, s.Checks)
	return a.settingsOf(ctx, &s)
}

func (r *SubAccountSettingsRequest) apply(s *waypost.SubAccount, now time.Time) error {
	if r.BlockReason != nil {
		s.BlockReason = strings.TrimSpace(*r.BlockReason)
		if utf8.RuneCountInString(s.BlockReason) > 500 || strings.ContainsFunc(s.BlockReason, isControl) {
			return badField("blockReason", "must have at most 500 characters without control characters")
		}
	}
	if r.Blocked != nil && *r.Blocked != s.Blocked {
		s.Blocked, s.BlockedAt = *r.Blocked, now
	}
	if !s.Blocked {
		s.BlockedAt, s.BlockReason = time.Time{}, ""
	}
	for _, c := range []struct {
		given *bool
		bit   waypost.RecipientChecks
	}{{r.Roles, waypost.CheckRoles}, {r.NullMX, waypost.CheckNullMX}, {r.Duplicates, waypost.CheckDuplicates}} {
		switch {
		case c.given == nil:
		case *c.given:
			s.Checks |= c.bit
		default:
			s.Checks &^= c.bit
		}
	}
	return nil
}
