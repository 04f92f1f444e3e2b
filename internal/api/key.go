package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
)

// APIKey answers with what is kept of a key, and with the key itself in the
// answer to its creation alone.
type APIKey struct {
	ID         int64      `json:"id"`
	Kind       string     `json:"kind" enum:"account,subaccount,events,smtp"`
	Name       string     `json:"name"`
	Hint       string     `json:"hint" doc:"first and last characters of the key"`
	SubAccount int64      `json:"subAccountId,omitempty"`
	Provider   int64      `json:"tpspId,omitempty"`
	Scopes     []string   `json:"scopes" doc:"empty: everything of its kind"`
	Networks   []string   `json:"networks" doc:"where it may be used from; empty: everywhere"`
	PerHour    int        `json:"perHour" doc:"requests in an hour; 0: as many as the installation allows"`
	Created    time.Time  `json:"created"`
	Expires    *time.Time `json:"expires" doc:"null: never"`
	LastUsed   *time.Time `json:"lastUsed" doc:"to about a minute; null: never"`
	Key        string     `json:"key,omitempty" doc:"shown once"`
}

// APIKeyRequest is the body of a key's creation and change; what a change
// leaves out stays. Kind and sub-account are settled at the creation.
type APIKeyRequest struct {
	Name       *string   `json:"name,omitempty" doc:"at most 100 characters"`
	Kind       string    `json:"kind,omitempty" enum:"account,subaccount" doc:"account without it"`
	SubAccount number    `json:"subAccountId,omitempty" doc:"of a key of a sub-account"`
	Scopes     *[]string `json:"scopes,omitempty" doc:"of send, read, manage, keys; an empty list is everything of its kind. Only a key that has scopes itself may leave it out at a creation, which gives its own"`
	Networks   *[]string `json:"networks,omitempty" doc:"prefixes such as 203.0.113.0/24, or single addresses; at most 100"`
	PerHour    *number   `json:"perHour,omitempty"`
	Expires    *string   `json:"expires,omitempty" doc:"a time of RFC 3339; empty for never"`
}

// keyKinds are the public words for kinds of key.
var keyKinds = map[waypost.KeyKind]string{
	waypost.KeyAccount: "account", waypost.KeySubAccount: "subaccount", waypost.KeyIngestion: "events", waypost.KeySubmission: "smtp",
}

type keyList struct {
	Page
	Kind string `query:"kind" enum:"account,subaccount,events,smtp" doc:"of this kind alone"`
}

func (a *API) keyRoutes() {
	const all, one = "/account/key", "/account/key/{id}"
	register(a, operation(http.MethodGet, all, "List the API keys: their hints, never the keys", waypost.KeyAccount), nil, a.listKeys)
	create := operation(http.MethodPost, all, "Make an API key, which is shown once", waypost.KeyAccount)
	create.DefaultStatus = http.StatusCreated
	register(a, create, APIKeyRequest{}, a.createKey)
	register(a, operation(http.MethodPut, one, "Change what an API key may do; fields left out stay as they are", waypost.KeyAccount), APIKeyRequest{}, a.updateKey)
	register(a, operation(http.MethodDelete, one, "End an API key at once", waypost.KeyAccount), nil, a.deleteKey)
}

func (a *API) listKeys(ctx context.Context, in *keyList) ([]APIKey, error) {
	kind := waypost.KeyKind(0)
	for k, word := range keyKinds {
		if word == in.Kind {
			kind = k
		}
	}
	all, err := a.cfg.Store.Keys(ctx, caller(ctx).Account, kind, in.of())
	if err != nil {
		return nil, fmt.Errorf("list the keys: %w", err)
	}
	out := make([]APIKey, len(all))
	for i := range all {
		out[i] = keyView(&all[i])
	}
	return out, nil
}

func keyView(k *waypost.APIKey) APIKey {
	return APIKey{
		ID: k.ID, Kind: keyKinds[k.Kind], Name: k.Name, Hint: k.Hint, SubAccount: k.SubAccount, Provider: k.Provider,
		Scopes: append([]string{}, k.Scopes...), Networks: append([]string{}, k.Networks...), PerHour: k.PerHour,
		Created: k.Created.UTC(), Expires: optional(k.Expires), LastUsed: optional(k.LastUsed),
	}
}

func (a *API) createKey(ctx context.Context, in *raw) (APIKey, error) {
	req, err := decode[APIKeyRequest](in.RawBody)
	if err != nil {
		return APIKey{}, err
	}
	me := caller(ctx)
	now := time.Now().Truncate(time.Millisecond)
	k := waypost.APIKey{
		Kind: waypost.KeyAccount, Account: me.Account, Created: now,
		Scopes: me.Scopes, Networks: me.Networks, PerHour: me.PerHour, Expires: me.Expires,
	}
	prefix := "wpa"
	switch req.Kind {
	case "", "account":
		if req.SubAccount != 0 {
			return APIKey{}, badField("subAccountId", "is of a key of kind subaccount; leave it out or set the kind")
		}
	case "subaccount":
		s, err := a.subAccount(ctx, int64(req.SubAccount))
		if err != nil {
			return APIKey{}, err
		}
		k.Kind, k.SubAccount, prefix = waypost.KeySubAccount, s.ID, "wps"
	default:
		return APIKey{}, badField("kind", "must be account or subaccount; keys of providers are made by rotating them")
	}
	if req.Scopes == nil && len(me.Scopes) == 0 {
		return APIKey{}, badField("scopes", "is missing: say what the key may do, %s; an empty list is everything of its kind", scopeNames())
	}
	if err := req.apply(&k, &me, now); err != nil {
		return APIKey{}, err
	}
	plain := secret.NewKey(prefix)
	k.Hash, k.Hint = secret.HashKey(plain), secret.Hint(plain)
	if err := a.cfg.Store.CreateKey(ctx, &k); err != nil {
		return APIKey{}, fmt.Errorf("store a key: %w", err)
	}
	a.audit(ctx, "key.create", fmt.Sprintf("key %d", k.ID), "made %s key %s %q: %s", keyKinds[k.Kind], k.Hint, k.Name, bounds(&k))
	out := keyView(&k)
	out.Key = plain
	return out, nil
}

// bounds says for the audit what a key may do.
func bounds(k *waypost.APIKey) string {
	until := "without an end"
	if !k.Expires.IsZero() {
		until = "until " + k.Expires.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("scopes %v, networks %v, %d requests an hour, %s", k.Scopes, k.Networks, k.PerHour, until)
}

// apply puts what a request names onto a key. A key gives no more than the
// one it was asked with has.
func (r *APIKeyRequest) apply(k, me *waypost.APIKey, now time.Time) error {
	if r.Name != nil {
		k.Name = strings.TrimSpace(*r.Name)
		if utf8.RuneCountInString(k.Name) > 100 || strings.ContainsFunc(k.Name, isControl) {
			return badField("name", "must have at most 100 characters without control characters")
		}
	}
	if r.Scopes != nil {
		var err error
		if k.Scopes, err = scopes(*r.Scopes); err != nil {
			return err
		}
	}
	if r.Networks != nil {
		var err error
		if k.Networks, err = networks(*r.Networks); err != nil {
			return err
		}
	}
	if n := r.PerHour; n != nil {
		if *n < 0 || *n > 100_000_000 {
			return badField("perHour", "must be 0 to 100,000,000; 0 for as many as the installation allows")
		}
		k.PerHour = int(*n)
	}
	if r.Expires != nil {
		k.Expires = time.Time{}
		if *r.Expires != "" {
			at, err := time.Parse(time.RFC3339, *r.Expires)
			if err != nil || !at.After(now) || !dated(at) {
				return badField("expires", "must be a time to come, such as 2030-01-31T12:00:00Z; empty for never")
			}
			k.Expires = at.Truncate(time.Millisecond)
		}
	}
	return within(k, me)
}

// within refuses a key that could do more than the one it was asked with: that
// one would be no bound for who holds it.
func within(k, me *waypost.APIKey) error {
	switch {
	case len(me.Scopes) > 0 && (len(k.Scopes) == 0 || slices.ContainsFunc(k.Scopes, func(s string) bool { return !slices.Contains(me.Scopes, s) })):
		return denied("this key cannot give scopes that it does not have itself; it has " + strings.Join(me.Scopes, ", "))
	case len(me.Networks) > 0 && (len(k.Networks) == 0 || slices.ContainsFunc(k.Networks, func(n string) bool { return !inside(n, me.Networks) })):
		return denied("this key cannot give networks beyond its own; it may be used from " + strings.Join(me.Networks, ", "))
	case me.PerHour > 0 && (k.PerHour == 0 || k.PerHour > me.PerHour):
		return denied(fmt.Sprintf("this key cannot give more requests an hour than it has itself; it has %d", me.PerHour))
	case !me.Expires.IsZero() && (k.Expires.IsZero() || k.Expires.After(me.Expires)):
		return denied("this key cannot give a life beyond its own; it ends at " + me.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// inside tells whether every address of a network is in one of others.
func inside(network string, others []string) bool {
	n, err := netip.ParsePrefix(network)
	return err == nil && slices.ContainsFunc(others, func(other string) bool {
		o, err := netip.ParsePrefix(other)
		return err == nil && o.Bits() <= n.Bits() && o.Contains(n.Addr())
	})
}

// scopeNames lists the scopes in a sentence.
func scopeNames() string {
	var all []string
	for _, s := range scopeWords {
		all = append(all, s.Name)
	}
	return strings.Join(all, ", ")
}

func scopes(given []string) ([]string, error) {
	known := strings.Split(scopeNames(), ", ")
	for i, s := range given {
		if !slices.Contains(known, s) {
			return nil, badField(fmt.Sprintf("scopes[%d]", i), "must be one of %s", scopeNames())
		}
	}
	out := slices.Clone(given)
	slices.Sort(out)
	return slices.Compact(out), nil
}

func networks(given []string) ([]string, error) {
	if len(given) > 100 {
		return nil, badField("networks", "%d of them; at most 100", len(given))
	}
	var out []string
	for i, text := range given {
		text = strings.TrimSpace(text)
		p, err := netip.ParsePrefix(text)
		if addr, bad := netip.ParseAddr(text); bad == nil && addr.Zone() == "" {
			p, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
		if err != nil {
			return nil, badField(fmt.Sprintf("networks[%d]", i), "must be a prefix such as 203.0.113.0/24 or an address")
		}
		out = append(out, p.Masked().String())
	}
	return out, nil
}

// key finds a key of the caller's account.
func (a *API) key(ctx context.Context, id int64) (waypost.APIKey, error) {
	const most = 1000
	for offset := 0; ; offset += most {
		all, err := a.cfg.Store.Keys(ctx, caller(ctx).Account, 0, store.Page{Limit: most, Offset: offset})
		if err != nil {
			return waypost.APIKey{}, fmt.Errorf("find key %d: %w", id, err)
		}
		for i := range all {
			if all[i].ID == id {
				return all[i], nil
			}
		}
		if len(all) < most {
			return waypost.APIKey{}, notFound("key", id)
		}
	}
}

func (a *API) updateKey(ctx context.Context, in *idBody) (APIKey, error) {
	k, err := a.key(ctx, in.ID)
	if err != nil {
		return APIKey{}, err
	}
	req, err := decode[APIKeyRequest](in.RawBody)
	if err != nil {
		return APIKey{}, err
	}
	me := caller(ctx)
	switch {
	case k.Kind != waypost.KeyAccount && k.Kind != waypost.KeySubAccount:
		return APIKey{}, badField("kind", "a key of kind %s cannot be changed, only ended", keyKinds[k.Kind])
	case req.Kind != "" && req.Kind != keyKinds[k.Kind]:
		return APIKey{}, badField("kind", "a key stays of the kind it was made; make another")
	case req.SubAccount != 0 && int64(req.SubAccount) != k.SubAccount:
		return APIKey{}, badField("subAccountId", "a key stays with the sub-account it was made for; make another")
	}
	if err := req.apply(&k, &me, time.Now()); err != nil {
		return APIKey{}, err
	}
	if err := a.cfg.Store.UpdateKey(ctx, &k); err != nil {
		if isNotFound(err) {
			return APIKey{}, notFound("key", in.ID)
		}
		return APIKey{}, fmt.Errorf("store key %d: %w", in.ID, err)
	}
	a.keys.forgetIf(func(known *waypost.APIKey) bool { return known.ID == k.ID })
	a.audit(ctx, "key.update", fmt.Sprintf("key %d", k.ID), "changed key %s %q: %s", k.Hint, k.Name, bounds(&k))
	return keyView(&k), nil
}

func (a *API) deleteKey(ctx context.Context, in *idPath) (Deleted, error) {
	k, err := a.key(ctx, in.ID)
	if err != nil {
		return Deleted{}, err
	}
	me := caller(ctx)
	if me.ID != 0 && me.ID == k.ID {
		return Deleted{}, fail(http.StatusNotAcceptable, "this is the key that the request came with; end it with another one, so that nobody is locked out")
	}
	if err := a.cfg.Store.DeleteKey(ctx, k.Account, k.ID); err != nil {
		if isNotFound(err) {
			return Deleted{}, notFound("key", in.ID)
		}
		return Deleted{}, fmt.Errorf("end key %d: %w", in.ID, err)
	}
	a.keys.forgetIf(func(known *waypost.APIKey) bool { return known.ID == k.ID })
	a.audit(ctx, "key.delete", fmt.Sprintf("key %d", k.ID), "ended %s key %s %q", keyKinds[k.Kind], k.Hint, k.Name)
	return Deleted{k.ID, fmt.Sprintf("Key (%s) has been deleted successfully", k.Hint)}, nil
}
