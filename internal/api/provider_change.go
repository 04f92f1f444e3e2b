package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
)

// Count answers for a number of things.
type Count struct {
	Count int `json:"count"`
}

// EventKey answers for a rotation, once.
type EventKey struct {
	EventKey string `json:"eventIngestionApiKey" doc:"shown once"`
	OldUntil int64  `json:"oldKeyValidUntil" doc:"UNIX nanoseconds"`
}

// ProviderEvent is a change of a provider's state.
type ProviderEvent struct {
	ID   int64     `json:"id"`
	At   time.Time `json:"at"`
	Kind string    `json:"kind" enum:"breaker_opened,breaker_half_open,breaker_closed"`
	Text string    `json:"text"`
}

// keyOverlap is how long the old ingestion key works beside the new (D-11).
const keyOverlap = 24 * time.Hour

func (a *API) countProviders(ctx context.Context, _ *struct{}) (Count, error) {
	n, err := a.cfg.Store.CountProviders(ctx, caller(ctx).Account)
	return Count{n}, err
}

type idBody struct {
	ID      int64 `path:"id" minimum:"1"`
	RawBody []byte
}

func (a *API) provider(ctx context.Context, id int64) (waypost.Provider, error) {
	p, err := a.cfg.Store.Provider(ctx, caller(ctx).Account, id)
	if isNotFound(err) {
		return p, notFound("provider", id)
	}
	if err != nil {
		return p, fmt.Errorf("read provider %d: %w", id, err)
	}
	return p, nil
}

// updateProvider changes what the request names and keeps the rest, but no
// password for another host. A change of the connection is tested like a new
// provider, and not stored when the test fails.
func (a *API) updateProvider(ctx context.Context, in *idBody) (Provider, error) {
	old, err := a.provider(ctx, in.ID)
	if err != nil {
		return Provider{}, err
	}
	req, err := decode[ProviderRequest](in.RawBody)
	if err != nil {
		return Provider{}, err
	}
	var given map[string]json.RawMessage
	_ = json.Unmarshal(in.RawBody, &given) // decode has read it
	if err := a.keepRest(&req, &old, given); err != nil {
		return Provider{}, err
	}
	p, err := req.provider()
	if err != nil {
		return Provider{}, err
	}
	if kept := given["smtpPassword"] == nil && given["secret"] == nil && len(old.Password) > 0 && req.SMTPPassword != ""; kept && !strings.EqualFold(p.Host, old.Host) {
		// Else whoever may change a provider could have its password said to a
		// server of his own.
		return Provider{}, badField("smtpPassword", "is missing: a password is not taken along to another server; give that of %s", p.Host)
	}
	p.ID, p.Account, p.Created, p.Password = old.ID, old.Account, old.Created, old.Password
	p.Updated = later(time.Now().Truncate(time.Millisecond), old.Updated.Add(time.Millisecond))
	if connects(&p, &old) || given["smtpPassword"] != nil || given["secret"] != nil {
		if test := a.probe(ctx, &p, &req); !test.Success {
			return Provider{}, refusedByTest(&test)
		}
		p.Password = nil
		if req.SMTPPassword != "" {
			p.Password = a.cfg.Box.Seal([]byte(req.SMTPPassword), queue.PasswordPlace)
		}
	}
	switch err := a.cfg.Store.UpdateProvider(ctx, &p); {
	case errors.Is(err, store.ErrExists):
		return Provider{}, nameTaken(p.Name)
	case isNotFound(err):
		return Provider{}, notFound("provider", in.ID)
	case err != nil:
		return Provider{}, fmt.Errorf("store provider %q: %w", p.Name, err)
	}
	a.cfg.Queue.Changed(p.ID)
	a.audit(ctx, "provider.update", fmt.Sprintf("provider %d", p.ID), "changed %s of provider %q", strings.Join(names(given), ", "), p.Name)
	return a.providerView(ctx, &p), nil
}

// keepRest fills in what an update leaves out from the provider as it is.
func (a *API) keepRest(r *ProviderRequest, p *waypost.Provider, given map[string]json.RawMessage) error {
	has := func(names ...string) bool {
		for _, n := range names {
			if given[n] != nil {
				return true
			}
		}
		return false
	}
	keep := func(to *string, value string, names ...string) {
		if !has(names...) {
			*to = value
		}
	}
	keep(&r.Name, p.Name, "name")
	keep(&r.SMTPHost, p.Host, "smtpHost", "endpoint")
	keep(&r.SMTPUsername, p.Username, "smtpUsername", "key")
	keep(&r.SMTPSecurity, p.Security, "smtpSecurity")
	keep(&r.SMTPAuth, p.Auth, "smtpAuth")
	keep(&r.HELOName, p.HELO, "heloName")
	if !has("smtpPort", "port") {
		r.SMTPPort = number(p.Port)
	}
	if !has("smtpPassword", "secret") && len(p.Password) > 0 && r.SMTPUsername != "" {
		plain, err := a.cfg.Box.Open(p.Password, queue.PasswordPlace)
		if err != nil {
			return fmt.Errorf("password of provider %q: %w", p.Name, err)
		}
		r.SMTPPassword = string(plain)
	}
	if !has("tlsSkipVerify") {
		r.TLSSkipVerify = p.TLSSkipVerify
	}
	if !has("allowPlainAuth") {
		r.AllowPlainAuth = p.PlainAuth
	}
	keepNumber(&r.MaxRatePerHour, p.MaxPerHour)
	keepNumber(&r.MaxConnections, p.MaxConnections)
	keepNumber(&r.MaxPerSession, p.MaxPerSession)
	if r.RetryPermanent == nil {
		r.RetryPermanent = &p.RetryPermanent
	}
	if r.Burst == nil {
		r.Burst = &p.Burst
	}
	if r.RetrySchedule == nil {
		s := p.Retry.String()
		r.RetrySchedule = &s
	}
	if !has("providerSettings") {
		r.Settings = settingsView(p)
	}
	return nil
}

func keepNumber(to **number, value int) {
	if *to == nil {
		n := number(value)
		*to = &n
	}
}

// connects tells whether two states of a provider reach different servers or
// reach them differently.
func connects(a, b *waypost.Provider) bool {
	return a.Host != b.Host || a.Port != b.Port || a.Security != b.Security || a.Auth != b.Auth ||
		a.Username != b.Username || a.HELO != b.HELO || a.TLSSkipVerify != b.TLSSkipVerify || a.PlainAuth != b.PlainAuth
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (a *API) deleteProvider(ctx context.Context, in *idPath) (Deleted, error) {
	p, err := a.provider(ctx, in.ID)
	if err != nil {
		return Deleted{}, err
	}
	if err := a.cfg.Store.DeleteProvider(ctx, p.Account, p.ID); err != nil {
		if isNotFound(err) {
			return Deleted{}, notFound("provider", in.ID)
		}
		return Deleted{}, fmt.Errorf("delete provider %q: %w", p.Name, err)
	}
	a.cfg.Queue.Changed(p.ID)
	a.audit(ctx, "provider.delete", fmt.Sprintf("provider %d", p.ID), "deleted provider %q", p.Name)
	return Deleted{p.ID, fmt.Sprintf("TPSP (%s) has been deleted successfully", p.Name)}, nil
}

func (a *API) rotateKey(ctx context.Context, in *idPath) (EventKey, error) {
	p, err := a.provider(ctx, in.ID)
	if err != nil {
		return EventKey{}, err
	}
	now := time.Now().Truncate(time.Millisecond)
	plain, until := secret.NewKey("wpe"), now.Add(keyOverlap)
	key := waypost.APIKey{
		Kind: waypost.KeyIngestion, Account: p.Account, Provider: p.ID, Hash: secret.HashKey(plain), Hint: secret.Hint(plain), Created: now,
	}
	if err := a.cfg.Store.RotateKey(ctx, p.Account, p.ID, &key, until); err != nil {
		return EventKey{}, fmt.Errorf("rotate the key of provider %q: %w", p.Name, err)
	}
	a.audit(ctx, "provider.rotate-key", fmt.Sprintf("provider %d", p.ID), "made ingestion key %s for provider %q; older ones end at %s", key.Hint, p.Name, until.UTC().Format(time.RFC3339))
	return EventKey{plain, until.UnixNano()}, nil
}

type idPage struct {
	ID int64 `path:"id" minimum:"1"`
	Page
}

func (a *API) providerEvents(ctx context.Context, in *idPage) ([]ProviderEvent, error) {
	if _, err := a.provider(ctx, in.ID); err != nil {
		return nil, err
	}
	all, err := a.cfg.Store.ProviderEvents(ctx, in.ID, in.of())
	if err != nil {
		return nil, fmt.Errorf("list the events of provider %d: %w", in.ID, err)
	}
	out := make([]ProviderEvent, len(all))
	for i, e := range all {
		out[i] = ProviderEvent{e.ID, e.At, string(e.Kind), e.Text}
	}
	return out, nil
}

// names lists the fields of a request, for the audit: never their values.
func names(given map[string]json.RawMessage) []string {
	var out []string
	for n := range given {
		if len(n) <= 40 && !strings.ContainsFunc(n, isControl) {
			out = append(out, n)
		}
	}
	return sorted(out)
}
