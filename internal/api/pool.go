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
	IPs              []IP         `json:"ips" doc:"the pseudo IP, in a pool that names one or has no provider"`
	TPSPs            []LegacyTPSP `json:"thirdPartySendingProviders"`
	ToAccountIPPools []struct{}   `json:"toAccountIPPools"`
	RoutingStrategy  int          `json:"routingStrategy"`
	RoutingMetaData  string       `json:"routingMetaData"`
	AutoWarmup       bool         `json:"autoWarmupEnabled"`
	ShouldOverflow   bool         `json:"shouldOverflow"`
	OverflowPoolName string       `json:"overflowPoolName"`
	WarmupInterval   int          `json:"warmupInterval"`
}

// IPPoolV1 is a pool in the contract v1.
type IPPoolV1 struct {
	ID               int64  `json:"id"`
	Name             string `json:"name"`
	Type             int    `json:"type"`
	RoutingStrategy  int    `json:"routingStrategy"`
	RoutingMetaData  string `json:"routingMetaData"`
	ShouldOverflow   bool   `json:"shouldOverflow"`
	OverflowPoolName string `json:"overflowPoolName"`
	IPs              []IPV1 `json:"ips" doc:"the pseudo IP, in a pool that names one or has no provider"`
	Created          int64  `json:"created" doc:"UNIX nanoseconds"`
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

// foundPool is a pool with what its answers nest.
type foundPool struct {
	waypost.Pool
	overflow  string
	providers []waypost.Provider
	ips       []foundIP
}

var poolViews = views[foundPool, IPPool, IPPoolV1]{legacy: poolView, v1: poolViewV1}

func (a *API) poolRoutes() {
	registerBoth(a, operation(http.MethodGet, "/account/ippool", "List the pools", waypost.KeyAccount), nil, a.listPools,
		views[[]foundPool, []IPPool, []IPPoolV1]{legacy: each(poolView), v1: each(poolViewV1)})
	registerBoth(a, operation(http.MethodPost, "/account/ippool", "Create a pool", waypost.KeyAccount), PoolRequest{}, a.createPool, poolViews)
	registerBoth(a, operation(http.MethodGet, "/account/ippool/{id}", "Read one pool", waypost.KeyAccount), nil, a.getPool, poolViews)
	registerBoth(a, operation(http.MethodPut, "/account/ippool/{id}", "Change a pool; fields left out stay as they are", waypost.KeyAccount), PoolRequest{}, a.updatePool, poolViews)
	register(a, operation(http.MethodDelete, "/account/ippool/{id}", "Delete a pool", waypost.KeyAccount), nil, a.deletePool)
	register(a, operation(http.MethodPut, "/account/subaccount/{id}/default-pool", "Choose the pool of calls that name none", waypost.KeyAccount), DefaultPoolRequest{}, a.setDefaultPool)
}

func (a *API) listPools(ctx context.Context, in *page) ([]foundPool, error) {
	all, err := a.cfg.Store.Pools(ctx, caller(ctx).Account, in.of())
	if err != nil {
		return nil, fmt.Errorf("list pools: %w", err)
	}
	out := make([]foundPool, len(all))
	for i := range all {
		if out[i], err = a.nested(ctx, &all[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (a *API) getPool(ctx context.Context, in *idPath) (foundPool, error) {
	p, err := a.pool(ctx, in.ID)
	if err != nil {
		return foundPool{}, err
	}
	return a.nested(ctx, &p)
}

// nested finds what a pool's answers nest.
func (a *API) nested(ctx context.Context, p *waypost.Pool) (foundPool, error) {
	out := foundPool{Pool: *p}
	if p.Overflow != 0 {
		over, err := a.cfg.Store.Pool(ctx, p.Account, p.Overflow)
		if err != nil && !isNotFound(err) {
			return out, fmt.Errorf("read overflow pool %d: %w", p.Overflow, err)
		}
		out.overflow = over.Name
	}
	for _, m := range p.Members {
		provider, err := a.cfg.Store.Provider(ctx, p.Account, m.Provider)
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return out, fmt.Errorf("read provider %d of pool %q: %w", m.Provider, p.Name, err)
		}
		out.providers = append(out.providers, provider)
	}
	if len(p.Members) == 0 || p.NamesIP {
		ip, err := a.ip(ctx)
		if err != nil {
			return out, err
		}
		out.ips = []foundIP{ip}
	}
	return out, nil
}

func poolView(p foundPool) IPPool {
	out := IPPool{
		ID: p.ID, Name: p.Name, Type: 1, Created: p.Created.UnixNano(),
		IPs: each(ipView)(p.ips), TPSPs: []LegacyTPSP{}, ToAccountIPPools: []struct{}{},
		RoutingStrategy: int(p.Strategy), RoutingMetaData: p.Metadata, ShouldOverflow: p.Overflow != 0, OverflowPoolName: p.overflow,
		WarmupInterval: p.Warmup,
	}
	for i := range p.providers {
		t := &p.providers[i]
		out.TPSPs = append(out.TPSPs, LegacyTPSP{
			ID: t.ID, Name: t.Name, Type: waypost.ProviderCustomSMTP, Endpoint: t.Host,
			Key: t.Username, Port: t.Port, Created: t.Created.UnixNano(),
		})
	}
	return out
}

func poolViewV1(p foundPool) IPPoolV1 {
	return IPPoolV1{
		ID: p.ID, Name: p.Name, Type: 1, RoutingStrategy: int(p.Strategy), RoutingMetaData: p.Metadata,
		ShouldOverflow: p.Overflow != 0, OverflowPoolName: p.overflow, IPs: each(ipViewV1)(p.ips), Created: p.Created.UnixNano(),
	}
}
