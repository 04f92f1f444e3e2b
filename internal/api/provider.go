package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/store"
)

// ProviderRequest is the body of a provider's creation and of its connection
// test (D-11, D-13). The last four names are aliases of older programs.
type ProviderRequest struct {
	Name           string                     `json:"name"`
	Type           *number                    `json:"type,omitempty" doc:"3, Custom SMTP"`
	SMTPHost       string                     `json:"smtpHost"`
	SMTPPort       number                     `json:"smtpPort"`
	SMTPSecurity   string                     `json:"smtpSecurity,omitempty" enum:"none,starttls,tls"`
	SMTPUsername   string                     `json:"smtpUsername,omitempty"`
	SMTPPassword   string                     `json:"smtpPassword,omitempty"`
	SMTPAuth       string                     `json:"smtpAuth,omitempty" enum:"auto,plain,login,none"`
	HELOName       string                     `json:"heloName,omitempty"`
	TLSSkipVerify  bool                       `json:"tlsSkipVerify,omitempty"`
	AllowPlainAuth bool                       `json:"allowPlainAuth,omitempty" doc:"send credentials without TLS"`
	MaxRatePerHour *number                    `json:"maxRatePerHour,omitempty" doc:"default 100"`
	Settings       map[string]MailboxSettings `json:"providerSettings,omitempty"`
	RetryPermanent *bool                      `json:"retryPermanent,omitempty" doc:"default true"`
	RetrySchedule  *string                    `json:"retrySchedule,omitempty" doc:"pauses before each retry, such as 1h,2h,3h,4h,5h; empty for the installation's"`
	Burst          *bool                      `json:"burst,omitempty" doc:"send as fast as the limits let; default false, spread over the hour"`
	MaxConnections *number                    `json:"maxConnections,omitempty" doc:"concurrent sessions, 0 for the installation's"`
	MaxPerSession  *number                    `json:"maxMessagesPerConnection,omitempty" doc:"messages on one session, 0 for the installation's"`
	CreateIPPool   *bool                      `json:"createIPPool,omitempty" doc:"default true"`
	TestFrom       string                     `json:"testFrom,omitempty"`
	TestTo         string                     `json:"testTo,omitempty"`

	Endpoint string `json:"endpoint,omitempty"`
	Port     number `json:"port,omitempty"`
	Key      string `json:"key,omitempty"`
	Secret   string `json:"secret,omitempty"`
}

// MailboxSettings are the limits of one mailbox category.
type MailboxSettings struct {
	MaxSendPerHour           number `json:"maxSendPerHour,omitempty"`
	MaxConcurrentConnections number `json:"maxConcurrentConnections,omitempty"`
}

// Provider answers with the legacy fields of a third-party sending provider,
// ours beside them, and the ingestion key in the answer to its creation alone.
type Provider struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	Type       int    `json:"type"`
	Domain     string `json:"domain"`
	Endpoint   string `json:"endpoint"`
	Key        string `json:"key"`
	Secret     string `json:"secret" doc:"always empty"`
	Port       int    `json:"port"`
	OAuthToken string `json:"oauthToken"`
	RetryTime  int    `json:"retryTime"`
	Created    int64  `json:"created" doc:"UNIX nanoseconds"`

	SMTPHost       string                     `json:"smtpHost"`
	SMTPPort       int                        `json:"smtpPort"`
	SMTPSecurity   string                     `json:"smtpSecurity"`
	SMTPUsername   string                     `json:"smtpUsername"`
	SMTPAuth       string                     `json:"smtpAuth"`
	HELOName       string                     `json:"heloName"`
	TLSSkipVerify  bool                       `json:"tlsSkipVerify"`
	AllowPlainAuth bool                       `json:"allowPlainAuth"`
	MaxRatePerHour int                        `json:"maxRatePerHour"`
	Settings       map[string]MailboxSettings `json:"providerSettings"`
	RetryPermanent bool                       `json:"retryPermanent"`
	RetrySchedule  string                     `json:"retrySchedule"`
	Burst          bool                       `json:"burst"`
	MaxConnections int                        `json:"maxConnections"`
	MaxPerSession  int                        `json:"maxMessagesPerConnection"`
	AgentStatus    string                     `json:"agentStatus" enum:"ok,late,silent,never" doc:"D-34"`
	AgentLastSeen  *int64                     `json:"agentLastSeenAt" doc:"UNIX nanoseconds"`

	IPPool   string `json:"ippool,omitempty" doc:"name of the pool made with the provider"`
	EventKey string `json:"eventIngestionApiKey,omitempty" doc:"shown once"`
}

type idPath struct {
	ID int64 `path:"id" minimum:"1"`
}

func (a *API) providerRoutes() {
	op := operation(http.MethodPost, "/account/tpsp", "Create a Custom SMTP provider after a full connection test", waypost.KeyAccount)
	register(a, stepwise(op), ProviderRequest{}, a.createProvider)
	register(a, operation(http.MethodGet, "/account/tpsp", "List the providers", waypost.KeyAccount), nil, a.listProviders)
	register(a, operation(http.MethodGet, "/account/tpsp/count", "Count the providers", waypost.KeyAccount), nil, a.countProviders)
	const one = "/account/tpsp/{id}"
	register(a, operation(http.MethodGet, one, "Read one provider", waypost.KeyAccount), nil, a.getProvider)
	register(a, stepwise(operation(http.MethodPut, one, "Change a provider; fields left out stay as they are", waypost.KeyAccount)), ProviderRequest{}, a.updateProvider)
	register(a, operation(http.MethodDelete, one, "Delete a provider; its waiting mail goes to other members of its pools, or is dropped", waypost.KeyAccount), nil, a.deleteProvider)
	register(a, operation(http.MethodPost, one+"/rotate-key", "Make a new event ingestion key; the old one works 24 hours more", waypost.KeyAccount), nil, a.rotateKey)
	register(a, operation(http.MethodGet, one+"/agent", "The agent of a provider's mail server, by its last report", waypost.KeyAccount), nil, a.providerAgent)
	register(a, operation(http.MethodGet, one+"/events", "Changes of a provider's state, newest first", waypost.KeyAccount), nil, a.providerEvents)
}

// createProvider tests the connection, then stores the provider, its pool and
// its ingestion key in one transaction. A provider that fails the test is not
// stored.
func (a *API) createProvider(ctx context.Context, in *raw) (Provider, error) {
	key := caller(ctx)
	req, err := decode[ProviderRequest](in.RawBody)
	if err != nil {
		return Provider{}, err
	}
	p, err := req.provider()
	if err != nil {
		return Provider{}, err
	}
	if err := a.nameFree(ctx, key.Account, p.Name); err != nil {
		return Provider{}, err
	}
	if test := a.probe(ctx, &p, &req); !test.Success {
		return Provider{}, refusedByTest(&test)
	}
	p.Account = key.Account
	p.Created = time.Now().Truncate(time.Millisecond)
	p.Updated = p.Created
	if req.SMTPPassword != "" {
		p.Password = a.cfg.Box.Seal([]byte(req.SMTPPassword), queue.PasswordPlace)
	}
	plain := secret.NewKey("wpe")
	apiKey := waypost.APIKey{
		Kind: waypost.KeyIngestion, Account: key.Account, Hash: secret.HashKey(plain), Hint: secret.Hint(plain), Created: p.Created,
	}
	var pool *waypost.Pool
	if req.CreateIPPool == nil || *req.CreateIPPool {
		pool = &waypost.Pool{Account: key.Account, Name: p.Name, Strategy: waypost.StrategyVolumePercentage, Created: p.Created}
	}
	if err := a.cfg.Store.CreateProvider(ctx, &p, &apiKey, pool); err != nil {
		if errors.Is(err, store.ErrExists) {
			return Provider{}, nameTaken(p.Name)
		}
		return Provider{}, fmt.Errorf("store provider %q: %w", p.Name, err)
	}
	a.audit(ctx, "provider.create", fmt.Sprintf("provider %d", p.ID), "created provider %q at %s:%d", p.Name, p.Host, p.Port)
	out := a.providerView(ctx, &p)
	out.EventKey = plain
	if pool != nil {
		out.IPPool = pool.Name
	}
	return out, nil
}

// nameFree spares a connection test that could only end in a refusal.
func (a *API) nameFree(ctx context.Context, account int64, name string) error {
	p, err := a.providerNamed(ctx, account, name)
	if err == nil && p.ID != 0 {
		return nameTaken(name)
	}
	return err
}

// providerNamed finds a provider by its whole name; the zero provider when
// there is none.
func (a *API) providerNamed(ctx context.Context, account int64, name string) (waypost.Provider, error) {
	for offset := 0; ; offset += 1000 {
		all, err := a.cfg.Store.Providers(ctx, account, store.Page{Limit: 1000, Offset: offset, Search: name})
		if err != nil {
			return waypost.Provider{}, fmt.Errorf("look for a provider named %q: %w", name, err)
		}
		for i := range all {
			if all[i].Name == name {
				return all[i], nil
			}
		}
		if len(all) < 1000 {
			return waypost.Provider{}, nil
		}
	}
}

func nameTaken(name string) *Error {
	e := fail(http.StatusForbidden, fmt.Sprintf("a provider named %q exists already; choose another name", name))
	e.Body.Param = "name"
	return e
}

// refusedByTest is the 422 of a provider whose connection test failed; the
// whole test stands in it.
func refusedByTest(test *smtp.ProbeResult) *Error {
	e := badField(testField(test), "the connection test failed at step %q: %s. %s", test.FailedStep, strings.TrimRight(test.Message, ". "), test.Hint)
	e.ProbeResult, e.Body.Test = test, test
	return e
}

// testField names the request's field that a failed step speaks of.
func testField(test *smtp.ProbeResult) string {
	switch test.FailedStep {
	case "dns", "connect":
		return "smtpHost"
	case "starttls", "tls":
		return "smtpSecurity"
	case "auth":
		return "smtpPassword"
	case "mail":
		return "testFrom"
	case "rcpt":
		return "testTo"
	}
	return "smtpHost"
}

// provider checks the request. It resolves the aliases into the request's own
// names first.
func (r *ProviderRequest) provider() (waypost.Provider, error) {
	def := func(v *string, other string) {
		if *v == "" {
			*v = other
		}
	}
	def(&r.SMTPHost, r.Endpoint)
	def(&r.SMTPUsername, r.Key)
	def(&r.SMTPPassword, r.Secret)
	def(&r.SMTPSecurity, "starttls")
	def(&r.SMTPAuth, "auto")
	if r.SMTPPort == 0 {
		r.SMTPPort = r.Port
	}
	p := waypost.Provider{
		Name: strings.TrimSpace(r.Name), Host: strings.TrimSpace(r.SMTPHost), Port: int(r.SMTPPort),
		Security: strings.ToLower(r.SMTPSecurity), Auth: strings.ToLower(r.SMTPAuth), Username: r.SMTPUsername, HELO: r.HELOName,
		TLSSkipVerify: r.TLSSkipVerify, PlainAuth: r.AllowPlainAuth,
		MaxPerHour: waypost.DefaultMaxPerHour, RetryPermanent: r.RetryPermanent == nil || *r.RetryPermanent,
	}
	if onThisMachine(p.Host) {
		p.PlainAuth = true // what goes over loopback is on no wire (D-15)
	}
	if r.MaxRatePerHour != nil {
		p.MaxPerHour = int(*r.MaxRatePerHour)
	}
	bad := append(r.check(&p), r.settings(&p)...)
	if bad = append(bad, r.pace(&p)...); len(bad) > 0 {
		return p, invalid(bad...)
	}
	return p, nil
}

// pace reads how fast and how often a provider is sent to.
func (r *ProviderRequest) pace(p *waypost.Provider) (bad []ErrorDetail) {
	if r.RetrySchedule != nil && *r.RetrySchedule != "" {
		var err error
		if p.Retry, err = waypost.ParseRetrySchedule(*r.RetrySchedule); err != nil {
			bad = append(bad, ErrorDetail{"retrySchedule", err.Error()})
		}
	}
	p.Burst = r.Burst != nil && *r.Burst
	for _, n := range []struct {
		field string
		given *number
		to    *int
		most  number
	}{
		{"maxConnections", r.MaxConnections, &p.MaxConnections, 1000},
		{"maxMessagesPerConnection", r.MaxPerSession, &p.MaxPerSession, 100_000},
	} {
		if n.given == nil {
			continue
		}
		if *n.given < 0 || *n.given > n.most {
			bad = append(bad, ErrorDetail{n.field, fmt.Sprintf("must be 0 to %d; 0 for the installation's", n.most)})
			continue
		}
		*n.to = int(*n.given)
	}
	return bad
}

func (r *ProviderRequest) check(p *waypost.Provider) (bad []ErrorDetail) {
	add := func(ok bool, field, format string, args ...any) {
		if !ok {
			bad = append(bad, ErrorDetail{field, fmt.Sprintf(format, args...)})
		}
	}
	oneOf := func(v string, all ...string) bool {
		return slices.Contains(all, v)
	}
	n := utf8.RuneCountInString(p.Name)
	add(n >= 1 && n <= 100 && !strings.ContainsFunc(p.Name, isControl), "name", "must have 1 to 100 characters without control characters")
	add(r.Type == nil || *r.Type == waypost.ProviderCustomSMTP, "type", "must be 3, Custom SMTP: this platform relays through your own SMTP servers")
	add(p.Host != "" && len(p.Host) <= 253 && !strings.ContainsFunc(p.Host, isControlOrSpace) && !strings.Contains(p.Host, "/"), "smtpHost", "must be a host name or an IP address, without scheme or port")
	add(p.Port >= 1 && p.Port <= 65535, "smtpPort", "must be 1 to 65535; 587 and 465 are usual")
	add(oneOf(p.Security, "none", "starttls", "tls"), "smtpSecurity", "must be none, starttls or tls")
	add(oneOf(p.Auth, "auto", "plain", "login", "none"), "smtpAuth", "must be auto, plain, login or none")
	add(len(r.SMTPUsername) <= 255 && len(r.SMTPPassword) <= 1024, "smtpUsername", "user name or password is too long: at most 255 and 1,024 bytes")
	add(r.SMTPPassword == "" || r.SMTPUsername != "", "smtpUsername", "is missing, though a password is given")
	add(!strings.ContainsRune(r.SMTPUsername+r.SMTPPassword, 0), "smtpPassword", "user name or password has a NUL, which AUTH cannot carry")
	add(p.HELO == "" || waypost.CheckDomain(p.HELO) == nil, "heloName", "must be a host name such as mail.example.com")
	add(p.MaxPerHour >= 1 && p.MaxPerHour <= 100_000_000, "maxRatePerHour", "must be 1 to 100,000,000")
	for field, email := range map[string]string{"testFrom": r.TestFrom, "testTo": r.TestTo} {
		if email != "" {
			err := waypost.CheckEmail(email)
			add(err == nil, field, "%v", err)
		}
	}
	return bad
}

func (r *ProviderRequest) settings(p *waypost.Provider) (bad []ErrorDetail) {
	for name, s := range r.Settings {
		box, ok := waypost.ParseMailbox(name)
		field := "providerSettings." + name
		switch {
		case !ok:
			bad = append(bad, ErrorDetail{field, "is none of the 27 mailbox categories, such as gmail, yahoo, microsoft or default"})
		case s.MaxSendPerHour < 0 || s.MaxSendPerHour > waypost.MaxMailboxPerHour:
			bad = append(bad, ErrorDetail{field + ".maxSendPerHour", "must be 0 to 100,000; 0 sets no limit of its own"})
		case s.MaxConcurrentConnections < 0 || s.MaxConcurrentConnections > 1000:
			bad = append(bad, ErrorDetail{field + ".maxConcurrentConnections", "must be 0 to 1,000; 0 sets no limit of its own"})
		default:
			if p.Settings == nil {
				p.Settings = map[waypost.Mailbox]waypost.MailboxLimit{}
			}
			p.Settings[box] = waypost.MailboxLimit{MaxPerHour: int(s.MaxSendPerHour), MaxConnections: int(s.MaxConcurrentConnections)}
		}
	}
	return bad
}

// onThisMachine tells whether a host is loopback by its very name.
func onThisMachine(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

func isControl(r rune) bool        { return r < ' ' || r == 0x7f }
func isControlOrSpace(r rune) bool { return r <= ' ' || r == 0x7f }

func (a *API) listProviders(ctx context.Context, in *page) ([]Provider, error) {
	all, err := a.cfg.Store.Providers(ctx, caller(ctx).Account, in.of())
	if err != nil {
		return nil, fmt.Errorf("list providers: %w", err)
	}
	out := make([]Provider, len(all))
	for i := range all {
		out[i] = a.providerView(ctx, &all[i])
	}
	return out, nil
}

func (a *API) getProvider(ctx context.Context, in *idPath) (Provider, error) {
	p, err := a.provider(ctx, in.ID)
	if err != nil {
		return Provider{}, err
	}
	return a.providerView(ctx, &p), nil
}

func (a *API) providerView(ctx context.Context, p *waypost.Provider) Provider {
	out := Provider{
		ID: p.ID, Name: p.Name, Type: waypost.ProviderCustomSMTP, Endpoint: p.Host, Key: p.Username, Port: p.Port,
		Created:  p.Created.UnixNano(),
		SMTPHost: p.Host, SMTPPort: p.Port, SMTPSecurity: p.Security, SMTPUsername: p.Username, SMTPAuth: p.Auth,
		HELOName: p.HELO, TLSSkipVerify: p.TLSSkipVerify, AllowPlainAuth: p.PlainAuth,
		RetrySchedule: p.Retry.String(), Burst: p.Burst, MaxConnections: p.MaxConnections, MaxPerSession: p.MaxPerSession,
		MaxRatePerHour: p.MaxPerHour, Settings: settingsView(p), RetryPermanent: p.RetryPermanent,
	}
	agent, err := a.cfg.Store.Agent(ctx, p.ID)
	if err != nil && !isNotFound(err) {
		a.cfg.Log.WarnContext(ctx, "cannot read the agent's state", "provider", p.Name, "error", err)
	}
	out.AgentStatus, out.AgentLastSeen = agentStatus(agent.LastSeen, time.Now())
	return out
}

func settingsView(p *waypost.Provider) map[string]MailboxSettings {
	out := map[string]MailboxSettings{}
	for box, l := range p.Settings {
		out[box.String()] = MailboxSettings{MaxSendPerHour: number(l.MaxPerHour), MaxConcurrentConnections: number(l.MaxConnections)}
	}
	return out
}

// agentStatus judges an agent by its last report (D-34).
func agentStatus(seen, now time.Time) (string, *int64) {
	if seen.IsZero() {
		return "never", nil
	}
	ns := seen.UnixNano()
	switch age := now.Sub(seen); {
	case age <= 5*time.Minute:
		return "ok", &ns
	case age <= time.Hour:
		return "late", &ns
	}
	return "silent", &ns
}
