package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/waypost-mail/waypost"
)

// IPPool answers with the legacy fields of a pool (sendpost.md, a.3).
type IPPool struct {
	ID               int64        `json:"id"`
	Name             string       `json:"name"`
	Type             int          `json:"type"`
	Created          int64        `json:"created" doc:"UNIX nanoseconds"`
	IPs              []struct{}   `json:"ips"`
	TPSPs            []LegacyTPSP `json:"thirdPartySendingProviders"`
	ToAccountIPPools []struct{}   `json:"toAccountIPPools"`
	RoutingStrategy  int          `json:"routingStrategy"`
	RoutingMetaData  string       `json:"routingMetaData"`
	AutoWarmup       bool         `json:"autoWarmupEnabled"`
	ShouldOverflow   bool         `json:"shouldOverflow"`
	OverflowPoolName string       `json:"overflowPoolName"`
	WarmupInterval   int          `json:"warmupInterval"`
}

// LegacyTPSP is a provider inside a pool: the declared fields alone, because
// official clients refuse others (sendpost.md, a.2).
type LegacyTPSP struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	Type       int    `json:"type"`
	Domain     string `json:"domain"`
	Endpoint   string `json:"endpoint"`
	Key        string `json:"key"`
	Secret     string `json:"secret"`
	Port       int    `json:"port"`
	OAuthToken string `json:"oauthToken"`
	RetryTime  int    `json:"retryTime"`
	Created    int64  `json:"created"`
}

func (a *API) poolRoutes() {
	register(a, operation(http.MethodGet, "/account/ippool", "List the pools", waypost.KeyAccount), nil, a.listPools)
	register(a, operation(http.MethodPost, "/account/ippool", "Create a pool", waypost.KeyAccount), PoolRequest{}, a.createPool)
	register(a, operation(http.MethodGet, "/account/ippool/{id}", "Read one pool", waypost.KeyAccount), nil, a.getPool)
	register(a, operation(http.MethodPut, "/account/ippool/{id}", "Change a pool; fields left out stay as they are", waypost.KeyAccount), PoolRequest{}, a.updatePool)
	register(a, operation(http.MethodDelete, "/account/ippool/{id}", "Delete a pool", waypost.KeyAccount), nil, a.deletePool)
	register(a, operation(http.MethodPut, "/account/subaccount/{id}/default-pool", "Choose the pool of calls that name none", waypost.KeyAccount), DefaultPoolRequest{}, a.setDefaultPool)
}

func (a *API) listPools(ctx context.Context, in *page) ([]IPPool, error) {
	all, err := a.cfg.Store.Pools(ctx, caller(ctx).Account, in.of())
	if err != nil {
		return nil, fmt.Errorf("list pools: %w", err)
	}
	out := make([]IPPool, 0, len(all))
	for i := range all {
		view, err := a.poolView(ctx, &all[i])
		if err != nil {
			return nil, err
		}
		out = append(out, view)
	}
	return out, nil
}

func (a *API) getPool(ctx context.Context, in *idPath) (IPPool, error) {
	p, err := a.pool(ctx, in.ID)
	if err != nil {
		return IPPool{}, err
	}
	return a.poolView(ctx, &p)
}

func (a *API) poolView(ctx context.Context, p *waypost.Pool) (IPPool, error) {
	out := IPPool{
		ID: p.ID, Name: p.Name, Type: 1, Created: p.Created.UnixNano(),
		IPs: []struct{}{}, TPSPs: []LegacyTPSP{}, ToAccountIPPools: []struct{}{},
		RoutingStrategy: int(p.Strategy), RoutingMetaData: p.Metadata, ShouldOverflow: p.Overflow != 0,
	}
	if p.Overflow != 0 {
		over, err := a.cfg.Store.Pool(ctx, p.Account, p.Overflow)
		if err != nil && !isNotFound(err) {
			return IPPool{}, fmt.Errorf("read overflow pool %d: %w", p.Overflow, err)
		}
		out.OverflowPoolName = over.Name
	}
	for _, m := range p.Members {
		provider, err := a.cfg.Store.Provider(ctx, p.Account, m.Provider)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return IPPool{}, fmt.Errorf("read provider %d of pool %q: %w", m.Provider, p.Name, err)
		}
		out.TPSPs = append(out.TPSPs, LegacyTPSP{
			ID: provider.ID, Name: provider.Name, Type: waypost.ProviderCustomSMTP, Endpoint: provider.Host,
			Key: provider.Username, Port: provider.Port, Created: provider.Created.UnixNano(),
		})
	}
	return out, nil
}
