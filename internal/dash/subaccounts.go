package dash

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var subAccountsScreen = screen{Path: "/subaccounts", Title: "Sub-accounts", Icon: "accounts", Group: "Manage", Routes: []route{
	{"GET /subaccounts", waypost.RoleViewer, (*Dash).listSubAccounts},
	{"POST /subaccounts", waypost.RoleOwner, (*Dash).createSubAccount}, // its key is made with it
	{"GET /subaccounts/{id}", waypost.RoleViewer, (*Dash).subAccount},
	{"POST /subaccounts/{id}/name", waypost.RoleOperator, (*Dash).renameSubAccount},
	{"POST /subaccounts/{id}/settings", waypost.RoleOperator, (*Dash).subAccountSettings},
	{"POST /subaccounts/{id}/block", waypost.RoleOperator, (*Dash).blockSubAccount},
	{"POST /subaccounts/{id}/unblock", waypost.RoleOperator, (*Dash).unblockSubAccount},
	{"GET /subaccounts/{id}/delete", waypost.RoleOwner, (*Dash).askSubAccount},
	{"POST /subaccounts/{id}/delete", waypost.RoleOwner, (*Dash).deleteSubAccount},
}}

// subAccountsPage is the list of sub-accounts, and the form to add one.
type subAccountsPage struct {
	Rows  []subAccountRow
	Form  *form
	Query string
	More  string
}

// subAccountRow is one of them with what it sent lately.
type subAccountRow struct {
	Sub   waypost.SubAccount
	State chip
	Sent  int64 // messages accepted of the last 30 days, today included
}

const subAccountsPerPage = 50

func (d *Dash) listSubAccounts(v *visit) error { return d.showSubAccounts(v, http.StatusOK, filled()) }

func (d *Dash) showSubAccounts(v *visit, status int, adding *form) error {
	q := newForm(v.r.URL.Query())
	p := subAccountsPage{Form: adding, Query: clip(q.Get("q"), 100)}
	offset := int(min(formID(q, "from"), 1_000_000))
	list, err := d.cfg.Store.SubAccounts(v.ctx(), v.account(), store.Page{Limit: subAccountsPerPage + 1, Offset: offset, Search: p.Query})
	if err != nil {
		return fmt.Errorf("list the sub-accounts: %w", err)
	}
	counts, err := d.cfg.Store.Breakdown(v.ctx(), store.StatQuery{Account: v.account(), From: v.today().AddDate(0, 0, -29), To: v.today(), By: store.StatBySubAccount})
	if err != nil {
		return fmt.Errorf("count the messages of sub-accounts: %w", err)
	}
	sent := map[string]int64{}
	for _, c := range counts {
		sent[c.Key] = c.Counts[waypost.StatProcessed]
	}
	for i := range list[:min(len(list), subAccountsPerPage)] {
		s := &list[i]
		p.Rows = append(p.Rows, subAccountRow{*s, subAccountState(s), sent[strconv.FormatInt(s.ID, 10)]})
	}
	if len(list) > subAccountsPerPage {
		p.More = link("/subaccounts", "q", p.Query, "from", strconv.Itoa(offset+subAccountsPerPage))
	}
	return d.showStatus(v, status, "subaccounts", p)
}

func subAccountState(s *waypost.SubAccount) chip {
	if s.Blocked {
		return makeChip("bad", "blocked", s.BlockReason)
	}
	return makeChip("ok", "may send")
}

// createSubAccount makes one with its first key, shown this once.
func (d *Dash) createSubAccount(v *visit) error {
	f := newForm(v.r.PostForm)
	var made struct {
		Key  string `json:"apiKey"`
		Name string `json:"name"`
	}
	if err := d.call(v, 0, http.MethodPost, "/account/subaccount", map[string]string{"name": f.Get("name")}, &made); err != nil {
		if !f.refuse(err, "name") {
			return err
		}
		return d.showSubAccounts(v, http.StatusUnprocessableEntity, f)
	}
	return d.once(v, oncePage{
		Title: "The key of " + made.Name, Text: "It sends mail as this sub-account. It is shown only now: nobody can read it again later.",
		Value: made.Key, Note: "Programs send it in the header X-SubAccount-ApiKey.", Back: "/subaccounts", Crumb: "Sub-accounts",
	})
}

// subAccountOf finds the one that a request's path names.
func (d *Dash) subAccountOf(v *visit) (waypost.SubAccount, error) {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return waypost.SubAccount{}, errNoPage
	}
	s, err := d.cfg.Store.SubAccount(v.ctx(), v.account(), id)
	if err != nil {
		return s, fmt.Errorf("read sub-account %d: %w", id, err)
	}
	return s, nil
}

// subAccountPage is one sub-account.
type subAccountPage struct {
	Sub      waypost.SubAccount
	State    chip
	Name     *form
	Settings *form
	Block    *form
	Pools    []option
	Domains  int
}

func (d *Dash) subAccount(v *visit) error {
	s, err := d.subAccountOf(v)
	if err != nil {
		return err
	}
	return d.showSubAccount(v, http.StatusOK, &s, subAccountPage{})
}

func (d *Dash) showSubAccount(v *visit, status int, s *waypost.SubAccount, p subAccountPage) error {
	p.Sub, p.State = *s, subAccountState(s)
	names, err := d.poolNames(v)
	if err != nil {
		return err
	}
	p.Pools = []option{{"", "the account's only one"}}
	for _, id := range sortedIDs(names) {
		p.Pools = append(p.Pools, option{names[id], names[id]})
	}
	if p.Name == nil {
		p.Name = filled("name", s.Name)
	}
	if p.Block == nil {
		p.Block = filled()
	}
	if p.Settings == nil {
		p.Settings = filled("ippool", names[s.Pool])
		for name, bit := range recipientChecks {
			if s.Checks&bit != 0 {
				p.Settings.Values.Set(name, "1")
			}
		}
	}
	if p.Domains, err = d.cfg.Store.CountDomains(v.ctx(), s.ID); err != nil {
		return fmt.Errorf("count the domains of sub-account %d: %w", s.ID, err)
	}
	return d.showStatus(v, status, "subaccount", p)
}

var recipientChecks = map[string]waypost.RecipientChecks{
	"dropRoleAddresses": waypost.CheckRoles, "dropNullMX": waypost.CheckNullMX, "dropDuplicates": waypost.CheckDuplicates,
}

func (d *Dash) renameSubAccount(v *visit) error {
	s, err := d.subAccountOf(v)
	if err != nil {
		return err
	}
	f := newForm(v.r.PostForm)
	if err := d.call(v, 0, http.MethodPut, fmt.Sprintf("/account/subaccount/%d", s.ID), map[string]string{"name": f.Get("name")}, nil); err != nil {
		if !f.refuse(err, "name") {
			return err
		}
		return d.showSubAccount(v, http.StatusUnprocessableEntity, &s, subAccountPage{Name: f})
	}
	return d.after(v, nil, "It is named "+f.Get("name")+" now.", fmt.Sprintf("/subaccounts/%d", s.ID))
}

func (d *Dash) subAccountSettings(v *visit) error {
	s, err := d.subAccountOf(v)
	if err != nil {
		return err
	}
	f := newForm(v.r.PostForm)
	checks := map[string]bool{}
	for name := range recipientChecks {
		checks[name] = f.On(name)
	}
	err = d.call(v, 0, http.MethodPut, fmt.Sprintf("/account/settings/subaccount/%d", s.ID), checks, nil)
	if err == nil {
		err = d.call(v, 0, http.MethodPut, fmt.Sprintf("/account/subaccount/%d/default-pool", s.ID), map[string]string{"ippool": f.Get("ippool")}, nil)
	}
	if err != nil {
		if !f.refuse(err, "ippool") {
			return err
		}
		return d.showSubAccount(v, http.StatusUnprocessableEntity, &s, subAccountPage{Settings: f})
	}
	return d.after(v, nil, "Its settings are saved.", fmt.Sprintf("/subaccounts/%d", s.ID))
}

func (d *Dash) blockSubAccount(v *visit) error {
	s, err := d.subAccountOf(v)
	if err != nil {
		return err
	}
	f := newForm(v.r.PostForm)
	if f.Get("blockReason") == "" {
		f.wrong("blockReason", "Say why; whoever calls with its keys is told.")
	} else if err := d.call(v, 0, http.MethodPut, fmt.Sprintf("/account/settings/subaccount/%d", s.ID), map[string]any{"blocked": true, "blockReason": f.Get("blockReason")}, nil); err != nil && !f.refuse(err, "blockReason") {
		return err
	}
	if !f.OK() {
		return d.showSubAccount(v, http.StatusUnprocessableEntity, &s, subAccountPage{Block: f})
	}
	return d.after(v, nil, s.Name+" is blocked: its calls to send are refused.", fmt.Sprintf("/subaccounts/%d", s.ID))
}

func (d *Dash) unblockSubAccount(v *visit) error {
	s, err := d.subAccountOf(v)
	if err != nil {
		return err
	}
	err = d.call(v, 0, http.MethodPut, fmt.Sprintf("/account/settings/subaccount/%d", s.ID), map[string]any{"blocked": false}, nil)
	return d.after(v, err, s.Name+" may send again.", fmt.Sprintf("/subaccounts/%d", s.ID))
}

func (d *Dash) askSubAccount(v *visit) error {
	s, err := d.subAccountOf(v)
	if err != nil {
		return err
	}
	return d.confirm(v, confirmPage{
		Title: "Delete the sub-account " + s.Name + "?", Text: "This cannot be undone.",
		Losses: []string{"Its API keys end at once.", "Its sender domains with their keys, and its suppressions, are deleted.", "Messages, events and statistics stay."},
		Action: fmt.Sprintf("/subaccounts/%d/delete", s.ID), Button: "Delete this sub-account", Back: fmt.Sprintf("/subaccounts/%d", s.ID),
	})
}

func (d *Dash) deleteSubAccount(v *visit) error {
	s, err := d.subAccountOf(v)
	if err != nil {
		return err
	}
	if err := d.call(v, 0, http.MethodDelete, fmt.Sprintf("/account/subaccount/%d", s.ID), nil, nil); err != nil {
		return d.after(v, err, "", fmt.Sprintf("/subaccounts/%d", s.ID))
	}
	return d.after(v, nil, s.Name+" is deleted.", "/subaccounts")
}
