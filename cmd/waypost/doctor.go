package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/waypost-mail/waypost/internal/api"
)

// doctorCmd looks at everything that mail needs. Its exit code is 1 when a
// check fails; warnings alone leave it 0.
type doctorCmd struct{ remote }

// errUnhealthy is the outcome of a doctor that found something broken.
var errUnhealthy = errors.New("something that mail needs is broken; the lines with ✗ say what to do")

// maxClockSkew is how far the clocks of this machine and the server may be
// apart.
const maxClockSkew = 5 * time.Second

// Run asks the server for its health and prints it.
func (c *doctorCmd) Run(e *env) error {
	asJSON := c.JSON
	c.JSON = false
	var h api.Health
	began := time.Now()
	if _, err := c.call(e, "GET", "/account/health", nil, &h); err != nil {
		if _, usage := errors.AsType[usageError](err); usage {
			return err
		}
		h = api.Health{Status: api.HealthFail, At: began.UTC(), Checks: []api.HealthCheck{{
			Name: "server", Subject: c.URL, Status: api.HealthFail, Message: err.Error(),
			Remedy: "Start the server, or give its address with --url and the account key in WAYPOST_ACCOUNT_KEY.",
		}}}
	} else {
		h.Checks = append(h.Checks, skew(h.At, began, time.Now()))
		if last := h.Checks[len(h.Checks)-1]; last.Status == api.HealthWarn && h.Status == api.HealthOK {
			h.Status = last.Status
		}
	}
	if asJSON {
		if err := json.NewEncoder(e.stdout).Encode(h); err != nil {
			return err
		}
	} else if err := printHealth(e.stdout, &h); err != nil {
		return err
	}
	if h.Status == api.HealthFail {
		return errUnhealthy
	}
	return nil
}

// skew compares the server's clock with this machine's, between the sending of
// a request and its answer.
func skew(server, began, ended time.Time) api.HealthCheck {
	out := api.HealthCheck{Name: "clocks", Subject: "this machine and the server", Status: api.HealthOK, Message: "They agree."}
	off := time.Duration(0)
	switch {
	case server.Before(began):
		off = began.Sub(server)
	case server.After(ended):
		off = server.Sub(ended)
	}
	if off > maxClockSkew {
		out.Status, out.Message = api.HealthWarn, fmt.Sprintf("They differ by %s.", off.Round(time.Second))
		out.Remedy = "Run a time service such as systemd-timesyncd or chrony on both."
	}
	return out
}

var healthMarks = map[string]string{api.HealthOK: "✓", api.HealthWarn: "!", api.HealthFail: "✗", api.HealthSkip: "-"}

func printHealth(w io.Writer, h *api.Health) error {
	p := printer{w: w}
	counts := map[string]int{}
	for _, c := range h.Checks {
		counts[c.Status]++
		text := c.Message
		if c.Subject != "" {
			text = c.Subject + ": " + text
		}
		p.line(fmt.Sprintf("%s %-16s", healthMarks[c.Status], c.Name), text)
		if c.Remedy != "" && c.Status != api.HealthOK {
			p.line("   →", c.Remedy)
		}
	}
	if p.err == nil {
		_, p.err = fmt.Fprintf(w, "\n%d good, %d to look at, %d broken\n", counts[api.HealthOK], counts[api.HealthWarn], counts[api.HealthFail])
	}
	return p.err
}
