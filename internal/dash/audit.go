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

// mostLooked is how many entries of a list one page looks through for a part of
// a text, which no index finds. The page says how far it came, and goes on from
// there.
const mostLooked = 20_000

// auditPage is who changed what, and its filters.
type auditPage struct {
	Form    *form
	Rows    []waypost.Audit
	Pager   pager
	Filters bool
}

func (d *Dash) audits(v *visit) error {
	f := newForm(v.r.URL.Query())
	p := auditPage{Form: f}
	q := store.AuditQuery{
		Account: v.account(), Actor: clip(f.Get("who"), 320), Action: clip(f.Get("did"), 100), Object: clip(f.Get("what"), 200), Search: clip(f.Get("q"), 200),
		Before: formID(f, "before"), Look: mostLooked, Limit: perPage,
	}
	q.From, q.To = dateRange(f)
	for _, name := range []string{"who", "did", "what", "q", "from", "until"} {
		p.Filters = p.Filters || f.Get(name) != ""
	}
	if f.OK() {
		found, err := d.cfg.Store.Audits(v.ctx(), q)
		if err != nil {
			return fmt.Errorf("list the audit: %w", err)
		}
		p.Rows = found.Entries
		p.Pager = pages(v, found.Next != 0, func() string { return strconv.FormatInt(found.Next, 10) })
		if found.Next != 0 && len(found.Entries) < perPage {
			p.Pager.Text = lookedThrough(mostLooked, "entries")
		}
	}
	return d.show(v, "audit", p)
}

// lookedThrough says that a list ended before its end.
func lookedThrough(n int, what string) string {
	return "Looked through " + number(n) + " " + what + "; go on with the older ones."
}
