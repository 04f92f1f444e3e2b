package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
)

// The installation sends from its customers' servers and owns no IPs. One
// pseudo IP stands for them, so that programs written for the hosted service
// find what they look for (D-8).

// IP answers with legacy fields of an IP, of which official clients refuse
// any that is not declared (sendpost.md, a.2).
type IP struct {
	ID                 int64      `json:"id"`
	PublicIP           string     `json:"publicIP"`
	SystemDomain       *Domain    `json:"systemDomain"`
	ReverseDNSHostname string     `json:"reverseDNSHostname"`
	Type               int        `json:"type"`
	Created            int64      `json:"created" doc:"UNIX nanoseconds"`
	Labels             []struct{} `json:"labels"`
}

// IPV1 is an IP in the contract v1.
type IPV1 struct {
	ID                 int64      `json:"id"`
	PublicIP           string     `json:"publicIp"`
	ReverseDNSHostname string     `json:"reverseDnsHostname"`
	Type               int        `json:"type"`
	Created            int64      `json:"created" doc:"UNIX nanoseconds"`
	Labels             []struct{} `json:"labels"`
}

// IPUpdate is the body of an IP's change.
type IPUpdate struct {
	AutoWarmup *bool `json:"autoWarmupEnabled" doc:"accepted and passed over: there is nothing to warm up here"`
}

// IPAllocation is the body of an allocation.
type IPAllocation struct {
	IPs          []string `json:"ips" doc:"the installation's pseudo IP"`
	OverflowPool *bool    `json:"overflowPool,omitempty" doc:"accepted and passed over"`
	AutoWarmup   *bool    `json:"autoWarmupEnabled,omitempty" doc:"accepted and passed over"`
}

// foundIP is the pseudo IP of an account.
type foundIP struct {
	address netip.Addr
	created time.Time
}

var ipViews = views[foundIP, IP, IPV1]{legacy: ipView, v1: ipViewV1}

func ipView(ip foundIP) IP {
	return IP{ID: waypost.PseudoIP, PublicIP: ip.address.String(), Created: ip.created.UnixNano(), Labels: []struct{}{}}
}

func ipViewV1(ip foundIP) IPV1 {
	return IPV1{ID: waypost.PseudoIP, PublicIP: ip.address.String(), Created: ip.created.UnixNano(), Labels: []struct{}{}}
}

func (a *API) ipRoutes() {
	const all, one = "/account/ip", "/account/ip/{id}"
	registerBoth(a, operation(http.MethodGet, all, "List the IPs: one that stands for your own servers", waypost.KeyAccount), nil, a.listIPs,
		views[[]foundIP, []IP, []IPV1]{legacy: each(ipView), v1: each(ipViewV1)})
	registerBoth(a, operation(http.MethodPut, all+"/allocate", "Allocate IPs: only the one that stands for your own servers can be", waypost.KeyAccount), IPAllocation{}, a.allocateIP, ipViews)
	registerBoth(a, operation(http.MethodGet, one, "Read one IP", waypost.KeyAccount), nil, a.getIP, ipViews)
	registerBoth(a, operation(http.MethodPut, one, "Change an IP: accepted, changes nothing", waypost.KeyAccount), IPUpdate{}, a.updateIP, ipViews)
	remove := operation(http.MethodDelete, one, "Delete an IP: refused with 406, as the IP stands for your own servers", waypost.KeyAccount)
	remove.Errors = append(remove.Errors, http.StatusNotAcceptable)
	register(a, remove, nil, a.deleteIP)
}

// ip is the account's pseudo IP, as old as its default sub-account.
func (a *API) ip(ctx context.Context) (foundIP, error) {
	s, err := a.subAccount(ctx, 0)
	return foundIP{address: a.pseudoIP(), created: s.Created}, err
}

// pseudoIP is the address of the pseudo IP.
func (a *API) pseudoIP() netip.Addr {
	if a.cfg.PseudoIP.IsValid() {
		return a.cfg.PseudoIP
	}
	return netip.MustParseAddr(waypost.DefaultPseudoIP)
}

func (a *API) listIPs(ctx context.Context, in *page) ([]foundIP, error) {
	ip, err := a.ip(ctx)
	if err != nil {
		return nil, err
	}
	if in.Offset > 0 || !strings.Contains(ip.address.String(), strings.TrimSpace(in.Search)) {
		return []foundIP{}, nil
	}
	return []foundIP{ip}, nil
}

func (a *API) getIP(ctx context.Context, in *idPath) (foundIP, error) {
	if in.ID != waypost.PseudoIP {
		return foundIP{}, notFound("IP", in.ID)
	}
	return a.ip(ctx)
}

func (a *API) updateIP(ctx context.Context, in *idBody) (foundIP, error) {
	if in.ID != waypost.PseudoIP {
		return foundIP{}, notFound("IP", in.ID)
	}
	req, err := decode[IPUpdate](in.RawBody)
	if err != nil {
		return foundIP{}, err
	}
	if req.AutoWarmup == nil {
		return foundIP{}, badField("autoWarmupEnabled", "is missing; send true or false")
	}
	return a.ip(ctx)
}

func (a *API) allocateIP(ctx context.Context, in *raw) (foundIP, error) {
	req, err := decode[IPAllocation](in.RawBody)
	if err != nil {
		return foundIP{}, err
	}
	ip, err := a.ip(ctx)
	if err != nil {
		return foundIP{}, err
	}
	if len(req.IPs) == 0 {
		return foundIP{}, badField("ips", "is missing: name %s, the only IP there is", ip.address)
	}
	for i, text := range req.IPs {
		if given, err := netip.ParseAddr(strings.TrimSpace(text)); err != nil || given.Unmap() != ip.address.Unmap() {
			return foundIP{}, badField(fmt.Sprintf("ips[%d]", i), "there is no such IP: mail leaves through your own servers, for which %s stands", ip.address)
		}
	}
	return ip, nil
}

func (a *API) deleteIP(_ context.Context, in *idPath) (Deleted, error) {
	if in.ID != waypost.PseudoIP {
		return Deleted{}, notFound("IP", in.ID)
	}
	return Deleted{}, unacceptable("this IP stands for your own servers and cannot be deleted; delete a provider instead")
}
