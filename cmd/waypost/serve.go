package main

import (
	"fmt"
	"time"

	"github.com/alecthomas/kong"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dash"
	"github.com/waypost-mail/waypost/internal/server"
)

// settings are the flags of serve, which are also the keys of its
// configuration file.
type settings struct {
	Data                 string          `help:"Directory of the database and the key file." required:"" placeholder:"DIR"`
	Database             string          `help:"postgres://… for several nodes; SQLite in the data directory without it." placeholder:"URL"`
	Config               kong.ConfigFlag `help:"YAML file with any of these flags as keys." placeholder:"FILE"`
	HTTP                 string          `name:"http" help:"Listen address of API, tracking and dashboard." default:"127.0.0.1:8080" placeholder:"ADDR"`
	SMTP                 string          `name:"smtp" help:"Listen address of the bounce processor." placeholder:"ADDR"`
	Submission           string          `help:"Listen address of SMTP submission with STARTTLS, such as :587." placeholder:"ADDR"`
	SubmissionsTLS       string          `name:"submissions-tls" help:"Listen address of SMTP submission with TLS from the first byte, such as :465." placeholder:"ADDR"`
	SubmissionDomain     string          `help:"Domain of user names of SMTP submission." default:"sendpost.io" placeholder:"DOMAIN"`
	SubmissionPlainAuth  bool            `help:"Take passwords without TLS at SMTP submission; on a loopback address alone."`
	TLSCert              string          `name:"tls-cert" help:"Certificate chain of SMTP submission, PEM; read again when it changes." placeholder:"FILE"`
	TLSKey               string          `name:"tls-key" help:"Its key, PEM." placeholder:"FILE"`
	PublicURL            string          `name:"public-url" help:"How the world reaches the HTTP address." placeholder:"URL"`
	PublicIP             string          `name:"public-ip" help:"Address that /account/ip shows for your own servers." placeholder:"IP"`
	KeyPerHour           int             `help:"Requests an hour of an API key that has no bound of its own; 0 for no bound."`
	MetricsToken         string          `help:"Bearer token that /metrics asks for; open without it. Better in the environment." placeholder:"TOKEN"`
	LegacySunset         string          `help:"Day from which the contract v1 answers requests that name none; until then they are told of it. Never without it." placeholder:"YYYY-MM-DD"`
	BounceHost           string          `help:"Host that return paths point to." placeholder:"HOST"`
	Separator            string          `name:"return-path-separator" help:"Character between the parts of return paths: + = or -, for mail servers that refuse the plus sign or take it for theirs. All are read." default:"+" placeholder:"CHAR"`
	DNSResolver          string          `name:"dns-resolver" help:"DNS server to ask; the system's without it." placeholder:"HOST:PORT"`
	SPF                  string          `name:"spf" help:"SPF mechanisms that cover your mail servers, such as \"ip4:192.0.2.1 include:_spf.example.com\"." placeholder:"LIST"`
	AgentPackages        string          `help:"Directory of the agent's packages that /agent/install.sh installs; agent in the data directory without it." placeholder:"DIR"`
	TrackIP              bool            `name:"track-ip" help:"Keep the IP addresses of opens, clicks and unsubscriptions." default:"true" negatable:""`
	GeoDatabase          string          `help:"MaxMind DB file, such as GeoLite2-City.mmdb, that tells where opens and clicks come from; read again when it changes." placeholder:"FILE"`
	TrustedProxies       []string        `help:"Networks of the proxies before this server, whose X-Forwarded-For is believed." placeholder:"CIDR,…"`
	TrackScheme          string          `help:"http or https, of the tracking hosts of sender domains; that of the public URL without it." placeholder:"SCHEME"`
	OIDCIssuer           string          `name:"oidc-issuer" help:"OpenID Connect issuer through which people log in to the dashboard." placeholder:"URL"`
	OIDCClientID         string          `name:"oidc-client-id" help:"Client id of this dashboard there." placeholder:"ID"`
	OIDCClientSecret     string          `name:"oidc-client-secret" help:"Its secret; better in the environment, where the process list does not show it." placeholder:"SECRET"`
	OIDCName             string          `name:"oidc-name" help:"What the issuer is called at the login." placeholder:"NAME"`
	OIDCScopes           []string        `name:"oidc-scopes" help:"Scopes to ask for." default:"openid,email,profile" placeholder:"LIST"`
	OIDCCreateRole       string          `name:"oidc-create-role" help:"Role of people who are made at their first login; without it only who was invited may log in." placeholder:"ROLE"`
	OIDCGroups           []string        `name:"oidc-groups" help:"Groups that may log in, and their roles, such as mail-admins=owner,staff=viewer." placeholder:"GROUP=ROLE,…"`
	OIDCGroupsClaim      string          `name:"oidc-groups-claim" help:"Claim that lists a person's groups." default:"groups" placeholder:"NAME"`
	OIDCOnly             bool            `name:"oidc-only" help:"Passwords open nothing; people log in through the issuer alone."`
	AllowPrivateNetworks bool            `help:"Let providers be on loopback and private addresses."`
	RetrySchedule        string          `help:"Pauses before each retry of a relay." default:"1h,2h,3h,4h,5h" placeholder:"LIST"`
	SimulatorDomain      string          `help:"Domain whose recipients are simulated: test, deliver, hardbounce, softbounce and dropped; \"none\" for none." default:"playwithsendpost.io" placeholder:"DOMAIN"`
	Roles                []string        `help:"What this node does: api, send, bounce, track, webhook, submission, dash, or all." default:"all"`
	Sessions             int             `help:"SMTP sessions per provider." default:"20"`
	RelayMemory          int             `help:"Memory for messages being relayed and their files, in MiB; large ones wait for room in it." default:"128"`
	AcceptMemory         int             `help:"Memory for calls being accepted, and as much for mails of SMTP submission, in MiB; large ones wait for room in it." default:"64"`
	Grace                time.Duration   `help:"How long a stop waits for messages in flight." default:"20s"`
	Lease                time.Duration   `help:"After this long a message whose worker died is due again, on PostgreSQL." default:"2m"`
	RetainMessages       time.Duration   `help:"How long finished messages are kept with their contents; 0 for ever." default:"2160h"`
	RetainEvents         time.Duration   `help:"How long events are kept; 0 for ever. Counters stay." default:"9600h"`
	RetainJournal        time.Duration   `help:"How long provider events and the audit log are kept; 0 for ever." default:"9600h"`
	WarnDelivery         string          `help:"Percent of delivered mail below which the dashboard wants attention, and below which it sees danger." default:"95,90" placeholder:"N,N"`
	WarnBounces          string          `help:"The same for hard bounces, above." default:"2,5" placeholder:"N,N"`
	WarnComplaints       string          `help:"The same for spam reports of delivered mail, above." default:"0.1,0.5" placeholder:"N,N"`
}

// lines reads the warning lines of the dashboard.
func (s *settings) lines() (l dash.Lines, err error) {
	for _, one := range []struct {
		name, text string
		falling    bool
		to         *dash.Line
	}{
		{"warn-delivery", s.WarnDelivery, true, &l.Delivery},
		{"warn-bounces", s.WarnBounces, false, &l.Bounce},
		{"warn-complaints", s.WarnComplaints, false, &l.Complaint},
	} {
		if *one.to, err = dash.ParseLine(one.text, one.falling); err != nil {
			return l, usageError{fmt.Errorf("%s: %w", one.name, err)}
		}
	}
	return l, nil
}

func (s *settings) server(e *env) (server.Config, error) {
	schedule, err := waypost.ParseRetrySchedule(s.RetrySchedule)
	if err != nil {
		return server.Config{}, usageError{err}
	}
	var sunset time.Time
	if s.LegacySunset != "" {
		if sunset, err = time.Parse(time.DateOnly, s.LegacySunset); err != nil {
			return server.Config{}, usageError{fmt.Errorf("legacy-sunset: %q is no day such as 2027-01-31", s.LegacySunset)}
		}
	}
	lines, err := s.lines()
	if err != nil {
		return server.Config{}, err
	}
	c := server.Config{
		Data: s.Data, Database: s.Database, HTTP: s.HTTP, SMTP: s.SMTP, Submission: s.Submission,
		SubmissionTLS: s.SubmissionsTLS, SubmissionDomain: s.SubmissionDomain, SubmissionPlainAuth: s.SubmissionPlainAuth,
		TLSCert: s.TLSCert, TLSKey: s.TLSKey,
		PublicURL: s.PublicURL, PublicIP: s.PublicIP, LegacySunset: sunset, KeyPerHour: s.KeyPerHour, BounceHost: s.BounceHost, Separator: s.Separator, DNSResolver: s.DNSResolver, SPF: s.SPF,
		AgentPackages: s.AgentPackages,
		ForgetIP:      !s.TrackIP, GeoDatabase: s.GeoDatabase, TrustedProxies: s.TrustedProxies, TrackScheme: s.TrackScheme,
		OIDC: server.OIDC{
			Issuer: s.OIDCIssuer, ClientID: s.OIDCClientID, ClientSecret: s.OIDCClientSecret, Name: s.OIDCName, Scopes: s.OIDCScopes,
			CreateRole: s.OIDCCreateRole, Groups: s.OIDCGroups, GroupsClaim: s.OIDCGroupsClaim, Only: s.OIDCOnly,
		},
		AllowPrivateNetworks: s.AllowPrivateNetworks, RetrySchedule: schedule, SimulatorDomain: s.SimulatorDomain, Roles: s.Roles,
		Sessions: s.Sessions, RelayMemory: s.RelayMemory, AcceptMemory: s.AcceptMemory, MetricsToken: s.MetricsToken, Grace: s.Grace, Lease: s.Lease,
		Retention: server.Retention{Messages: s.RetainMessages, Events: s.RetainEvents, Journal: s.RetainJournal},
		Lines:     lines,
		Log:       e.log, Version: version,
	}
	if err := c.Check(); err != nil {
		return c, usageError{err}
	}
	return c, nil
}

type serveCmd struct {
	settings
}

// Run serves until the process is told to stop.
func (s *serveCmd) Run(e *env) error {
	c, err := s.server(e)
	if err != nil {
		return err
	}
	server.UseProcessors()
	return server.Run(e.ctx, c, func(r server.Ready) {
		if r.Keys != nil {
			printKeys(e.stdout, r.Keys)
		}
		fmt.Fprintln(e.stderr, r)
	})
}

type configCmd struct {
	Check configCheckCmd `cmd:"" help:"Check settings as serve would, and start nothing."`
}

type configCheckCmd struct {
	settings
}

// Run says whether serve would start with these settings.
func (s *configCheckCmd) Run(e *env) error {
	if _, err := s.server(e); err != nil {
		return err
	}
	_, err := fmt.Fprintln(e.stdout, "the settings are good")
	return err
}
