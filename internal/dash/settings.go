package dash

import (
	"net/http"
	"time"

	"github.com/waypost-mail/waypost"
)

var settingsScreen = screen{Path: "/settings", Title: "Installation", Icon: "gear", Group: "Manage", Role: waypost.RoleOperator, Routes: []route{
	{"GET /settings", waypost.RoleOperator, (*Dash).settings},
}}

// settingsPage is the state of the installation, as waypost doctor tells it.
type settingsPage struct {
	Health health
	Mark   chip
	Public string
	Groups []healthGroup
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
	"bounceHostMX": "Bounce host (MX)", "bounceHostAddress": "Bounce host (address)", "bounceHostSPF": "Bounce host (SPF)",
	"senderDomain": "Sender domain", "ptr": "Reverse name (PTR)", "clock": "Clock",
}

// Title is the name of a check.
func (c healthCheck) Title() string { return orElse(checkWords[c.Name], capital(c.Name)) }

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

func (d *Dash) settings(v *visit) error {
	p := settingsPage{Public: d.cfg.PublicURL}
	if err := d.call(v, 0, http.MethodGet, "/account/health", nil, &p.Health); err != nil {
		return err
	}
	switch p.Health.Status {
	case "ok":
		p.Mark = makeChip("ok", "everything is fine")
	case "warn":
		p.Mark = makeChip("warn", "mail flows; some things want a look")
	default:
		p.Mark = makeChip("bad", "something keeps mail from flowing")
	}
	for _, g := range []struct{ status, title string }{{"fail", "Broken"}, {"warn", "To be looked at"}, {"ok", "Fine"}, {"skip", "Not checked"}} {
		group := healthGroup{Title: g.title, Open: g.status == "fail" || g.status == "warn"}
		for _, c := range p.Health.Checks {
			if c.Status == g.status {
				group.Checks = append(group.Checks, c)
			}
		}
		if len(group.Checks) > 0 {
			p.Groups = append(p.Groups, group)
		}
	}
	return d.show(v, "settings", p)
}
