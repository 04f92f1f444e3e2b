package dash

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var domainsScreen = screen{Path: "/domains", Title: "Sender domains", Icon: "globe", Group: "Sending", Routes: []route{
	{"GET /domains", waypost.RoleViewer, (*Dash).domains},
	{"POST /domains", waypost.RoleOperator, (*Dash).createDomain},
	{"GET /domains/{id}", waypost.RoleViewer, (*Dash).domain},
	{"GET /domains/{id}/zone", waypost.RoleViewer, (*Dash).domainZone},
	{"POST /domains/{id}/verify", waypost.RoleOperator, (*Dash).verifyDomain},
	{"POST /domains/{id}/return-path", waypost.RoleOperator, (*Dash).returnPath},
	{"POST /domains/{id}/rotate", waypost.RoleOperator, (*Dash).rotateDKIM},
	{"POST /domains/{id}/rotate/cancel", waypost.RoleOperator, (*Dash).cancelRotation},
	{"POST /domains/{id}/ed25519", waypost.RoleOperator, (*Dash).addEd25519},
	{"GET /domains/{id}/ed25519/delete", waypost.RoleOperator, (*Dash).askEd25519},
	{"POST /domains/{id}/ed25519/delete", waypost.RoleOperator, (*Dash).removeEd25519},
	{"GET /domains/{id}/delete", waypost.RoleOperator, (*Dash).askDomain},
	{"POST /domains/{id}/delete", waypost.RoleOperator, (*Dash).deleteDomain},
}}

// domainsPage is the list of sender domains, and the form to add one.
type domainsPage struct {
	Rows  []domainRow
	Form  *form
	Query *form
	Subs  []option
	More  string
	Any   bool // there is one, whatever the filters
}

// domainRow is one domain with its four marks.
type domainRow struct {
	Domain waypost.SenderDomain
	Sub    string
	Marks  []chip
	State  chip
}

const domainsPerPage = 50

func (d *Dash) domains(v *visit) error {
	return d.showDomains(v, http.StatusOK, filled())
}

// showDomains lists the domains of one sub-account by pages, or, without a
// choice, those of all that fit on one.
func (d *Dash) showDomains(v *visit, status int, adding *form) error {
	q := newForm(v.r.URL.Query())
	p := domainsPage{Form: adding, Query: q}
	subs, err := d.subAccounts(v)
	if err != nil {
		return err
	}
	p.Subs = subOptions(subs)
	chosen, offset := formID(q, "sub"), int(min(formID(q, "from"), 1_000_000))
	names := map[int64]string{}
	for i := range subs {
		names[subs[i].ID] = subs[i].Name
		if chosen != 0 && subs[i].ID != chosen {
			continue
		}
		skip := 0
		if chosen != 0 || len(subs) == 1 {
			skip = offset
		}
		list, err := d.cfg.Store.Domains(v.ctx(), subs[i].ID, store.Page{Limit: domainsPerPage + 1, Offset: skip, Search: clip(q.Get("q"), 200)})
		if err != nil {
			return fmt.Errorf("list the domains of sub-account %q: %w", subs[i].Name, err)
		}
		for j := range list[:min(len(list), domainsPerPage)] {
			p.Rows = append(p.Rows, domainRowOf(&list[j], subs[i].Name))
		}
		if len(list) > domainsPerPage {
			next := 0
			if chosen == subs[i].ID || len(subs) == 1 {
				next = offset + domainsPerPage
			}
			p.More = link("/domains", "q", q.Get("q"), "sub", strconv.FormatInt(subs[i].ID, 10), "from", strconv.Itoa(next))
		}
		if len(p.Rows) >= 10*domainsPerPage {
			break // the filters lead to the rest
		}
	}
	p.Any = len(p.Rows) > 0 || q.Get("q") != "" || chosen != 0
	return d.showStatus(v, status, "domains", p)
}

func domainRowOf(s *waypost.SenderDomain, sub string) domainRow {
	r := domainRow{Domain: *s, Sub: sub, State: domainState(s)}
	for _, m := range []struct {
		kind waypost.RecordKind
		name string
		need bool
	}{{waypost.RecordDKIM, "DKIM", true}, {waypost.RecordReturnPath, "Return path", true}, {waypost.RecordTrack, "Tracking", false}, {waypost.RecordDMARC, "DMARC", false}} {
		switch {
		case s.Verified(m.kind):
			r.Marks = append(r.Marks, makeChip("ok", m.name, "verified"))
		case m.need:
			r.Marks = append(r.Marks, makeChip("bad", m.name, "not verified; sending needs it"))
		default:
			r.Marks = append(r.Marks, makeChip("quiet", m.name, "not verified; recommended"))
		}
	}
	return r
}

func domainState(s *waypost.SenderDomain) chip {
	switch {
	case !s.Verified(waypost.RecordReturnPath):
		return makeChip("bad", "cannot send", "Without a verified return path nothing is relayed.")
	case !s.Verified(waypost.RecordDKIM):
		return makeChip("warn", "sends unsigned", "The DKIM record is not verified.")
	}
	for i := range s.Records {
		if s.Records[i].Verified && s.Records[i].Failures > 0 {
			return makeChip("warn", "a record went missing", s.Records[i].Failure)
		}
	}
	return makeChip("ok", "ready to send")
}

func (d *Dash) createDomain(v *visit) error {
	f := newForm(v.r.PostForm)
	sub, err := d.subOf(v, f.Get("sub"))
	if err != nil {
		return err
	}
	var made struct {
		ID int64 `json:"id"`
	}
	if err := d.call(v, sub.ID, http.MethodPost, "/subaccount/domain", map[string]string{"name": f.Get("name")}, &made); err != nil {
		if !f.refuse(err, "name") {
			return err
		}
		return d.showDomains(v, http.StatusUnprocessableEntity, f)
	}
	d.say(v, "ok", "Publish the records below; each is looked up until it is found.")
	return v.redirect(fmt.Sprintf("/domains/%d", made.ID))
}

// domainOf finds the domain that a request's path names.
func (d *Dash) domainOf(v *visit) (waypost.SenderDomain, error) {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return waypost.SenderDomain{}, errNoPage
	}
	s, err := d.cfg.Store.AnyDomain(v.ctx(), id)
	if err != nil {
		return s, fmt.Errorf("read domain %d: %w", id, err)
	}
	if s.Account != v.account() {
		return waypost.SenderDomain{}, errNoPage
	}
	return s, nil
}

// onDomain calls an operation of a domain and leads back to its page.
func (d *Dash) onDomain(v *visit, method, path string, body any, done string) error {
	s, err := d.domainOf(v)
	if err != nil {
		return err
	}
	err = d.call(v, s.SubAccount, method, fmt.Sprintf("/subaccount/domain/%d%s", s.ID, path), body, nil)
	return d.after(v, err, done, fmt.Sprintf("/domains/%d", s.ID))
}

func (d *Dash) verifyDomain(v *visit) error {
	s, err := d.domainOf(v)
	if err != nil {
		return err
	}
	path := fmt.Sprintf("/domains/%d", s.ID)
	if err := d.call(v, s.SubAccount, http.MethodPost, fmt.Sprintf("/subaccount/domain/%d/verify", s.ID), nil, nil); err != nil {
		return d.after(v, err, "", path)
	}
	if s, err = d.domainOf(v); err != nil {
		return err
	}
	var open []string
	for i := range s.Records {
		if !s.Records[i].Verified {
			open = append(open, recordWords[s.Records[i].Kind])
		}
	}
	if len(open) > 0 {
		d.say(v, "warn", "Looked up just now. Not verified: "+strings.Join(open, ", ")+".")
	} else {
		d.say(v, "ok", "Looked up just now. Every record is as it should be.")
	}
	return v.redirect(path)
}

func (d *Dash) returnPath(v *visit) error {
	direct := v.r.PostForm.Get("direct") == "1"
	done := "The return path is asked for as a CNAME now."
	if direct {
		done = "The return path is asked for as MX and SPF records of the domain's own now."
	}
	return d.onDomain(v, http.MethodPut, "/return-path", map[string]bool{"direct": direct}, done)
}

func (d *Dash) rotateDKIM(v *visit) error {
	return d.onDomain(v, http.MethodPost, "/rotate-dkim", nil, "A new key is made. Publish its record; it signs once that is found.")
}

func (d *Dash) cancelRotation(v *visit) error {
	return d.onDomain(v, http.MethodDelete, "/rotate-dkim", nil, "The change of keys is given up; the present key stays.")
}

func (d *Dash) addEd25519(v *visit) error {
	return d.onDomain(v, http.MethodPost, "/ed25519", nil, "An Ed25519 key is made. Publish its record; it signs once that is found.")
}

func (d *Dash) askEd25519(v *visit) error {
	s, err := d.domainOf(v)
	if err != nil {
		return err
	}
	return d.confirm(v, confirmPage{
		Title: "Remove the Ed25519 key of " + s.Name + "?", Text: "Mail is signed with the RSA key alone from then on. The private key is deleted and cannot be brought back.",
		Action: fmt.Sprintf("/domains/%d/ed25519/delete", s.ID), Button: "Remove the key", Back: fmt.Sprintf("/domains/%d", s.ID),
	})
}

func (d *Dash) removeEd25519(v *visit) error {
	return d.onDomain(v, http.MethodDelete, "/ed25519", nil, "The Ed25519 key is removed; its record may go.")
}

func (d *Dash) askDomain(v *visit) error {
	s, err := d.domainOf(v)
	if err != nil {
		return err
	}
	return d.confirm(v, confirmPage{
		Title: "Delete " + s.Name + "?", Text: "Its DKIM keys are deleted with it. Adding the domain again makes new keys, and new records to publish.",
		Losses: []string{"Mail from this domain is dropped from then on, also what waits in the queue.", "Messages, events and statistics stay."},
		Action: fmt.Sprintf("/domains/%d/delete", s.ID), Button: "Delete this domain", Back: fmt.Sprintf("/domains/%d", s.ID),
	})
}

func (d *Dash) deleteDomain(v *visit) error {
	s, err := d.domainOf(v)
	if err != nil {
		return err
	}
	err = d.call(v, s.SubAccount, http.MethodDelete, fmt.Sprintf("/subaccount/domain/%d", s.ID), nil, nil)
	return d.after(v, err, s.Name+" is deleted.", "/domains")
}
