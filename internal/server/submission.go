package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/waypost-mail/waypost/internal/gate"
	"github.com/waypost-mail/waypost/internal/submission"
)

// submissions are the listeners of SMTP submission: nil where there is none.
type submissions struct {
	starttls, implicit net.Listener
	tls                *tls.Config
}

// listenSubmission opens the addresses of SMTP submission. Without a
// certificate STARTTLS has one that is made at the start, which clients that
// check refuse.
func listenSubmission(ctx context.Context, c *Config) (*submissions, error) {
	if !c.has("submission") || c.Submission == "" && c.SubmissionTLS == "" {
		return &submissions{}, nil
	}
	var out submissions
	var err error
	if c.TLSCert != "" {
		cert, err := submission.LoadCertificate(c.TLSCert, c.TLSKey, c.Log)
		if err != nil {
			return nil, err
		}
		out.tls = cert.TLS()
	} else {
		c.Log.WarnContext(ctx, "tls-cert is not set: SMTP submission shows a certificate of its own making, which clients that check it refuse")
		if out.tls, err = gate.SelfSigned(c.BounceHost); err != nil {
			return nil, err
		}
	}
	for _, l := range []struct {
		addr string
		into *net.Listener
	}{{c.Submission, &out.starttls}, {c.SubmissionTLS, &out.implicit}} {
		if l.addr == "" {
			continue
		}
		if *l.into, err = listenOn(ctx, "SMTP submission", l.addr); err != nil {
			out.close()
			return nil, err
		}
	}
	return &out, nil
}

// names gives the addresses for the line that says ready.
func (s *submissions) names() (starttls, implicit string) {
	name := func(l net.Listener) string {
		if l == nil {
			return "-"
		}
		return l.Addr().String()
	}
	return name(s.starttls), name(s.implicit)
}

func (s *submissions) close() {
	for _, l := range []net.Listener{s.starttls, s.implicit} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// submit starts SMTP submission on its listeners.
func (n *node) submit(ctx context.Context, work *errgroup.Group, s *submissions) {
	if s.tls == nil {
		return
	}
	if s.starttls != nil {
		work.Go(func() error { return n.submission.Run(ctx, s.starttls, s.tls, false) })
	}
	if s.implicit != nil {
		work.Go(func() error { return n.submission.Run(ctx, s.implicit, s.tls, true) })
	}
}

// checkSubmission finds mistakes in the settings of SMTP submission.
func (c *Config) checkSubmission() error {
	var bad []error
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad = append(bad, errors.New("tls-cert: give it together with tls-key, or neither"))
	}
	if c.SubmissionPlainAuth {
		host, _, err := net.SplitHostPort(c.Submission)
		if ip := net.ParseIP(host); err == nil && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			bad = append(bad, errors.New("submission-plain-auth: passwords without TLS are for an address on loopback alone, such as 127.0.0.1:2525"))
		}
	}
	return errors.Join(bad...)
}

// submissionMetrics are the counters of SMTP submission.
func submissionMetrics(s *submission.Server) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "waypost_submission_messages_total", Help: "Mails taken over SMTP."},
			func() float64 { return float64(s.Counts().Messages) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "waypost_submission_refused_logins_total", Help: "Wrong names or passwords at SMTP submission."},
			func() float64 { return float64(s.Counts().RefusedLogins) }),
	}
}
