package dash

import "github.com/waypost-mail/waypost"

var overviewScreen = screen{Path: "/", Title: "Overview", Icon: "home", Routes: []route{
	{"GET /{$}", waypost.RoleViewer, (*Dash).overview},
}}

func (d *Dash) overview(v *visit) error { return d.show(v, "overview", nil) }
