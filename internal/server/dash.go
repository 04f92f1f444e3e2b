package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/dash"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
)

// dashboard makes the pages for people; nil on a node without that role. They
// change things through the API of this process.
func dashboard(c *Config, box *secret.Box, s store.Store, a http.Handler, names *net.Resolver, proxies []netip.Prefix, node func(context.Context) dash.Node) (*dash.Dash, error) {
	if !c.has("dash") {
		return nil, nil
	}
	sso, err := signOn(c, names)
	if err != nil {
		return nil, err
	}
	return dash.New(dash.Config{
		Store: s, API: a, As: api.As, Log: c.Log, SSO: sso, Box: box, TrustedProxies: proxies, PublicURL: c.PublicURL, Version: c.Version,
		Lines: c.Lines, Node: node,
	}), nil
}

// front answers whatever no other part does: with pages, or where there are
// none with a description for programs, which get it at "/" in any case when
// they ask for JSON.
func front(c *Config, d *dash.Dash) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		accept := r.Header.Get("Accept")
		program := strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
		switch {
		case r.URL.Path == "/" && r.Method == http.MethodGet && (d == nil || program):
			answer(w, http.StatusOK, map[string]string{"product": "Waypost", "version": c.Version, "api": c.PublicURL + "/api/v1", "openapi": c.PublicURL + "/api/v1/openapi.json"})
		case d == nil:
			http.NotFound(w, r)
		default:
			d.ServeHTTP(w, r)
		}
	})
}
