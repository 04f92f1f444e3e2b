package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/waypost-mail/waypost/internal/api"
)

// providerCmd looks at and changes Custom SMTP providers.
type providerCmd struct {
	List      providerListCmd   `cmd:"" help:"The providers."`
	Events    providerEventsCmd `cmd:"" help:"Changes of a provider's state, newest first."`
	RotateKey providerRotateCmd `cmd:"" name:"rotate-key" help:"Make a new event ingestion key; the old one works 24 hours more."`
	Delete    providerDeleteCmd `cmd:"" help:"Delete a provider."`
}

type providerListCmd struct{ remote }

// Run lists the providers.
func (c *providerListCmd) Run(e *env) error {
	var all []api.Provider
	if ok, err := c.call(e, "GET", "/account/tpsp?limit=1000", nil, &all); !ok {
		return err
	}
	return table(e.stdout, "ID\tNAME\tSERVER\tSECURITY\tPER HOUR\tAGENT\tLAST REPORT", len(all), func(i int) []any {
		p := all[i]
		seen := "never"
		if p.AgentLastSeen != nil {
			seen = when(time.Unix(0, *p.AgentLastSeen))
		}
		return []any{p.ID, p.Name, p.SMTPHost + ":" + strconv.Itoa(p.SMTPPort), p.SMTPSecurity, p.MaxRatePerHour, p.AgentStatus, seen}
	})
}

// oneProvider names a provider.
type oneProvider struct {
	remote
	ID int64 `arg:"" help:"Id of the provider."`
}

func (o *oneProvider) path(tail string) string {
	return "/account/tpsp/" + strconv.FormatInt(o.ID, 10) + tail
}

type providerEventsCmd struct{ oneProvider }

// Run lists what happened to a provider.
func (c *providerEventsCmd) Run(e *env) error {
	var all []api.ProviderEvent
	if ok, err := c.call(e, "GET", c.path("/events?limit=100"), nil, &all); !ok {
		return err
	}
	return table(e.stdout, "WHEN\tWHAT\tWHY", len(all), func(i int) []any { return []any{when(all[i].At), all[i].Kind, all[i].Text} })
}

type providerRotateCmd struct{ oneProvider }

// Run rotates the ingestion key.
func (c *providerRotateCmd) Run(e *env) error {
	var key api.EventKey
	if ok, err := c.call(e, "POST", c.path("/rotate-key"), nil, &key); !ok {
		return err
	}
	_, err := fmt.Fprintf(e.stdout, "new ingestion key, shown once: %s\nolder keys work until %s\n", key.EventKey, when(time.Unix(0, key.OldUntil)))
	return err
}

type providerDeleteCmd struct{ oneProvider }

// Run deletes a provider.
func (c *providerDeleteCmd) Run(e *env) error {
	var done api.Deleted
	if ok, err := c.call(e, "DELETE", c.path(""), nil, &done); !ok {
		return err
	}
	_, err := fmt.Fprintln(e.stdout, done.Message)
	return err
}
