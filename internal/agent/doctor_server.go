package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// examineServer goes the way of a report step by step: name, TLS, and an empty
// report with the key.
func examineServer(ctx context.Context, cfg *Config, add adder) {
	s := newShipper(cfg, "", nil, newStatus())
	defer s.client.CloseIdleConnections()
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || !examineWay(ctx, u, add) {
		return
	}
	a := s.post(ctx, nil)
	switch {
	case a.kind == taken:
		add("server", Good, fmt.Sprintf("%s takes the key, in %v", cfg.Endpoint, a.took.Round(time.Millisecond)), "")
	case a.kind == keyRefused:
		add("server", Bad, a.err.Error(), "create a new event key for this provider in Waypost and set api-key")
	case a.code == 0:
		add("server", Bad, a.err.Error(), "see whether endpoint is right and this machine may connect to it (DNS, firewall, certificate)")
	default:
		add("server", Bad, a.err.Error(), "see whether endpoint is the URL of Waypost itself and what answers there")
	}
	if a.dated && a.skew.Abs() > time.Minute {
		add("clock", Warn, fmt.Sprintf("the server's clock is %v ahead of this one", a.skew), "run a time service (chrony, systemd-timesyncd) here")
	} else if a.dated {
		add("clock", Good, "agrees with the server's", "")
	}
}

// examineWay looks at name and certificate; false when there is no going on.
// Behind a proxy both are the proxy's concern.
func examineWay(ctx context.Context, u *url.URL, add adder) bool {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err == nil && proxy != nil {
		add("proxy", Good, "reports go through "+proxy.Host, "")
		return true
	}
	host, ip := u.Hostname(), net.ParseIP(u.Hostname())
	if ip == nil {
		addrs, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			add("dns", Bad, err.Error(), "see whether endpoint is right and this machine can resolve names (/etc/resolv.conf)")
			return false
		}
		ip = net.ParseIP(addrs[0])
		add("dns", Good, host+" is "+strings.Join(addrs[:min(len(addrs), 4)], ", "), "")
	}
	if u.Scheme == "https" {
		return examineTLS(ctx, u, add)
	}
	if ip != nil && !ip.IsLoopback() {
		add("tls", Warn, "reports and the key travel in the clear", "use an https:// endpoint, unless the network in between is yours")
	}
	return true
}

func examineTLS(ctx context.Context, u *url.URL, add adder) bool {
	port := u.Port()
	if port == "" {
		port = "443"
	}
	d := tls.Dialer{Config: &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}}
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		add("tls", Bad, err.Error(), "see whether this machine may connect to it, and whether the certificate names the host and its issuer is trusted here (ca-certificates, SSL_CERT_FILE)")
		return false
	}
	defer func() { _ = conn.Close() }()
	c, ok := conn.(*tls.Conn)
	if !ok {
		return true
	}
	state := c.ConnectionState()
	left := time.Until(state.PeerCertificates[0].NotAfter)
	text := fmt.Sprintf("%s, certificate good for %d days", tls.VersionName(state.Version), int(left.Hours()/24))
	if left < 7*24*time.Hour {
		add("tls", Warn, text, "renew the server's certificate: the agent sends nothing to a server it cannot verify")
	} else {
		add("tls", Good, text, "")
	}
	return true
}
