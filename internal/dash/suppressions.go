package dash

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var suppressionsScreen = screen{Path: "/suppressions", Title: "Suppressions", Icon: "block", Group: "Sending", File: "POST /suppressions/import", Routes: []route{
	{"GET /suppressions", waypost.RoleViewer, (*Dash).suppressions},
	{"GET /suppressions/export", waypost.RoleViewer, (*Dash).exportSuppressions},
	{"GET /suppressions/add", waypost.RoleOperator, (*Dash).askSuppress},
	{"POST /suppressions/add", waypost.RoleOperator, (*Dash).suppress},
	{"GET /suppressions/remove", waypost.RoleOperator, (*Dash).askUnsuppress},
	{"POST /suppressions/remove", waypost.RoleOperator, (*Dash).unsuppress},
	{"GET /suppressions/import", waypost.RoleOperator, (*Dash).importForm},
	{"POST /suppressions/import", waypost.RoleOperator, (*Dash).importSuppressions},
}}

// suppressTypes are the reasons by their public names.
var suppressTypes = []option{
	{"manual", "added by hand"}, {"hardBounce", "hard bounce"}, {"spamComplaint", "spam complaint"}, {"unsubscribe", "unsubscribed"},
}

var suppressReasons = map[string][]waypost.SuppressionReason{
	"manual": {waypost.SuppressManual}, "hardBounce": {waypost.SuppressHardBounce, waypost.SuppressValidation},
	"spamComplaint": {waypost.SuppressComplaint}, "unsubscribe": {waypost.SuppressUnsubscribe},
}

// suppressionsPage is a list of suppressed addresses and its filters.
type suppressionsPage struct {
	Form    *form
	Sub     waypost.SubAccount
	Subs    []option
	Types   []option
	Rows    []suppressionRow
	Pager   pager
	Count   int  // without filters, up to mostCounted
	Many    bool // there are more
	Filters bool
	Export  string
}

// suppressionRow is one address.
type suppressionRow struct {
	waypost.Suppression
	Chip   chip
	Origin string // the message's page, "" without one
}

// chosenSub finds the sub-account that a page is about: the one named, or
// the account's default.
func (d *Dash) chosenSub(v *visit, f *form) (waypost.SubAccount, []option, error) {
	sub, err := d.subOf(v, f.Get("sub"))
	if err != nil {
		return sub, nil, err
	}
	subs, err := d.subAccounts(v)
	if err != nil {
		return sub, nil, err
	}
	f.Values.Set("sub", strconv.FormatInt(sub.ID, 10))
	return sub, subOptions(subs)[1:], nil
}

func (d *Dash) suppressions(v *visit) error {
	f := newForm(v.r.URL.Query())
	p := suppressionsPage{Form: f, Types: append([]option{{"", "all"}}, suppressTypes...), Filters: f.Get("q") != "" || f.Get("type") != ""}
	var err error
	if p.Sub, p.Subs, err = d.chosenSub(v, f); err != nil {
		return err
	}
	q := store.SuppressionQuery{SubAccount: p.Sub.ID, Reasons: suppressReasons[f.Get("type")], Now: v.now, Before: formID(f, "before"), Look: mostAddresses, Limit: perPage + 1}
	list, err := d.findSuppressed(v, &q, waypost.FoldEmail(clip(f.Get("q"), 320)))
	if err != nil {
		return err
	}
	next, err := d.endOfSuppressed(v, q, list)
	if err != nil {
		return err
	}
	if !p.Filters {
		q.Look = mostCounted
		if p.Count, err = d.cfg.Store.CountSuppressions(v.ctx(), q); err != nil {
			return fmt.Errorf("count the suppressions: %w", err)
		}
		p.Many = p.Count >= mostCounted
	}
	for i := range list[:min(len(list), perPage)] {
		row := suppressionRow{Suppression: list[i], Chip: suppressChip(list[i].Reason)}
		if !row.Message.IsZero() {
			row.Origin = "/messages/" + row.Message.String()
		}
		p.Rows = append(p.Rows, row)
	}
	p.Pager = pages(v, next != 0, func() string { return strconv.FormatInt(next, 10) })
	if next != 0 && len(list) <= perPage {
		p.Pager.Text = lookedThrough(q.Look, "addresses")
	}
	p.Export = link("/suppressions/export", "sub", f.Get("sub"), "q", f.Get("q"), "type", f.Get("type"))
	return d.show(v, "suppressions", p)
}

// mostCounted is how far the list of suppressions is counted, and mostAddresses
// how far one page looks through it for a part of an address: an index holds all
// that is asked.
const (
	mostCounted   = 100_000
	mostAddresses = 50_000
)

// findSuppressed lists what a text typed by a person finds: a whole address, or
// "@" and a domain, by an index; a part of an address among the newest.
func (d *Dash) findSuppressed(v *visit, q *store.SuppressionQuery, text string) ([]waypost.Suppression, error) {
	exact := *q
	local, domain, at := strings.Cut(text, "@")
	switch {
	case at && local == "" && strings.Contains(domain, "."):
		q.Domain = domain
	case at && local != "" && domain != "":
		exact.Email = text
		if list, err := d.cfg.Store.ListSuppressions(v.ctx(), exact); err != nil || len(list) > 0 {
			*q = exact
			return list, wrapList(err)
		}
		q.Search = text
	default:
		q.Search = text
	}
	list, err := d.cfg.Store.ListSuppressions(v.ctx(), *q)
	return list, wrapList(err)
}

func wrapList(err error) error {
	if err != nil {
		return fmt.Errorf("list the suppressions: %w", err)
	}
	return nil
}

// endOfSuppressed is the id behind which a list goes on, 0 when it does not: of
// the last address shown, or of the last that was looked at.
func (d *Dash) endOfSuppressed(v *visit, q store.SuppressionQuery, list []waypost.Suppression) (int64, error) {
	if len(list) > perPage {
		return list[perPage-1].ID, nil
	}
	edge := store.SuppressionQuery{SubAccount: q.SubAccount, Email: q.Email, Domain: q.Domain, Before: q.Before, Offset: q.Look - 1, Limit: 1}
	last, err := d.cfg.Store.ListSuppressions(v.ctx(), edge)
	if err != nil || len(last) == 0 {
		return 0, wrapList(err)
	}
	return last[0].ID, nil
}

func suppressChip(r waypost.SuppressionReason) chip {
	switch r {
	case waypost.SuppressHardBounce, waypost.SuppressValidation:
		return makeChip("bad", r.String())
	case waypost.SuppressComplaint:
		return makeChip("bad", r.String())
	case waypost.SuppressUnsubscribe:
		return makeChip("warn", r.String())
	case waypost.SuppressManual:
	}
	return makeChip("quiet", r.String())
}

func (d *Dash) exportSuppressions(v *visit) error {
	f := newForm(v.r.URL.Query())
	sub, err := d.subOf(v, f.Get("sub"))
	if err != nil {
		return err
	}
	return d.pipe(v, sub.ID, link("/subaccount/suppression/export", "search", clip(f.Get("q"), 320), "type", f.Get("type")))
}

// suppressPage is the form that adds addresses.
type suppressPage struct {
	Form  *form
	Subs  []option
	Types []option
}

func (d *Dash) showSuppress(v *visit, status int, f *form) error {
	_, subs, err := d.chosenSub(v, f)
	if err != nil {
		return err
	}
	return d.showStatus(v, status, "suppress", suppressPage{f, subs, suppressTypes})
}

func (d *Dash) askSuppress(v *visit) error {
	return d.showSuppress(v, http.StatusOK, filled("sub", v.r.URL.Query().Get("sub"), "type", "manual"))
}

// atEntry finds which of the addresses the API speaks of.
var atEntry = regexp.MustCompile(`^entries\[(\d+)\]`)

// suppress adds the addresses of a form, one on each line.
func (d *Dash) suppress(v *visit) error {
	f := newForm(v.r.PostForm)
	sub, err := d.subOf(v, f.Get("sub"))
	if err != nil {
		return err
	}
	var entries []map[string]any
	for line := range strings.Lines(f.Get("emails")) {
		if line = strings.TrimSpace(line); line != "" {
			entries = append(entries, map[string]any{"email": line, "type": f.Get("type"), "text": f.Get("text")})
		}
	}
	if len(entries) == 0 {
		f.wrong("emails", "Write at least one address.")
	}
	if day := f.Get("expires"); day != "" {
		t, err := time.Parse(time.DateOnly, day)
		if err != nil {
			f.wrong("expires", "Write a day as 2030-01-31.")
		}
		for _, e := range entries {
			e["expires"] = t.AddDate(0, 0, 1).Format(time.RFC3339)
		}
	}
	if !f.OK() {
		return d.showSuppress(v, http.StatusUnprocessableEntity, f)
	}
	var now struct {
		Entries []struct{} `json:"entries"`
	}
	if err := d.call(v, sub.ID, http.MethodPost, "/subaccount/suppression/entry", map[string]any{"entries": entries}, &now); err != nil {
		if !f.refuse(err) {
			return err
		}
		refuseEntry(f, entries)
		return d.showSuppress(v, http.StatusUnprocessableEntity, f)
	}
	return d.after(v, nil, plural(len(now.Entries), "address is", "addresses are")+" on the list now.", link("/suppressions", "sub", strconv.FormatInt(sub.ID, 10)))
}

// refuseEntry puts what the API says of one entry beside the field of all.
func refuseEntry(f *form, entries []map[string]any) {
	at := atEntry.FindStringSubmatch(f.Message)
	if at == nil {
		return
	}
	field, said, _ := strings.Cut(f.Message, ": ")
	i, _ := strconv.Atoi(at[1]) // digits
	f.Message = ""
	switch {
	case strings.HasSuffix(field, ".expires"):
		f.wrong("expires", "This day is past.")
	case strings.HasSuffix(field, ".text"):
		f.wrong("text", capital(said)+".")
	case i < len(entries):
		f.wrong("emails", fmt.Sprintf("Address %d: %s.", i+1, said))
	}
}

func (d *Dash) askUnsuppress(v *visit) error {
	f := newForm(v.r.URL.Query())
	sub, err := d.subOf(v, f.Get("sub"))
	if err != nil {
		return err
	}
	email := waypost.FoldEmail(f.Get("email"))
	found, err := d.cfg.Store.Suppressed(v.ctx(), sub.ID, []string{email}, v.now)
	if err != nil {
		return fmt.Errorf("look up a suppression: %w", err)
	}
	s, ok := found[email]
	if !ok {
		return errNoPage
	}
	text := "It was added " + ago(s.Created, v.now) + ": " + s.Reason.String() + "."
	if s.Text != "" {
		text += " " + s.Text
	}
	id := strconv.FormatInt(sub.ID, 10)
	return d.confirm(v, confirmPage{
		Title: "Mail " + email + " again?", Text: text, Losses: []string{"Mail to people who did not want it, and to addresses that are gone, costs the reputation of your servers."},
		Action: "/suppressions/remove", Button: "Take it off the list", Back: link("/suppressions", "sub", id), Hidden: []fact{{"email", email}, {"sub", id}},
	})
}

func (d *Dash) unsuppress(v *visit) error {
	f := newForm(v.r.PostForm)
	sub, err := d.subOf(v, f.Get("sub"))
	if err != nil {
		return err
	}
	body := map[string]any{"suppressions": []map[string]string{{"email": f.Get("email")}}}
	err = d.call(v, sub.ID, http.MethodDelete, "/subaccount/suppression", body, nil)
	return d.after(v, err, f.Get("email")+" is off the list.", link("/suppressions", "sub", strconv.FormatInt(sub.ID, 10)))
}
