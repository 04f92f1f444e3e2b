package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
)

// SubAccount answers with the legacy fields of a sub-account (sendpost.md,
// a.3).
type SubAccount struct {
	ID           int64      `json:"id"`
	APIKey       string     `json:"apiKey" doc:"the key itself in the answer to the creation, its hint from then on"`
	Name         string     `json:"name"`
	Labels       []struct{} `json:"labels"`
	SMTPAuths    []SMTPAuth `json:"smtpAuths" doc:"credentials for SMTP submission"`
	Type         int        `json:"type" doc:"0 default, 1 custom"`
	IsPlus       bool       `json:"isPlus"`
	Created      int64      `json:"created" doc:"UNIX nanoseconds"`
	CreatedBy    *Member    `json:"created_by"`
	UpdatedBy    *Member    `json:"updated_by"`
	Blocked      bool       `json:"blocked"`
	BlockedAt    int32      `json:"blocked_at" doc:"always 0; the settings of a sub-account tell the time"`
	BlockReason  string     `json:"block_reason"`
	HBExempt     bool       `json:"hb_exempt"`
	WeeklyReport bool       `json:"generate_weekly_report"`
	Handlers     []string   `json:"handlers"`
}

// SMTPAuth is a credential for SMTP submission, as the legacy contract has it.
type SMTPAuth struct {
	ID       int64  `json:"id"`
	Username string `json:"username"`
	Password string `json:"password" doc:"always empty: it is shown once, when it is made"`
	Created  int64  `json:"created" doc:"UNIX nanoseconds"`
	Updated  int64  `json:"updated" doc:"UNIX nanoseconds"`
}

// Member is a person of the hosted service; none is told of here.
type Member struct{}

// SubAccountV1 is a sub-account in the contract v1.
type SubAccountV1 struct {
	ID        int64      `json:"id"`
	AccountID int64      `json:"accountId"`
	Name      string     `json:"name"`
	APIKey    string     `json:"apiKey" doc:"the key itself in the answer to the creation, its hint from then on"`
	Type      int        `json:"type" doc:"0 default, 1 custom"`
	IsPlus    bool       `json:"isPlus"`
	Labels    []struct{} `json:"labels"`
	Blocked   bool       `json:"blocked"`
	Created   int64      `json:"created" doc:"UNIX nanoseconds"`
}

// SubAccountRequest is the body of a sub-account's creation and change.
type SubAccountRequest struct {
	Name string `json:"name" doc:"1 to 100 characters, unique in the account"`
}

// foundSubAccount is a sub-account with what may be shown of its key.
type foundSubAccount struct {
	waypost.SubAccount
	key   string
	auths []SMTPAuth
}

var subAccountViews = views[foundSubAccount, SubAccount, SubAccountV1]{legacy: subAccountView, v1: subAccountViewV1}

func subAccountView(s foundSubAccount) SubAccount {
	return SubAccount{
		ID: s.ID, APIKey: s.key, Name: s.Name, Labels: []struct{}{}, SMTPAuths: append([]SMTPAuth{}, s.auths...), Type: subAccountType(&s.SubAccount),
		Created: s.Created.UnixNano(), Blocked: s.Blocked, BlockReason: s.BlockReason, Handlers: []string{},
	}
}

func subAccountViewV1(s foundSubAccount) SubAccountV1 {
	return SubAccountV1{
		ID: s.ID, AccountID: s.Account, Name: s.Name, APIKey: s.key, Type: subAccountType(&s.SubAccount),
		Labels: []struct{}{}, Blocked: s.Blocked, Created: s.Created.UnixNano(),
	}
}

func subAccountType(s *waypost.SubAccount) int {
	if s.Default {
		return 0
	}
	return 1
}

func (a *API) subAccountRoutes() {
	const all, one = "/account/subaccount", "/account/subaccount/{id}"
	registerBoth(a, operation(http.MethodGet, all, "List the sub-accounts", waypost.KeyAccount), nil, a.listSubAccounts,
		views[[]foundSubAccount, []SubAccount, []SubAccountV1]{legacy: each(subAccountView), v1: each(subAccountViewV1)})
	create := operation(http.MethodPost, all, "Create a sub-account and its API key, which is shown once", waypost.KeyAccount)
	create.DefaultStatus = http.StatusCreated
	registerBoth(a, create, SubAccountRequest{}, a.createSubAccount, subAccountViews)
	registerBoth(a, operation(http.MethodGet, one, "Read one sub-account", waypost.KeyAccount), nil, a.getSubAccount, subAccountViews)
	registerBoth(a, operation(http.MethodPut, one, "Rename a sub-account", waypost.KeyAccount), SubAccountRequest{}, a.renameSubAccount, subAccountViews)
	remove := operation(http.MethodDelete, one, "Delete a sub-account with its keys, domains and suppressions; messages and counters stay", waypost.KeyAccount)
	remove.Errors = append(remove.Errors, http.StatusNotAcceptable)
	register(a, remove, nil, a.deleteSubAccount)
	a.subAccountSettingsRoutes()
}

func (a *API) listSubAccounts(ctx context.Context, in *page) ([]foundSubAccount, error) {
	account := caller(ctx).Account
	all, err := a.cfg.Store.SubAccounts(ctx, account, in.of())
	if err != nil {
		return nil, fmt.Errorf("list sub-accounts: %w", err)
	}
	hints, err := a.subAccountHints(ctx, account)
	if err != nil {
		return nil, err
	}
	auths, err := a.smtpAuths(ctx, account)
	if err != nil {
		return nil, err
	}
	out := make([]foundSubAccount, len(all))
	for i, s := range all {
		out[i] = foundSubAccount{s, hints[s.ID], auths[s.ID]}
	}
	return out, nil
}

// subAccountHints gives the hint of each sub-account's oldest live key.
func (a *API) subAccountHints(ctx context.Context, account int64) (map[int64]string, error) {
	const most = 1000
	now, out := time.Now(), map[int64]string{}
	for offset := 0; ; offset += most {
		keys, err := a.cfg.Store.Keys(ctx, account, waypost.KeySubAccount, store.Page{Limit: most, Offset: offset})
		if err != nil {
			return nil, fmt.Errorf("list the keys of sub-accounts: %w", err)
		}
		for i := range keys {
			if k := &keys[i]; out[k.SubAccount] == "" && k.Live(now) {
				out[k.SubAccount] = k.Hint
			}
		}
		if len(keys) < most {
			return out, nil
		}
	}
}

func (a *API) createSubAccount(ctx context.Context, in *raw) (foundSubAccount, error) {
	name, err := subAccountName(in.RawBody)
	if err != nil {
		return foundSubAccount{}, err
	}
	now, plain := time.Now().Truncate(time.Millisecond), secret.NewKey("wps")
	me := caller(ctx)
	s := waypost.SubAccount{Account: me.Account, Name: name, Created: now}
	key := waypost.APIKey{
		Kind: waypost.KeySubAccount, Account: s.Account, Hash: secret.HashKey(plain), Hint: secret.Hint(plain), Created: now,
		Scopes: me.Scopes, Networks: me.Networks, PerHour: me.PerHour, Expires: me.Expires, // a key gives no more than it has
	}
	if err := a.cfg.Store.CreateSubAccount(ctx, &s, &key); err != nil {
		if errors.Is(err, store.ErrExists) {
			return foundSubAccount{}, subAccountTaken(name)
		}
		return foundSubAccount{}, fmt.Errorf("store sub-account %q: %w", name, err)
	}
	a.audit(ctx, "subaccount.create", fmt.Sprintf("sub-account %d", s.ID), "created sub-account %q with key %s", s.Name, key.Hint)
	return foundSubAccount{SubAccount: s, key: plain}, nil
}

func subAccountName(body []byte) (string, error) {
	req, err := decode[SubAccountRequest](body)
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(req.Name)
	if n := utf8.RuneCountInString(name); n < 1 || n > 100 || strings.ContainsFunc(name, isControl) {
		return "", badField("name", "must have 1 to 100 characters without control characters")
	}
	return name, nil
}

func subAccountTaken(name string) *Error {
	e := fail(http.StatusForbidden, fmt.Sprintf("a sub-account named %q exists already; choose another name", name))
	e.Body.Param = "name"
	return e
}

// ownSubAccount finds one of the caller's account by the id in a path.
func (a *API) ownSubAccount(ctx context.Context, id int64) (waypost.SubAccount, error) {
	s, err := a.cfg.Store.SubAccount(ctx, caller(ctx).Account, id)
	if isNotFound(err) {
		return s, notFound("sub-account", id)
	}
	if err != nil {
		return s, fmt.Errorf("read sub-account %d: %w", id, err)
	}
	return s, nil
}

func (a *API) getSubAccount(ctx context.Context, in *idPath) (foundSubAccount, error) {
	s, err := a.ownSubAccount(ctx, in.ID)
	if err != nil {
		return foundSubAccount{}, err
	}
	return a.hinted(ctx, &s)
}

func (a *API) hinted(ctx context.Context, s *waypost.SubAccount) (foundSubAccount, error) {
	hints, err := a.subAccountHints(ctx, s.Account)
	if err != nil {
		return foundSubAccount{}, err
	}
	auths, err := a.smtpAuths(ctx, s.Account)
	return foundSubAccount{*s, hints[s.ID], auths[s.ID]}, err
}

func (a *API) renameSubAccount(ctx context.Context, in *idBody) (foundSubAccount, error) {
	s, err := a.ownSubAccount(ctx, in.ID)
	if err != nil {
		return foundSubAccount{}, err
	}
	old := s.Name
	if s.Name, err = subAccountName(in.RawBody); err != nil {
		return foundSubAccount{}, err
	}
	if err := a.storeSubAccount(ctx, &s); err != nil {
		return foundSubAccount{}, err
	}
	a.audit(ctx, "subaccount.update", fmt.Sprintf("sub-account %d", s.ID), "renamed sub-account %q to %q", old, s.Name)
	return a.hinted(ctx, &s)
}

func (a *API) storeSubAccount(ctx context.Context, s *waypost.SubAccount) error {
	switch err := a.cfg.Store.UpdateSubAccount(ctx, s); {
	case errors.Is(err, store.ErrExists):
		return subAccountTaken(s.Name)
	case isNotFound(err):
		return notFound("sub-account", s.ID)
	case err != nil:
		return fmt.Errorf("store sub-account %d: %w", s.ID, err)
	}
	return nil
}

func (a *API) deleteSubAccount(ctx context.Context, in *idPath) (Deleted, error) {
	s, err := a.ownSubAccount(ctx, in.ID)
	if err != nil {
		return Deleted{}, err
	}
	switch err := a.cfg.Store.DeleteSubAccount(ctx, s.Account, s.ID); {
	case errors.Is(err, store.ErrExists):
		return Deleted{}, unacceptable("this is the account's default sub-account, which cannot be deleted; block it if it should send no mail")
	case isNotFound(err):
		return Deleted{}, notFound("sub-account", in.ID)
	case err != nil:
		return Deleted{}, fmt.Errorf("delete sub-account %d: %w", in.ID, err)
	}
	a.keys.forgetIf(func(k *waypost.APIKey) bool { return k.SubAccount == s.ID })
	a.audit(ctx, "subaccount.delete", fmt.Sprintf("sub-account %d", s.ID), "deleted sub-account %q", s.Name)
	return Deleted{s.ID, fmt.Sprintf("Sub-Account (%s) has been deleted successfully", s.Name)}, nil
}
