package dash

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	routing "github.com/waypost-mail/waypost/internal/route"
	"github.com/waypost-mail/waypost/internal/store"
)

var poolsScreen = screen{Path: "/pools", Title: "Pools", Icon: "pool", Group: "Sending", Routes: []route{
	{"GET /pools", waypost.RoleViewer, (*Dash).pools},
	{"POST /pools", waypost.RoleOperator, (*Dash).createPool},
	{"GET /pools/new", waypost.RoleOperator, (*Dash).newPool},
	{"GET /pools/explain", waypost.RoleViewer, (*Dash).explainRoute},
	{"GET /pools/{id}", waypost.RoleViewer, (*Dash).pool},
	{"GET /pools/{id}/edit", waypost.RoleOperator, (*Dash).editPool},
	{"POST /pools/{id}/edit", waypost.RoleOperator, (*Dash).updatePool},
	{"GET /pools/{id}/delete", waypost.RoleOperator, (*Dash).askPool},
	{"POST /pools/{id}/delete", waypost.RoleOperator, (*Dash).deletePool},
}}

// strategyWords name the strategies for people.
var strategyWords = map[waypost.Strategy]string{
	waypost.StrategyRoundRobin: "Equal shares", waypost.StrategyEmailProvider: "By the recipient's mailbox provider",
	waypost.StrategyVolumePercentage: "By weight", waypost.StrategySendingDomain: "By sender domain",
}

// poolsPage is the list of pools.
type poolsPage struct {
	Rows  []poolRow
	Query string
	More  string
}

// poolRow is one pool of the list.
type poolRow struct {
	Pool     waypost.Pool
	Strategy string
	Shares   []share
	Overflow string
}

const poolsPerPage = 50

func (d *Dash) pools(v *visit) error {
	q := newForm(v.r.URL.Query())
	p := poolsPage{Query: clip(q.Get("q"), 100)}
	offset := int(min(formID(q, "from"), 1_000_000))
	list, err := d.cfg.Store.Pools(v.ctx(), v.account(), store.Page{Limit: poolsPerPage + 1, Offset: offset, Search: p.Query})
	if err != nil {
		return fmt.Errorf("list the pools: %w", err)
	}
	names, err := d.providerNames(v)
	if err != nil {
		return err
	}
	overflow, err := d.poolNames(v)
	if err != nil {
		return err
	}
	for i := range list[:min(len(list), poolsPerPage)] {
		one := &list[i]
		if _, err := d.standIn(v, one); err != nil {
			return err
		}
		p.Rows = append(p.Rows, poolRow{*one, strategyWords[one.Strategy], intended(one, names), overflow[one.Overflow]})
	}
	if len(list) > poolsPerPage {
		p.More = link("/pools", "q", p.Query, "from", strconv.Itoa(offset+poolsPerPage))
	}
	return d.show(v, "pools", p)
}

func (d *Dash) poolNames(v *visit) (map[int64]string, error) {
	list, err := d.cfg.Store.Pools(v.ctx(), v.account(), store.Page{Limit: 1000})
	if err != nil {
		return nil, fmt.Errorf("list the pools: %w", err)
	}
	out := map[int64]string{}
	for i := range list {
		out[list[i].ID] = list[i].Name
	}
	return out, nil
}

// poolOf finds the pool that a request's path names.
func (d *Dash) poolOf(v *visit) (waypost.Pool, error) {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return waypost.Pool{}, errNoPage
	}
	p, err := d.cfg.Store.Pool(v.ctx(), v.account(), id)
	if err != nil {
		return p, fmt.Errorf("read pool %d: %w", id, err)
	}
	return p, nil
}

// poolView is the page of one pool.
type poolView struct {
	Pool     waypost.Pool
	StandIn  bool // its members are all providers of the account
	Strategy string
	Overflow string
	Patience time.Duration
	Shares   []share
	Intended bar
	Actual   bar
	Seen     int    // messages that the actual shares are of
	Lists    []list // of the strategies that have any
	Used     []string
}

// list is whom a strategy sends what to.
type list struct {
	For       string
	Providers []string
}

// standIn gives a pool that names the pseudo IP alone all providers of the
// account (D-8), to be shown; it tells whether it did.
func (d *Dash) standIn(v *visit, p *waypost.Pool) (bool, error) {
	if !p.StandsForAll() {
		return false, nil
	}
	providers, err := d.cfg.Store.Providers(v.ctx(), p.Account, store.Page{Limit: 1000})
	if err != nil {
		return false, fmt.Errorf("list the providers that pool %d stands for: %w", p.ID, err)
	}
	routing.StandForAll(p, providers)
	return true, nil
}

func (d *Dash) pool(v *visit) error {
	p, err := d.poolOf(v)
	if err != nil {
		return err
	}
	standIn, err := d.standIn(v, &p)
	if err != nil {
		return err
	}
	names, err := d.providerNames(v)
	if err != nil {
		return err
	}
	overflow, err := d.poolNames(v)
	if err != nil {
		return err
	}
	page := poolView{Pool: p, StandIn: standIn, Strategy: strategyWords[p.Strategy], Overflow: overflow[p.Overflow], Patience: p.Patience}
	if page.Patience == 0 {
		page.Patience = waypost.DefaultPatience
	}
	counts, seen, err := d.lately(v, p.ID)
	if err != nil {
		return err
	}
	page.Shares = intended(&p, names)
	page.Seen = seen
	page.Shares = actual(page.Shares, counts, seen, names)
	page.Intended = drawBar("Intended shares", page.Shares, func(s *share) float64 { return s.Intended })
	page.Actual = drawBar("Shares of the last 24 hours", page.Shares, func(s *share) float64 { return s.Actual })
	page.Lists = poolLists(&p, names)
	subs, err := d.subAccounts(v)
	if err != nil {
		return err
	}
	for i := range subs {
		if subs[i].Pool == p.ID {
			page.Used = append(page.Used, subs[i].Name)
		}
	}
	return d.show(v, "pool", page)
}

func poolLists(p *waypost.Pool, names map[int64]string) (out []list) {
	for _, key := range listKeys(p) {
		l := list{For: key}
		if key == waypost.OtherList {
			l.For = "everything else"
		}
		for _, id := range p.Lists[key] {
			l.Providers = append(l.Providers, orElse(names[id], "a deleted provider"))
		}
		out = append(out, l)
	}
	return out
}

func (d *Dash) askPool(v *visit) error {
	p, err := d.poolOf(v)
	if err != nil {
		return err
	}
	return d.confirm(v, confirmPage{
		Title: "Delete the pool " + p.Name + "?", Text: "Its providers stay.",
		Losses: []string{"Send calls that name it are refused from then on.", "Pools that overflow into it, and sub-accounts whose default it is, have none."},
		Action: fmt.Sprintf("/pools/%d/delete", p.ID), Button: "Delete this pool", Back: fmt.Sprintf("/pools/%d", p.ID),
	})
}

func (d *Dash) deletePool(v *visit) error {
	p, err := d.poolOf(v)
	if err != nil {
		return err
	}
	err = d.call(v, 0, http.MethodDelete, fmt.Sprintf("/account/ippool/%d", p.ID), nil, nil)
	return d.after(v, err, p.Name+" is deleted.", "/pools")
}

// explainPage answers who would get an address.
type explainPage struct {
	Form   *form
	Pools  []option
	Subs   []option
	Answer *explanation
	Chosen int64
}

// explainRoute is a page with an address of its own, so that an answer can be
// handed on.
func (d *Dash) explainRoute(v *visit) error {
	f := newForm(v.r.URL.Query())
	p := explainPage{Form: f, Pools: []option{{"", "the default pool"}}}
	pools, err := d.cfg.Store.Pools(v.ctx(), v.account(), store.Page{Limit: 1000})
	if err != nil {
		return fmt.Errorf("list the pools: %w", err)
	}
	for i := range pools {
		p.Pools = append(p.Pools, option{pools[i].Name, pools[i].Name})
	}
	subs, err := d.subAccounts(v)
	if err != nil {
		return err
	}
	p.Subs = subOptions(subs)[1:]
	if !f.Values.Has("recipient") {
		return d.show(v, "explain", p)
	}
	var answer struct {
		explanation
		Chosen int64 `json:"tpspId"`
	}
	body := map[string]any{"recipient": f.Get("recipient"), "ippool": f.Get("ippool"), "from": f.Get("from"), "subAccountId": formID(f, "subAccountId")}
	if err := d.call(v, 0, http.MethodPost, "/account/route/explain", body, &answer); err != nil {
		if !f.refuse(err, "recipient", "ippool", "from", "subAccountId") {
			return err
		}
		return d.showStatus(v, http.StatusUnprocessableEntity, "explain", p)
	}
	p.Answer, p.Chosen = &answer.explanation, answer.Chosen
	return d.show(v, "explain", p)
}

// sortedIDs are the ids of names, in the order of the names.
func sortedIDs(names map[int64]string) []int64 {
	out := slices.Collect(maps.Keys(names))
	slices.SortFunc(out, func(a, b int64) int {
		return cmp.Or(strings.Compare(names[a], names[b]), cmp.Compare(a, b))
	})
	return out
}
