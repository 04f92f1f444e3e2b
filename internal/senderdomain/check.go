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

// Check looks up every record of d and updates Records, CheckedAt and
// NextCheck. It saves nothing. An error means that ctx ended first; d is
// unchanged then, but for the targets of its CNAME records, which follow the
// configuration.
func (c *Checker) Check(ctx context.Context, d *waypost.SenderDomain, now time.Time) error {
	limited, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	findings := make([]finding, len(d.Records))
	var work sync.WaitGroup
	for i := range d.Records {
		c.retarget(&d.Records[i])
		r := d.Records[i]
		work.Go(func() { findings[i] = c.look(limited, &r) })
	}
	work.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("look up the records of %s: %w", d.Name, err)
	}
	for i, f := range findings {
		note(&d.Records[i], f)
	}
	d.CheckedAt = now
	d.NextCheck = NextCheck(d, now)
	return nil
}

// retarget brings a record up to the installation's present hosts.
func (c *Checker) retarget(r *waypost.DNSRecord) {
	switch {
	case r.Kind == waypost.RecordReturnPath && c.config.BounceHost != "":
		r.Value = hostName(c.config.BounceHost)
	case r.Kind == waypost.RecordTrack && c.config.TrackHost != "":
		r.Value = hostName(c.config.TrackHost)
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
	case waypost.RecordDKIM:
		return c.lookTXT(ctx, r, judgeDKIM)
	case waypost.RecordDMARC:
		return c.lookTXT(ctx, r, judgeDMARC)
	case waypost.RecordReturnPath, waypost.RecordTrack:
		return c.lookCNAME(ctx, r)
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
		return finding{failure: "This installation has no host for the record to point to; its operator must configure one.", undecided: true}
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
