package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/store"
)

// bounceHostHealth looks at the installation's own records (D-29).
func (a *API) bounceHostHealth(ctx context.Context) []HealthCheck {
	host := strings.TrimSuffix(a.cfg.Domains.BounceHost, ".")
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return []HealthCheck{{
			"bounceHost", host, HealthWarn, "The installation has no bounce host that the world can find, so return paths lead nowhere.",
			"Set bounce-host to a host name of this server and publish its MX and SPF records.",
		}}
	}
	var out []HealthCheck
	for _, r := range a.cfg.Checker.Installation(ctx) {
		c := HealthCheck{Name: string(r.Kind), Subject: r.Host, Status: HealthOK, Message: strings.ReplaceAll(r.Found, "\n", ", ")}
		if !r.Verified {
			c.Status, c.Message = HealthFail, r.Failure
			c.Remedy = "Publish " + strings.Replace(lastLine(senderdomain.ZoneFile(host, []waypost.DNSRecord{r})), "@", host+".", 1)
			switch {
			case r.Kind == senderdomain.HostAddress:
				c.Remedy = fmt.Sprintf("Publish an A or AAAA record of %s with this server's public address.", r.Host)
			case r.Kind == senderdomain.HostSPF && r.Value == "":
				c.Remedy = "Name the addresses that your mail servers send from in the setting spf, and publish the record that the doctor then shows."
			}
			if r.Kind == senderdomain.HostSPF {
				c.Status = HealthWarn // DKIM can carry a message alone
			}
		}
		out = append(out, c)
	}
	return out
}

func lastLine(s string) string {
	s = strings.TrimRight(s, "\n")
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// providerHealth connects to a provider, says EHLO and leaves; it looks at its
// agent, and at whether its addresses have names.
func (a *API) providerHealth(ctx context.Context, p *waypost.Provider) []HealthCheck {
	subject := fmt.Sprintf("%s (%d), %s", p.Name, p.ID, net.JoinHostPort(p.Host, strconv.Itoa(p.Port)))
	if ctx.Err() != nil {
		return []HealthCheck{{"provider", subject, HealthSkip, "The others took the time; it was not looked at.", ""}}
	}
	c := HealthCheck{Name: "provider", Subject: subject, Status: HealthOK}
	greeting := a.cfg.Greet(ctx, smtp.Config{
		Host: p.Host, Port: p.Port, Security: smtp.Security(p.Security), Auth: smtp.AuthNone, HELO: p.HELO,
		TLSSkipVerify: p.TLSSkipVerify, AllowPrivate: a.cfg.AllowPrivate,
	})
	if greeting.Success {
		c.Message = "It answers: " + greeting.Message
	} else {
		c.Status = HealthFail
		c.Message = fmt.Sprintf("The connection fails at step %q: %s", greeting.FailedStep, greeting.Message)
		c.Remedy = greeting.Hint
	}
	return append([]HealthCheck{c, a.agentHealth(ctx, p)}, a.reverseHealth(ctx, p)...)
}

func (a *API) agentHealth(ctx context.Context, p *waypost.Provider) HealthCheck {
	c := HealthCheck{Name: "agent", Subject: p.Name, Status: HealthOK}
	agent, err := a.cfg.Store.Agent(ctx, p.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		c.Status, c.Message, c.Remedy = HealthFail, "Its state could not be read: "+err.Error()+".", "Look at the storage."
		return c
	}
	status, _ := agentStatus(agent.LastSeen, time.Now())
	age := time.Since(agent.LastSeen).Round(time.Second).String()
	if hours, _, long := strings.Cut(age, "h"); long {
		age = hours + " h"
	}
	c.Message = "Last report " + age + " ago"
	if agent.Version != "" { // what it says of itself is its own choice
		c.Message += ", version " + agent.Version
	}
	if agent.Hostname != "" {
		c.Message += " on " + agent.Hostname
	}
	c.Message += "."
	const doctor = "Run waypost-agent doctor on the mail server."
	switch status {
	case "never":
		c.Status, c.Message = HealthWarn, "It never reported, so deliveries and bounces at the mail server stay unknown."
		c.Remedy = "Install the agent on the mail server with the provider's event ingestion key."
	case "late":
		c.Status, c.Remedy = HealthWarn, doctor
	case "silent":
		c.Status, c.Remedy = HealthFail, doctor
	}
	return c
}

// maxReverse bounds the addresses of a provider whose names are looked up.
const maxReverse = 4

// reverseHealth wants every public address of a provider to have a name that
// leads back to it: large receivers refuse mail without.
func (a *API) reverseHealth(ctx context.Context, p *waypost.Provider) []HealthCheck {
	addresses, err := a.cfg.Checker.Addresses(ctx, p.Host)
	if err != nil {
		return nil // that it cannot be found, the connection says
	}
	addresses = slices.DeleteFunc(addresses, func(s string) bool {
		ip, err := netip.ParseAddr(s)
		return err != nil || smtp.GuardAddr(ip) != nil
	})
	var out []HealthCheck
	for _, address := range addresses[:min(len(addresses), maxReverse)] {
		c := HealthCheck{Name: "ptr", Subject: p.Name + ", " + address, Status: HealthOK}
		names, confirmed, err := a.cfg.Checker.Reverse(ctx, address)
		switch {
		case err != nil:
			c.Status, c.Message = HealthSkip, "The name of the address could not be looked up: "+err.Error()+"."
		case confirmed != "":
			c.Message = "Its name is " + confirmed + "."
		case len(names) == 0:
			c.Status, c.Message = HealthWarn, "The address has no PTR record; large receivers refuse mail from such."
			c.Remedy = "Ask who gave you the address to set its reverse name to the host name of the mail server. If mail leaves from another address, look there."
		default:
			c.Status, c.Message = HealthWarn, fmt.Sprintf("The name %s does not lead back to the address.", names[0])
			c.Remedy = fmt.Sprintf("Publish an A or AAAA record of %s with this address, or correct the PTR record.", names[0])
		}
		out = append(out, c)
	}
	return out
}

// domainsHealth looks at the records of every sender domain, as of its last
// check.
func (a *API) domainsHealth(ctx context.Context, account int64) []HealthCheck {
	unreadable := func(err error) []HealthCheck {
		return []HealthCheck{{"senderDomain", "", HealthFail, "The sender domains could not be read: " + err.Error() + ".", "Look at the storage."}}
	}
	subs, err := a.cfg.Store.SubAccounts(ctx, account, store.Page{Limit: 1000})
	if err != nil {
		return unreadable(err)
	}
	var out []HealthCheck
	seen, more := 0, 0
	for _, sub := range subs {
		all, err := a.cfg.Store.Domains(ctx, sub.ID, store.Page{Limit: healthDomains - seen})
		if err != nil {
			return unreadable(err)
		}
		for i := range all {
			bad := append(a.keyHealth(&all[i], sub.Name), domainHealth(&all[i], sub.Name)...)
			if len(bad) > 0 && len(out) >= healthNamed {
				more++
				continue
			}
			out = append(out, bad...)
		}
		if seen += len(all); seen >= healthDomains {
			break
		}
	}
	switch {
	case seen == 0:
		return []HealthCheck{{"senderDomain", "", HealthWarn, "There is no sender domain, so nothing can be sent.", "Add one with POST /api/v1/subaccount/domain, or in the dashboard."}}
	case more > 0:
		out = append(out, HealthCheck{"senderDomain", "", HealthWarn, fmt.Sprintf("%d more domains have trouble.", more), "See GET /api/v1/subaccount/domain."})
	case len(out) == 0:
		out = []HealthCheck{{"senderDomain", "", HealthOK, fmt.Sprintf("%d sender domains are verified and can send.", seen), ""}}
	}
	return out
}

// keyHealth tells which keys of a domain cannot sign, so that its mail is
// refused, and what waits already goes on waiting.
func (a *API) keyHealth(d *waypost.SenderDomain, sub string) (out []HealthCheck) {
	for _, k := range d.SigningKeys() {
		if _, err := senderdomain.OpenKey(a.cfg.Box, k.Key); err != nil {
			out = append(out, HealthCheck{
				"senderDomain", fmt.Sprintf("%s (sub-account %s), selector %s", d.Name, sub, k.Selector), HealthFail,
				"Its DKIM key is missing or cannot be opened with this installation's key file, so its mail is refused.",
				"Bring the key file or the database back from a backup, or delete the domain and add it again.",
			})
		}
	}
	return out
}

func domainHealth(d *waypost.SenderDomain, sub string) (out []HealthCheck) {
	subject := fmt.Sprintf("%s (sub-account %s)", d.Name, sub)
	for _, r := range d.Records {
		needed := sendingNeeds(r.Kind)
		if d.DirectBounce && r.Kind == waypost.RecordReturnPath || r.Verified && r.Failures == 0 || d.CheckedAt.IsZero() {
			continue
		}
		if !needed && !d.Verified(waypost.RecordReturnPath) {
			continue // first things first
		}
		c := HealthCheck{
			"senderDomain", subject + ", " + r.Host, HealthWarn, r.Failure,
			fmt.Sprintf("See GET /api/v1/subaccount/domain/%d/records with the sub-account's key.", d.ID),
		}
		if needed && !r.Verified {
			c.Status = HealthFail
		}
		out = append(out, c)
	}
	if d.CheckedAt.IsZero() {
		out = append(out, HealthCheck{"senderDomain", subject, HealthSkip, "It was not checked yet.", ""})
	}
	return out
}
