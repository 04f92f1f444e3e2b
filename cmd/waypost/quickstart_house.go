package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/agent"
	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/server"
	"github.com/waypost-mail/waypost/internal/simulator"
)

// quickHouse is the throw-away installation and the customer's side around it.
type quickHouse struct {
	dir     string
	postfix bool
	parts   parts
	client  quickClient

	dns      *simulator.DNS
	url      string // of the server
	keys     server.Keys
	relay    string // address of the mail server
	mailLog  string
	user     string // for AUTH, "" without
	password string
	newcomer chan waypost.UUID // messages that the mail server was offered
	mailbox  quickMailbox      // of reader@
}

func (h *quickHouse) path(name string) string { return filepath.Join(h.dir, name) }

// logName is the mail log as seen from the directory.
func (h *quickHouse) logName() string {
	return strings.TrimPrefix(h.mailLog, h.dir+string(filepath.Separator))
}

// start builds the house from the ground: names, mail server, server, then by
// its API the domain and the provider, and last the agent with the key that
// the provider's creation gave.
func (h *quickHouse) start(ctx context.Context, v *quickView) error {
	h.newcomer = make(chan waypost.UUID, 256)
	var err error
	if h.dns, err = simulator.ListenDNS(ctx, "127.0.0.1:0"); err != nil {
		return err
	}
	h.parts.start(ctx, "DNS server", h.dns.Run)
	if err := h.startRelay(ctx); err != nil {
		return err
	}
	what := "built-in simulator"
	if h.postfix {
		what = "private Postfix"
	}
	v.part("mail server", "%s (%s), log %s", h.relay, what, h.logName())
	if err := h.startServer(ctx); err != nil {
		return err
	}
	v.part("server", "%s, log server.log", h.url)
	if err := h.addDomain(ctx, v); err != nil {
		return err
	}
	key, err := h.addProvider(ctx, v)
	if err != nil {
		return err
	}
	if err := h.startAgent(ctx, key); err != nil {
		return err
	}
	v.part("agent", "reads %s, log agent.log", h.logName())
	return nil
}

func listenLoopback(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port on loopback: %w", err)
	}
	return l, nil
}

// seen takes the envelope sender of a message that the mail server was
// offered; it never blocks.
func (h *quickHouse) seen(sender string) {
	if path, ok := waypost.FindReturnPath(sender); ok {
		select {
		case h.newcomer <- path.UUID:
		default: // nobody looks; it will not be shown
		}
	}
}

func (h *quickHouse) startRelay(ctx context.Context) error {
	if h.postfix {
		return h.startPostfix(ctx)
	}
	h.mailLog = h.path("mail.log")
	out, err := h.parts.logFile(h.mailLog)
	if err != nil {
		return err
	}
	l, err := listenLoopback(ctx)
	if err != nil {
		return err
	}
	h.relay, h.user, h.password = l.Addr().String(), "quickstart", rand.Text()
	mta := simulator.NewMTA(simulator.MTAConfig{
		Hostname: "relay." + quickSender, MailLog: out, Username: h.user, Password: h.password, Seen: h.seen, Mailbox: h.mailbox.put,
	})
	h.parts.start(ctx, "mail server", func(ctx context.Context) error { return mta.Run(ctx, l) })
	return nil
}

// startPostfix puts a private Postfix between a policy service, which refuses
// mail for refused@ at first, and the recipients' servers.
func (h *quickHouse) startPostfix(ctx context.Context) error {
	if err := os.Chmod(h.dir, 0o711); err != nil { // its daemons run as another user; what is secret has directories of its own
		return fmt.Errorf("open the temporary directory to Postfix: %w", err)
	}
	dir := h.path("postfix")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of Postfix: %w", err)
	}
	far, err := listenLoopback(ctx)
	if err != nil {
		return err
	}
	h.parts.start(ctx, "recipients' servers", func(ctx context.Context) error { return (&simulator.FarEnd{Mailbox: h.mailbox.put}).Run(ctx, far) })
	policy, err := listenLoopback(ctx)
	if err != nil {
		return err
	}
	h.parts.start(ctx, "policy service", func(ctx context.Context) error {
		return (&simulator.Policy{Seen: h.seen}).Run(ctx, policy)
	})
	c := simulator.PostfixConfig{
		Dir: dir, Hostname: "relay." + quickSender, NextHop: far.Addr().String(), Policy: policy.Addr().String(),
	}
	ready := make(chan [2]string, 1)
	h.parts.start(ctx, "Postfix", func(ctx context.Context) error {
		return simulator.RunPostfix(ctx, c, func(smtp, mailLog string) { ready <- [2]string{smtp, mailLog} })
	})
	up, err := await(ctx, ready)
	h.relay, h.mailLog = up[0], up[1]
	return err
}

func (h *quickHouse) startServer(ctx context.Context) error {
	log, err := h.parts.logger(h.path("server.log"))
	if err != nil {
		return err
	}
	c := server.Config{
		Data: h.path("server"), HTTP: "127.0.0.1:0", BounceHost: "bounce." + quickSender, DNSResolver: h.dns.Addr(),
		AllowPrivateNetworks: true, Grace: 5 * time.Second, Log: log, Version: version,
		RetrySchedule: waypost.RetrySchedule{time.Second, 2 * time.Second, 4 * time.Second},
	}
	ready := make(chan server.Ready, 1)
	h.parts.start(ctx, "server", func(ctx context.Context) error {
		return server.Run(ctx, c, func(r server.Ready) { ready <- r })
	})
	up, err := await(ctx, ready)
	if err != nil {
		return err
	}
	h.url, h.keys = "http://"+up.HTTP, *up.Keys // a new installation has keys
	h.client = quickClient{
		base: h.url + "/api/v1", account: h.keys.AccountAPIKey, subAccount: h.keys.SubAccountAPIKey,
		http: http.Client{Transport: &http.Transport{}},
	}
	h.parts.closers = append(h.parts.closers, func() error {
		h.client.http.CloseIdleConnections()
		return nil
	})
	return nil
}

// addDomain adds the sender domain, publishes the records that the answer asks
// for, and has them checked.
func (h *quickHouse) addDomain(ctx context.Context, v *quickView) error {
	var d api.Domain
	if err := h.client.call(ctx, http.MethodPost, "/subaccount/domain", map[string]any{"name": quickSender}, &d); err != nil {
		return fmt.Errorf("add the sender domain: %w", err)
	}
	var records []simulator.Record
	for _, r := range []api.DNSRecord{d.DKIM, d.ReturnPath, d.Track, d.DMARC} {
		records = append(records, simulator.Record{Host: r.Host, Type: r.Type, Value: r.TextValue})
	}
	if err := h.dns.Set(records); err != nil {
		return fmt.Errorf("publish the records of the sender domain: %w", err)
	}
	if err := h.client.call(ctx, http.MethodPost, "/subaccount/domain/"+strconv.FormatInt(d.ID, 10)+"/verify", nil, &d); err != nil {
		return fmt.Errorf("check the sender domain: %w", err)
	}
	if !d.DKIMVerified || !d.ReturnPathVerified {
		return fmt.Errorf("the sender domain is not verified: DKIM: %q; return path: %q", d.DKIMFailure, d.ReturnPathFailure)
	}
	v.part("sender domain", "%s: DKIM and return path verified by DNS", quickSender)
	return nil
}

// addProvider makes the mail server a provider, which tests the connection,
// and gives the key for its agent.
func (h *quickHouse) addProvider(ctx context.Context, v *quickView) (string, error) {
	relay, err := netip.ParseAddrPort(h.relay)
	if err != nil {
		return "", fmt.Errorf("address of the mail server: %w", err)
	}
	request := map[string]any{
		"name": quickProvider, "smtpHost": relay.Addr().String(), "smtpPort": relay.Port(), "smtpSecurity": "none", "maxRatePerHour": 10_000,
	}
	tested := "connection test passed"
	if h.user != "" {
		request["smtpUsername"], request["smtpPassword"] = h.user, h.password
		request["smtpAuth"], request["allowPlainAuth"] = "plain", true
		tested += " with AUTH PLAIN"
	}
	var p api.Provider
	if err := h.client.call(ctx, http.MethodPost, "/account/tpsp/", request, &p); err != nil {
		return "", fmt.Errorf("add the mail server as provider: %w", err)
	}
	v.part("provider", "%s: %s", p.Name, tested)
	return p.EventKey, nil
}

func (h *quickHouse) startAgent(ctx context.Context, key string) error {
	log, err := h.parts.logger(h.path("agent.log"))
	if err != nil {
		return err
	}
	c := agent.Config{
		APIKey: key, Endpoint: h.url, LogPath: h.mailLog, StateDir: h.path("agent"), Hostname: "relay." + quickSender,
		Flush: 100 * time.Millisecond, FromStart: true, Version: version, Log: log,
	}
	ready := make(signalled, 1)
	c.Ready = ready
	h.parts.start(ctx, "agent", func(ctx context.Context) error { return agent.Run(ctx, c) })
	_, err = await(ctx, ready)
	return err
}

// signalled is a writer whose first line is a signal.
type signalled chan struct{}

// Write signals, once.
func (s signalled) Write(b []byte) (int, error) {
	select {
	case s <- struct{}{}:
	default:
	}
	return len(b), nil
}
