package senderdomain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// withdrawAfter is how many checks in a row a verified record may fail (D-30).
const withdrawAfter = 3

// checkLimit ends the check of a domain whose servers drag it out; what is not
// answered by then is undecided.
const checkLimit = 45 * time.Second

// maxFound bounds, in bytes, what is kept of what DNS said.
const maxFound = 1000

// Checker checks sender domains. It may be used by several goroutines, each
// with a domain of its own.
type Checker struct {
	store    store.Domains
	resolver *Resolver
	config   Config
	log      *slog.Logger

	mu           sync.Mutex
	installation []waypost.DNSRecord // the bounce host's, as of read
	read         time.Time
}

// NewChecker makes a checker. Only Run uses the store and the log.
func NewChecker(s store.Domains, r *Resolver, c Config, log *slog.Logger) *Checker {
	return &Checker{store: s, resolver: r, config: c, log: log}
}

// finding is what one look-up gave.
type finding struct {
	found     string
	failure   string // "" : as asked
	undecided bool   // the look-up came to no end
}

// lookedUp is what a round of look-ups found of a domain.
type lookedUp struct {
	records  []waypost.DNSRecord // as they were asked for
	findings []finding           // one for each of records
	provider string
	known    bool // whether provider is
}

// Check looks up every record of d, updates the states of its records,
// CheckedAt, NextCheck and DNSProvider, and does what has become possible: a
// key whose record was found takes its role. It saves nothing. An error means
// that ctx ended first; d is unchanged then.
func (c *Checker) Check(ctx context.Context, d *waypost.SenderDomain, now time.Time) error {
	seen, err := c.lookUp(ctx, d)
	if err != nil {
		return err
	}
	c.apply(d, seen, now)
	return nil
}

// CheckAndSave checks d, as read from storage, and gives what it has become.
// Look-ups take seconds, in which the domain may change: a finding counts for
// a record that is still asked for as it was looked up, in one transaction with
// reading it. When another check was faster, its findings stay.
func (c *Checker) CheckAndSave(ctx context.Context, d *waypost.SenderDomain, now time.Time) (waypost.SenderDomain, error) {
	seen, err := c.lookUp(ctx, d)
	if err != nil {
		return waypost.SenderDomain{}, err
	}
	return c.store.ChangeDomain(ctx, d.SubAccount, d.ID, func(fresh *waypost.SenderDomain) error {
		if fresh.CheckedAt.Equal(d.CheckedAt) {
			c.apply(fresh, seen, now)
		}
		return nil
	})
}

// lookUp asks for every record of d at the same time.
func (c *Checker) lookUp(ctx context.Context, d *waypost.SenderDomain) (*lookedUp, error) {
	limited, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	seen := &lookedUp{records: slices.Clone(d.Records), findings: make([]finding, len(d.Records))}
	var work sync.WaitGroup
	for i := range seen.records {
		r := &seen.records[i]
		c.retarget(r)
		work.Go(func() { seen.findings[i] = c.look(limited, r) })
	}
	if len(seen.records) > 0 {
		work.Go(func() {
			var err error
			seen.provider, err = c.provider(limited, d.Name)
			seen.known = err == nil
		})
	}
	work.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("look up the records of %s: %w", d.Name, err)
	}
	return seen, nil
}

// apply writes what was found into d. A record that was not looked up makes
// the domain due again at once.
func (c *Checker) apply(d *waypost.SenderDomain, seen *lookedUp, now time.Time) {
	all := true
	for i := range d.Records {
		r := &d.Records[i]
		c.retarget(r)
		k := slices.IndexFunc(seen.records, func(s waypost.DNSRecord) bool {
			return s.Kind == r.Kind && s.Host == r.Host && s.Type == r.Type && s.Value == r.Value
		})
		if k < 0 {
			all = false
			continue
		}
		note(r, seen.findings[k])
	}
	if seen.known {
		d.DNSProvider = seen.provider
	}
	advance(d, now)
	d.NextCheck = now
	if all {
		d.CheckedAt = now
		d.NextCheck = NextCheck(d, now)
	}
}

// retarget brings a record up to the installation's present hosts.
func (c *Checker) retarget(r *waypost.DNSRecord) {
	switch {
	case (r.Kind == waypost.RecordReturnPath || r.Kind == waypost.RecordBounceMX) && c.config.BounceHost != "":
		r.Value = hostName(c.config.BounceHost)
	case r.Kind == waypost.RecordTrack && c.config.TrackHost != "":
		r.Value = hostName(c.config.TrackHost)
	case r.Kind == waypost.RecordBounceSPF && c.config.SPF != "":
		r.Value = spfValue(c.config.SPF)
	}
}

// note writes a finding into its record.
func note(r *waypost.DNSRecord, f finding) {
	if f.undecided {
		r.Failure = f.failure
		return
	}
	r.Found, r.Failure = clip(f.found), f.failure
	if f.failure == "" {
		r.Verified, r.Failures = true, 0
		return
	}
	r.Failures++
	if r.Verified && r.Failures >= withdrawAfter {
		r.Verified = false
	}
	if r.Verified {
		r.Failure += fmt.Sprintf(" The record counts as verified until %d checks in a row have failed; this is number %d.", withdrawAfter, r.Failures)
	}
}

func (c *Checker) look(ctx context.Context, r *waypost.DNSRecord) finding {
	switch r.Kind {
	case waypost.RecordDKIM, waypost.RecordDKIMNext, waypost.RecordEd25519:
		return c.lookTXT(ctx, r, judgeDKIM)
	case waypost.RecordDMARC:
		return c.lookTXT(ctx, r, judgeDMARC)
	case waypost.RecordReturnPath, waypost.RecordTrack:
		return c.lookCNAME(ctx, r)
	case waypost.RecordBounceMX:
		return c.lookMX(ctx, r)
	case waypost.RecordBounceSPF:
		return c.lookTXT(ctx, r, func(found []string, _ string) string { return judgeSPF(found, c.config.SPF) })
	}
	return finding{failure: fmt.Sprintf("Records of the kind %q cannot be checked.", r.Kind), undecided: true}
}

// lookTXT hands the records to a judge, whose answer is a Failure or "".
func (c *Checker) lookTXT(ctx context.Context, r *waypost.DNSRecord, judge func(found []string, want string) string) finding {
	found, err := c.resolver.TXT(ctx, r.Host)
	switch {
	case errors.Is(err, ErrNotFound):
		return missing(r)
	case err != nil:
		return trouble(r, err)
	}
	return finding{found: strings.Join(found, "\n"), failure: judge(found, r.Value)}
}

// lookCNAME wants the chain of aliases to lead over the record's value. For
// the return path an MX that names it will do (D-29).
func (c *Checker) lookCNAME(ctx context.Context, r *waypost.DNSRecord) finding {
	if r.Value == "" {
		return noTarget
	}
	want := hostName(r.Value)
	chain, err := c.resolver.CNAME(ctx, r.Host)
	if slices.Contains(chain, want) {
		return finding{found: strings.Join(chain, "\n")}
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return trouble(r, err)
	}
	var mail []string
	if r.Kind == waypost.RecordReturnPath {
		mail, err = c.resolver.MX(ctx, r.Host)
		switch {
		case slices.Contains(mail, want):
			return finding{found: "MX " + strings.Join(mail, "\n")}
		case err != nil && !errors.Is(err, ErrNotFound):
			return trouble(r, err)
		}
	}
	switch {
	case len(chain) > 0:
		return finding{found: strings.Join(chain, "\n"), failure: fmt.Sprintf(
			"%s is a CNAME to %s, but must be one to %s. Please change the record at your DNS provider.", r.Host, clip(chain[0]), want)}
	case len(mail) > 0:
		return finding{found: "MX " + strings.Join(mail, "\n"), failure: fmt.Sprintf(
			"%s has an MX record for %s. Please put a CNAME record to %s in its place, or an MX record for that host.", r.Host, clip(mail[0]), want)}
	}
	return c.lookBehind(ctx, r)
}

// noTarget is the finding of a record that cannot be asked for.
var noTarget = finding{failure: "This installation has no host for the record to point to; its operator must configure one.", undecided: true}

// lookMX wants the record's value among the mail hosts.
func (c *Checker) lookMX(ctx context.Context, r *waypost.DNSRecord) finding {
	if r.Value == "" {
		return noTarget
	}
	mail, err := c.resolver.MX(ctx, r.Host)
	switch {
	case errors.Is(err, ErrNotFound):
		return missing(r)
	case err != nil:
		return trouble(r, err)
	case slices.Contains(mail, hostName(r.Value)):
		return finding{found: strings.Join(mail, "\n")}
	}
	return finding{found: strings.Join(mail, "\n"), failure: fmt.Sprintf(
		"%s has an MX record for %s, but must have one for %s. Please change it at your DNS provider.", r.Host, clip(mail[0]), r.Value)}
}

// lookBehind tells apart a name without anything and one whose provider
// answers with addresses in place of the CNAME.
func (c *Checker) lookBehind(ctx context.Context, r *waypost.DNSRecord) finding {
	addresses, err := c.resolver.A(ctx, r.Host)
	if err != nil || len(addresses) == 0 {
		return missing(r)
	}
	return finding{found: "A " + strings.Join(addresses, "\n"), failure: fmt.Sprintf(
		"%s answers with the address %s instead of a CNAME to %s. Please replace the A record, or turn off proxying or CNAME flattening for it at your DNS provider.",
		r.Host, addresses[0], r.Value)}
}

func missing(r *waypost.DNSRecord) finding {
	if r.Value == "" && r.Type == "TXT" {
		return finding{failure: fmt.Sprintf(
			"DNS record not found. Please add the TXT record to your DNS provider. Looked for %s; it must list the servers that send your mail, as %q does.", r.Host, spfExample)}
	}
	return finding{failure: fmt.Sprintf(
		"DNS record not found. Please add the %s record to your DNS provider. Looked for %s, expected %s.", r.Type, r.Host, r.Value)}
}

// trouble is a look-up without a result. A circle of aliases is a result: the
// record is wrong.
func trouble(r *waypost.DNSRecord, err error) finding {
	if errors.Is(err, ErrAliases) {
		return finding{failure: fmt.Sprintf(
			"%s leads into %v. Please make it a %s record with the value %s at your DNS provider.", r.Host, ErrAliases, r.Type, r.Value)}
	}
	return finding{undecided: true, failure: fmt.Sprintf(
		"The look-up of %s could not be completed (%v). Nothing has changed; it is tried again at the next check.", r.Host, err)}
}

// clip bounds text from DNS and makes it safe to show and store.
func clip(s string) string {
	if len(s) > maxFound {
		s = s[:maxFound] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
