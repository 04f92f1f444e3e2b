package dash

import (
	"fmt"
	"strconv"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var auditScreen = screen{Path: "/audit", Title: "Audit log", Icon: "audit", Group: "Manage", Role: waypost.RoleOperator, Routes: []route{
	{"GET /audit", waypost.RoleOperator, (*Dash).audits},
}}

// auditPage is who changed what.
type auditPage struct {
	Rows  []waypost.Audit
	Pager pager
}

func (d *Dash) audits(v *visit) error {
	q := newForm(v.r.URL.Query())
	var p auditPage
	offset := int(min(formID(q, "from"), 1_000_000))
	list, err := d.cfg.Store.Audits(v.ctx(), v.account(), store.Page{Limit: perPage + 1, Offset: offset})
	if err != nil {
		return fmt.Errorf("list the audit: %w", err)
	}
	p.Rows = list[:min(len(list), perPage)]
	if len(list) > perPage {
		p.Pager.Next = link("/audit", "from", strconv.Itoa(offset+perPage))
	}
	if offset > 0 {
		p.Pager.First = "/audit"
	}
	return d.show(v, "audit", p)
}
