package dash

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/waypost-mail/waypost"
)

var healthScreen = screen{Path: "/health", Title: "Health", Icon: "pulse", Group: "Manage", Role: waypost.RoleOperator, Routes: []route{
	{"GET /health", waypost.RoleOperator, (*Dash).health},
	{"POST /health/test", waypost.RoleOperator, (*Dash).testHealth},
}}

// healthPage is the state of the installation: what the last look found, and
// what this node says of itself.
type healthPage struct {
	Health  health
	Known   bool // somebody looked since this node's start
	Running bool // somebody looks right now
	Failed  string
	Mark    chip
	Groups  []healthGroup
	Depth   []*chart
	Queue   queueState
	Node    Node
	Fill    chip // of the disk
	Used    float64
}

// health is the API's answer of its checks.
type health struct {
	Status  string        `json:"status"`
	At      time.Time     `json:"at"`
	Version string        `json:"version"`
	Checks  []healthCheck `json:"checks"`
}

type healthCheck struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Status  string `json:"status"`
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
}

// healthGroup are the checks of one state, the worst first.
type healthGroup struct {
	Title  string
	Checks []healthCheck
	Open   bool
}

// checkWords are the names of checks that a word alone does not tell.
var checkWords = map[string]string{
	"bounceHost": "Bounce host", "bounceHostMX": "Bounce host (MX)", "bounceHostAddress": "Bounce host (address)", "bounceHostSPF": "Bounce host (SPF)",
	"senderDomain": "Sender domain", "ptr": "Reverse name (PTR)", "keyFile": "Key file", "publicURL": "Public URL", "bounceProcessor": "Bounce processor", "singleSignOn": "Single sign-on",
}

// Title is the name of a check.
func (c healthCheck) Title() string { return orElse(checkWords[c.Name], capital(c.Name)) }

// checkLinks lead from a check to the screen where it is mended.
var checkLinks = map[string]string{"provider": "/providers", "agent": "/providers", "ptr": "/providers", "senderDomain": "/domains", "queue": "/queue"}

// Link is the screen where what the check found is mended; "" for none.
func (c healthCheck) Link() string { return checkLinks[c.Name] }

// Mark is the state of a check.
func (c healthCheck) Mark() chip {
	switch c.Status {
	case "ok":
		return makeChip("ok", "fine")
	case "warn":
		return makeChip("warn", "look at it")
	case "fail":
		return makeChip("bad", "broken")
	}
	return makeChip("quiet", "not checked")
}

// mark is the state of all checks together.
func (h *health) mark() chip {
	switch h.Status {
	case "ok":
		return makeChip("ok", "everything is fine")
	case "warn":
		return makeChip("warn", "mail flows; some things want a look")
	}
	return makeChip("bad", "something keeps mail from flowing")
}

func (h *health) groups() (out []healthGroup) {
	for _, g := range []struct{ status, title string }{{"fail", "Broken"}, {"warn", "To be looked at"}, {"ok", "Fine"}, {"skip", "Not checked"}} {
		group := healthGroup{Title: g.title, Open: g.status != "skip"}
		for _, c := range h.Checks {
			if c.Status == g.status {
				group.Checks = append(group.Checks, c)
			}
		}
		if len(group.Checks) > 0 {
			out = append(out, group)
		}
	}
	return out
}

// healthLimit bounds one look, which asks mail servers and DNS.
const healthLimit = time.Minute

// lookouts keep what the last look at an account's installation found, so that
// no page waits for the network.
type lookouts struct {
	mu      sync.Mutex
	all     map[int64]*lookout
	running sync.WaitGroup
	closed  bool
}

// lookout is the last look of one account.
type lookout struct {
	found   health
	known   bool
	running bool
	failed  string // the last look did not come about
	cancel  context.CancelFunc
}

func newLookouts() *lookouts { return &lookouts{all: map[int64]*lookout{}} }

// close ends the looks that are under way, and waits for them.
func (l *lookouts) close() {
	l.mu.Lock()
	l.closed = true
	for _, o := range l.all {
		if o.cancel != nil {
			o.cancel()
		}
	}
	l.mu.Unlock()
	l.running.Wait()
}

// lastLook gives what is known, and begins the first look.
func (d *Dash) lastLook(v *visit) lookout {
	d.lookouts.mu.Lock()
	o := d.lookouts.all[v.account()]
	first := o == nil
	d.lookouts.mu.Unlock()
	if first {
		d.beginLook(v)
	}
	d.lookouts.mu.Lock()
	defer d.lookouts.mu.Unlock()
	return *d.lookouts.all[v.account()]
}

// beginLook starts a look in the background, unless one is under way.
func (d *Dash) beginLook(v *visit) {
	l, account := d.lookouts, v.account()
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.all[account]
	if o == nil {
		o = &lookout{}
		l.all[account] = o
	}
	if o.running || l.closed {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx()), healthLimit)
	o.running, o.cancel = true, cancel
	actor := d.actor(v, 0)
	l.running.Go(func() {
		defer cancel()
		var found health
		err := d.do(ctx, actor, http.MethodGet, "/account/health", nil, &found)
		l.mu.Lock()
		o.running, o.failed = false, ""
		if err == nil {
			o.found, o.known = found, true
		} else {
			o.failed = err.Error()
		}
		l.mu.Unlock()
		d.hub.tell(account)
	})
}

func (d *Dash) testHealth(v *visit) error {
	d.beginLook(v)
	return v.redirect("/health")
}

func (d *Dash) health(v *visit) error {
	look := d.lastLook(v)
	p := healthPage{Health: look.found, Known: look.known, Running: look.running, Failed: look.failed}
	if p.Known {
		p.Mark, p.Groups = p.Health.mark(), p.Health.groups()
	}
	var err error
	if p.Queue, err = d.queueState(v); err != nil {
		return err
	}
	if p.Depth, err = d.depthCharts(v); err != nil {
		return err
	}
	if v.plots(p.Depth...) {
		return nil
	}
	if d.cfg.Node != nil {
		p.Node = d.cfg.Node(v.ctx())
		if p.Node.DiskTotal > 0 {
			p.Used = 1 - float64(p.Node.DiskFree)/float64(p.Node.DiskTotal)
			p.Fill = makeChip("ok", sizeOf(int64(p.Node.DiskFree))+" free")
			if p.Node.DiskFree < p.Node.DiskWarn {
				p.Fill = makeChip("bad", "only "+sizeOf(int64(p.Node.DiskFree))+" free")
			}
		}
	}
	return d.show(v, "health", p)
}

// sizeOf writes a number of bytes for people.
func sizeOf(n int64) string {
	const k = 1024
	switch {
	case n < k:
		return plural(n, "byte", "bytes")
	case n < k*k:
		return fmt.Sprintf("%.0f KiB", float64(n)/k)
	case n < k*k*k:
		return fmt.Sprintf("%.1f MiB", float64(n)/(k*k))
	case n < k*k*k*k:
		return fmt.Sprintf("%.1f GiB", float64(n)/(k*k*k))
	}
	return fmt.Sprintf("%.1f TiB", float64(n)/(k*k*k*k))
}
