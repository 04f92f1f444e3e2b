package dash

import "github.com/waypost-mail/waypost"

var settingsScreen = screen{Path: "/settings", Title: "Installation", Icon: "gear", Group: "Manage", Role: waypost.RoleOperator, Routes: []route{
	{"GET /settings", waypost.RoleOperator, (*Dash).settings},
}}

// settingsPage is how this node is set up.
type settingsPage struct {
	Node   Node
	Public string
	Lines  []rate
}

func (d *Dash) settings(v *visit) error {
	p := settingsPage{Public: d.cfg.PublicURL, Lines: d.rates()}
	if d.cfg.Node != nil {
		p.Node = d.cfg.Node(v.ctx())
	}
	return d.show(v, "settings", p)
}
