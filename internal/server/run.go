package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/submission"
	"github.com/waypost-mail/waypost/internal/track"
	"github.com/waypost-mail/waypost/internal/webhook"
)

// Ready says where a started server listens; "-" for a role it does not have.
type Ready struct {
	HTTP, SMTP, Submission, SubmissionTLS string
	Keys                                  *Keys // of an installation that this start made, else nil
}

// Run starts a node, calls ready once it takes requests, and serves until ctx
// ends. It returns nil after an orderly stop.
func Run(ctx context.Context, c Config, ready func(Ready)) error {
	if err := c.Check(); err != nil {
		return err
	}
	box, s, err := open(ctx, &c)
	if err != nil {
		return err
	}
	err = serve(ctx, &c, box, s, ready)
	if closeErr := s.Close(); closeErr != nil {
		err = errors.Join(err, fmt.Errorf("close storage: %w", closeErr))
	}
	return err
}

func serve(ctx context.Context, c *Config, box *secret.Box, s store.Store, ready func(Ready)) error {
	listener, err := listenOn(ctx, "HTTP", c.HTTP)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	c.fill(listener.Addr().String())
	n, err := newNode(c, box, s)
	if err != nil {
		return err
	}
	out := Ready{HTTP: listener.Addr().String(), SMTP: "-", Submission: "-", SubmissionTLS: "-"}
	if out.Keys, err = firstStart(ctx, c, s); err != nil {
		return err
	}
	reports, err := listenSMTP(ctx, c)
	if err != nil {
		return err
	}
	if reports != nil {
		defer func() { _ = reports.Close() }()
		out.SMTP = reports.Addr().String()
	}
	mail, err := listenSubmission(ctx, c)
	if err != nil {
		return err
	}
	defer mail.close()
	out.Submission, out.SubmissionTLS = mail.names()
	return n.run(ctx, listener, reports, mail, func() { ready(out) })
}

// firstStart makes the installation when there is none (D-10).
func firstStart(ctx context.Context, c *Config, s store.Store) (*Keys, error) {
	done, err := s.Installed(ctx)
	if err != nil || done {
		return nil, err
	}
	keys, err := install(ctx, s, c)
	if errors.Is(err, ErrInstalled) { // another node was faster
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &keys, nil
}

// node is the parts of one running process.
type node struct {
	cfg        *Config
	store      store.Store
	door       *ingest.Door
	queue      *queue.Queue
	attempts   *attempts
	guests     *crowd
	checker    *senderdomain.Checker
	api        *api.API
	tracker    *track.Tracker   // nil without the role track
	hooks      *webhook.Workers // nil without the role webhook
	submission *submission.Server
	http       *http.Server
}

func newNode(c *Config, box *secret.Box, s store.Store) (*node, error) {
	judge, err := bounce.NewJudge()
	if err != nil {
		return nil, fmt.Errorf("compile the bounce rules: %w", err)
	}
	names := resolver(c)
	domains := senderdomain.Config{BounceHost: c.BounceHost, TrackHost: c.publicHost(), Resolver: c.DNSResolver, SPF: c.SPF}
	dns, err := senderdomain.NewResolver(domains)
	if err != nil {
		return nil, err
	}
	door := ingest.New(s, judge)
	keys, err := trackingKeys(box)
	if err != nil {
		return nil, err
	}
	tracker, err := newTracker(c, keys, door)
	if err != nil {
		return nil, err
	}
	separator, err := waypost.ParseSeparator(c.Separator)
	if err != nil {
		return nil, fmt.Errorf("return-path-separator: %w", err)
	}
	attempts := newAttempts()
	q := queue.New(queue.Config{
		Store: s, Door: door, Box: box, Log: c.Log, Retry: c.RetrySchedule, MX: dns.MX,
		AllowPrivate: c.AllowPrivateNetworks, Resolver: names, Sessions: c.Sessions, RelayBytes: int64(c.RelayMemory) << 20, Grace: c.Grace, Lease: c.Lease,
		Track: trackingSite(c, keys), Separator: separator, SimulatorDomain: c.simulatorDomain(), Observe: attempts.observe,
	})
	checker := senderdomain.NewChecker(s, dns, domains, c.Log)
	publicIP, _ := netip.ParseAddr(c.PublicIP) // checked; "" stays the zero one
	proxies, err := track.ParseNetworks(c.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("trusted-proxies: %w", err)
	}
	geo, err := places(c)
	if err != nil {
		return nil, err
	}
	sender, hooks := newHooks(c, box, s, names, geo)
	inbox := submission.New(submission.Config{
		Store: s, Queue: q, Host: c.BounceHost, Domain: c.SubmissionDomain, Log: c.Log, PerHour: c.KeyPerHour, PlainAuth: c.SubmissionPlainAuth, Grace: c.Grace,
		MaxMemory: int64(c.AcceptMemory) << 20,
	})
	a := api.New(api.Config{
		Store: s, Queue: q, Door: door, Box: box, Checker: checker, Domains: domains,
		Probe: prober(c, names), Greet: greeter(names), Node: nodeHealth(c, names), Log: c.Log, Version: c.Version, AllowPrivate: c.AllowPrivateNetworks,
		PublicURL: c.PublicURL, PseudoIP: publicIP, LegacySunset: c.LegacySunset, AcceptBytes: int64(c.AcceptMemory) << 20, KeyPerHour: c.KeyPerHour, TrustedProxies: proxies,
		Webhooks: sender, SubmissionDomain: c.SubmissionDomain, Geo: geo,
	})
	agents, err := newAgentShelf(c)
	if err != nil {
		return nil, err
	}
	pages, err := dashboard(c, box, s, a, names, proxies, newWorks(c, s, q, hooks).describe)
	if err != nil {
		return nil, err
	}
	n := &node{cfg: c, store: s, door: door, queue: q, attempts: attempts, guests: newCrowd(mostConnections), checker: checker, api: a, tracker: tracker, hooks: hooks, submission: inbox}
	n.http = &http.Server{
		Handler:           n.guests.serve(n.handler(front(c, pages), agents)),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          httpLog(c.Log),
		ConnState:         n.guests.follow,
		ConnContext:       n.guests.remember,
	}
	if pages != nil {
		n.http.RegisterOnShutdown(pages.Close) // its live streams end only so
	}
	return n, nil
}

// prober runs the connection test of D-13 with this node's resolver. The mail
// is between addresses of the installation's own bounce host unless the caller
// names others.
func prober(c *Config, names *net.Resolver) func(context.Context, smtp.Config, string, string) smtp.ProbeResult {
	return func(ctx context.Context, sc smtp.Config, from, to string) smtp.ProbeResult {
		sc.Resolver = names
		if from == "" {
			from = "waypost-test@" + c.BounceHost
		}
		if to == "" {
			to = "postmaster@" + c.BounceHost
		}
		now := time.Now()
		body := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: Waypost connection test\r\nDate: %s\r\nMessage-ID: <test.%d@%s>\r\nAuto-Submitted: auto-generated\r\n\r\n"+
			"This message was sent to test the connection to an SMTP server.\r\nNothing needs to be done.\r\n",
			from, to, now.Format(time.RFC1123Z), now.UnixNano(), c.BounceHost)
		return smtp.Probe(ctx, sc, from, to, []byte(body))
	}
}

// greeter connects to a provider with this node's resolver and sends nothing.
func greeter(names *net.Resolver) func(context.Context, smtp.Config) smtp.ProbeResult {
	return func(ctx context.Context, sc smtp.Config) smtp.ProbeResult {
		sc.Resolver = names
		return smtp.Greet(ctx, sc)
	}
}

// run starts everything and undoes it in reverse: HTTP first takes no more
// requests, then the queue finishes what is in flight.
func (n *node) run(ctx context.Context, l, reports net.Listener, mail *submissions, ready func()) error {
	queueCtx, stopQueue := context.WithCancel(context.WithoutCancel(ctx))
	defer stopQueue()
	work, failed := errgroup.WithContext(ctx)
	if n.cfg.has("send") {
		work.Go(func() error { return n.queue.Run(queueCtx) })
	}
	work.Go(func() error { return n.api.Run(queueCtx) }) // the last requests are used keys too
	work.Go(func() error { return n.follow(queueCtx) })  // stopped after the last request
	work.Go(func() error { return n.tell(failed) })
	if n.cfg.has("api") {
		work.Go(func() error { return n.checker.Run(failed) })
		work.Go(func() error { return retention(failed, n.store, n.cfg.Retention, n.cfg.Log) })
		work.Go(func() error { return sampleDepth(failed, n.store, n.cfg.Log) })
	}
	work.Go(func() error {
		if err := n.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})
	n.bounces(failed, work, reports)
	n.submit(failed, work, mail)
	ready()
	<-failed.Done()
	n.cfg.Log.InfoContext(ctx, "stopping: finishing what is in flight")
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := n.http.Shutdown(limit); err != nil {
		_ = n.http.Close() // clients that hang do not hold up the stop
	}
	stopQueue()
	return work.Wait()
}
