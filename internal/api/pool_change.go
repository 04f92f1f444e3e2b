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
	"github.com/waypost-mail/waypost/internal/route"
	"github.com/waypost-mail/waypost/internal/store"
)

// PoolRequest is the body of a pool's creation and change (sendpost.md, a.3),
// in the words of both contracts.
type PoolRequest struct {
	Name             *string  `json:"name,omitempty"`
	IPs              []poolIP `json:"ips,omitempty" doc:"the pseudo IP; alone, without a provider, it stands for all providers of the account"`
	TPSPs            []number `json:"tpsps,omitempty" doc:"ids of the providers"`
	RoutingStrategy  *number  `json:"routingStrategy,omitempty" doc:"0 round robin, 1 by mailbox provider, 2 by volume, 3 by sender domain"`
	RoutingMetaData  *string  `json:"routingMetaData,omitempty" doc:"a JSON object written as text"`
	ShouldOverflow   *bool    `json:"shouldOverflow,omitempty"`
	OverflowPool     *bool    `json:"overflowPool,omitempty"`
	OverflowStrategy *number  `json:"overflowStrategy,omitempty" doc:"0 none, 1 pool"`
	OverflowPoolName *string  `json:"overflowPoolName,omitempty"`
	WarmupInterval   *number  `json:"warmupInterval,omitempty" doc:"hours; kept as given, nothing is warmed up"`
	Failover         *bool    `json:"failover,omitempty" doc:"default true: other members take over while one is down"`
	PatienceSeconds  *number  `json:"patienceSeconds,omitempty" doc:"how long members may be out of tokens before the overflow pool takes over; default 300"`
}

type poolIP struct {
	PublicIP string `json:"publicIP"`
}

// DefaultPoolRequest names a sub-account's default pool; "" for none.
type DefaultPoolRequest struct {
	Name string `json:"ippool"`
}

func (a *API) createPool(ctx context.Context, in *raw) (foundPool, error) {
	req, err := decode[PoolRequest](in.RawBody)
	if err != nil {
		return foundPool{}, err
	}
	p := waypost.Pool{Account: caller(ctx).Account, Failover: true, Created: time.Now().Truncate(time.Millisecond)}
	if req.TPSPs == nil {
		req.TPSPs = []number{}
	}
	if err := a.plan(ctx, &req, &p); err != nil {
		return foundPool{}, err
	}
	if err := a.cfg.Store.CreatePool(ctx, &p); err != nil {
		if errors.Is(err, store.ErrExists) {
			return foundPool{}, poolTaken(p.Name)
		}
		return foundPool{}, fmt.Errorf("store pool %q: %w", p.Name, err)
	}
	a.audit(ctx, "pool.create", fmt.Sprintf("pool %d", p.ID), "created pool %q with strategy %d", p.Name, p.Strategy)
	return a.nested(ctx, &p)
}

func (a *API) pool(ctx context.Context, id int64) (waypost.Pool, error) {
	p, err := a.cfg.Store.Pool(ctx, caller(ctx).Account, id)
	if isNotFound(err) {
		return p, notFound("pool", id)
	}
	if err != nil {
		return p, fmt.Errorf("read pool %d: %w", id, err)
	}
	return p, nil
}

func (a *API) updatePool(ctx context.Context, in *idBody) (foundPool, error) {
	p, err := a.pool(ctx, in.ID)
	if err != nil {
		return foundPool{}, err
	}
	req, err := decode[PoolRequest](in.RawBody)
	if err != nil {
		return foundPool{}, err
	}
	if err := a.plan(ctx, &req, &p); err != nil {
		return foundPool{}, err
	}
	switch err := a.cfg.Store.UpdatePool(ctx, &p); {
	case errors.Is(err, store.ErrExists):
		return foundPool{}, poolTaken(p.Name)
	case isNotFound(err):
		return foundPool{}, notFound("pool", in.ID)
	case err != nil:
		return foundPool{}, fmt.Errorf("store pool %q: %w", p.Name, err)
	}
	a.audit(ctx, "pool.update", fmt.Sprintf("pool %d", p.ID), "changed pool %q: strategy %d, metadata %s", p.Name, p.Strategy, p.Metadata)
	return a.nested(ctx, &p)
}

func poolTaken(name string) *Error {
	e := fail(http.StatusForbidden, fmt.Sprintf("a pool named %q exists already; choose another name", name))
	e.Body.Param = "name"
	return e
}

// plan puts a request onto a pool: what it leaves out stays. Nothing is kept
// of a request with a mistake.
func (a *API) plan(ctx context.Context, r *PoolRequest, p *waypost.Pool) error {
	if r.Name != nil {
		p.Name = strings.TrimSpace(*r.Name)
	}
	if n := utf8.RuneCountInString(p.Name); n < 1 || n > 100 || strings.ContainsFunc(p.Name, isControl) {
		return badField("name", "must have 1 to 100 characters without control characters")
	}
	if r.Failover != nil {
		p.Failover = *r.Failover
	}
	if s := r.PatienceSeconds; s != nil {
		if *s < 0 || *s > 86_400 {
			return badField("patienceSeconds", "must be 0 to 86,400; 0 for the default of 300")
		}
		p.Patience = time.Duration(*s) * time.Second
	}
	if s := r.OverflowStrategy; s != nil && *s != 0 && *s != 1 {
		return badField("overflowStrategy", "must be 0 none or 1 pool")
	}
	if w := r.WarmupInterval; w != nil && (*w < 0 || *w > 100_000) {
		return badField("warmupInterval", "must be a number of hours, 0 to 100,000")
	} else if w != nil {
		p.Warmup = int(*w)
	}
	if err := a.planRoutes(ctx, r, p); err != nil {
		return err
	}
	return a.planOverflow(ctx, r, p)
}

func (a *API) planRoutes(ctx context.Context, r *PoolRequest, p *waypost.Pool) error {
	namesIP := p.NamesIP && r.IPs == nil || len(r.IPs) > 0
	if r.TPSPs == nil && r.RoutingStrategy == nil && r.RoutingMetaData == nil {
		if p.NamesIP && !namesIP && len(p.Members) == 0 {
			return badField("ips", "names no IP, and the pool has no provider; list providers in tpsps")
		}
		p.NamesIP = namesIP
		return nil
	}
	if r.RoutingStrategy != nil {
		if *r.RoutingStrategy < 0 || *r.RoutingStrategy > 3 {
			return badField("routingStrategy", "must be 0 round robin, 1 by mailbox provider, 2 by volume, or 3 by sender domain")
		}
		p.Strategy = waypost.Strategy(*r.RoutingStrategy)
	}
	if r.RoutingMetaData != nil {
		p.Metadata = *r.RoutingMetaData
	}
	if p.Metadata == "" {
		p.Metadata = "{}"
	}
	var listed []int64
	for _, id := range r.TPSPs {
		listed = append(listed, int64(id))
	}
	if r.TPSPs == nil && (p.Strategy == waypost.StrategyRoundRobin || p.Metadata == "{}") {
		for _, m := range p.Members {
			listed = append(listed, m.Provider)
		}
	}
	var failed error
	known := func(id int64) bool {
		_, err := a.cfg.Store.Provider(ctx, p.Account, id)
		if err != nil && !isNotFound(err) {
			failed = err
		}
		return err == nil
	}
	plan, err := route.ParseMetadata(p.Strategy, p.Metadata, listed, known)
	switch {
	case failed != nil:
		return fmt.Errorf("look up the pool's providers: %w", failed)
	case err != nil && namesIP && len(listed) == 0 && (r.RoutingMetaData == nil || p.Metadata == "{}"):
		// A pool of the hosted service's IPs: it stands for all providers (D-8).
		p.Members, p.Lists, p.NamesIP = nil, nil, true
		return nil
	case err != nil && strings.Contains(err.Error(), "provider") && r.RoutingMetaData == nil:
		return badField("tpsps", "%v", err)
	case err != nil:
		return badField("routingMetaData", "%v", err)
	}
	p.Members, p.Lists, p.NamesIP = plan.Members, plan.Lists, namesIP || plan.NamesIP
	return nil
}

func (a *API) planOverflow(ctx context.Context, r *PoolRequest, p *waypost.Pool) error {
	off := r.ShouldOverflow != nil && !*r.ShouldOverflow || r.OverflowStrategy != nil && *r.OverflowStrategy == 0 && r.ShouldOverflow == nil
	wanted := r.ShouldOverflow != nil && *r.ShouldOverflow || r.OverflowStrategy != nil && *r.OverflowStrategy == 1 || r.OverflowPool != nil && *r.OverflowPool
	name := ""
	if r.OverflowPoolName != nil {
		name = strings.TrimSpace(*r.OverflowPoolName)
	}
	switch {
	case off && name == "":
		p.Overflow = 0
		return nil
	case name == "" && wanted && p.Overflow == 0:
		return badField("overflowPoolName", "is missing: name the pool that takes over")
	case name == "":
		return nil
	case name == p.Name:
		return badField("overflowPoolName", "a pool cannot overflow into itself; name another pool")
	}
	over, err := a.cfg.Store.PoolByName(ctx, p.Account, name)
	if isNotFound(err) {
		return badField("overflowPoolName", "there is no pool named %q; create it first", name)
	}
	if err != nil {
		return fmt.Errorf("find overflow pool %q: %w", name, err)
	}
	if p.ID != 0 && over.Overflow == p.ID {
		return badField("overflowPoolName", "pool %q overflows into this one; a circle would help nobody", name)
	}
	p.Overflow = over.ID
	return nil
}

func (a *API) deletePool(ctx context.Context, in *idPath) (Deleted, error) {
	p, err := a.pool(ctx, in.ID)
	if err != nil {
		return Deleted{}, err
	}
	if err := a.cfg.Store.DeletePool(ctx, p.Account, p.ID); err != nil {
		if isNotFound(err) {
			return Deleted{}, notFound("pool", in.ID)
		}
		return Deleted{}, fmt.Errorf("delete pool %q: %w", p.Name, err)
	}
	a.audit(ctx, "pool.delete", fmt.Sprintf("pool %d", p.ID), "deleted pool %q", p.Name)
	return Deleted{p.ID, fmt.Sprintf("IPPool (%s) has been deleted successfully", p.Name)}, nil
}

func (a *API) setDefaultPool(ctx context.Context, in *idBody) (DefaultPoolRequest, error) {
	key := caller(ctx)
	req, err := decode[DefaultPoolRequest](in.RawBody)
	if err != nil {
		return req, err
	}
	var pool waypost.Pool
	if req.Name != "" {
		if pool, err = a.cfg.Store.PoolByName(ctx, key.Account, req.Name); err != nil {
			if isNotFound(err) {
				return req, badField("ippool", "there is no pool named %q", req.Name)
			}
			return req, fmt.Errorf("find pool %q: %w", req.Name, err)
		}
	}
	if err := a.cfg.Store.SetDefaultPool(ctx, key.Account, in.ID, pool.ID); err != nil {
		if isNotFound(err) {
			return req, notFound("sub-account", in.ID)
		}
		return req, fmt.Errorf("set the default pool of sub-account %d: %w", in.ID, err)
	}
	a.audit(ctx, "subaccount.default-pool", fmt.Sprintf("sub-account %d", in.ID), "default pool is %q", req.Name)
	return req, nil
}
