package dash

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost-mail/waypost"
)

// poolPage is the form of a pool.
type poolPage struct {
	ID         int64
	Name       string // as stored
	Form       *form
	Strategies []option
	Providers  []poolMember
	Boxes      []poolList // lists by mailbox provider
	Domains    []poolList // lists by sender domain, some empty ones at the end
	Overflow   []option
}

// poolMember is a provider in the form.
type poolMember struct {
	ID   int64
	Name string
}

// poolList is a line of the table that gives each of something its providers.
// Its fields are Field for what it is for, and Field.ID for each provider.
type poolList struct {
	Field string
	Label string // "" : typed by the person
	Typed string
}

// Ticked tells whether a provider is in the list.
func (p poolPage) Ticked(l poolList, id int64) bool {
	return p.Form.On(fmt.Sprintf("%s.%d", l.Field, id))
}

// spareLists is how many empty lines a form offers for further sender domains.
const spareLists = 3

// listedBoxes are the categories that a list can be made for: those with a
// public number (sendpost.md, e.1), and all others by their names.
func listedBoxes() []string {
	var out []string
	for box := range waypost.Mailboxes {
		out = append(out, box.String())
	}
	return out
}

// listKeys gives the keys of a pool's lists, the rest last.
func listKeys(p *waypost.Pool) []string {
	var out []string
	for key := range p.Lists {
		if key != waypost.OtherList {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	if _, ok := p.Lists[waypost.OtherList]; ok {
		out = append(out, waypost.OtherList)
	}
	return out
}

// poolForm fills the form from a pool.
func poolForm(p *waypost.Pool, overflow string) *form {
	f := filled("name", p.Name, "strategy", strconv.Itoa(int(p.Strategy)), "overflowPoolName", overflow)
	if p.Failover {
		f.Values.Set("failover", "1")
	}
	if p.Patience > 0 {
		f.Values.Set("patienceSeconds", strconv.Itoa(int(p.Patience.Seconds())))
	}
	for _, m := range p.Members {
		f.Values.Set(fmt.Sprintf("in.%d", m.Provider), "1")
		if p.Strategy == waypost.StrategyVolumePercentage {
			f.Values.Set(fmt.Sprintf("weight.%d", m.Provider), strconv.Itoa(m.Weight))
		}
	}
	for i, key := range listKeys(p) {
		field := "box." + key
		if p.Strategy == waypost.StrategySendingDomain {
			if field = "domain.others"; key != waypost.OtherList {
				field = fmt.Sprintf("domain.%d", i)
				f.Values.Set(field, key)
			}
		}
		for _, id := range p.Lists[key] {
			f.Values.Set(fmt.Sprintf("%s.%d", field, id), "1")
		}
	}
	return f
}

// maxLists bounds the sender domains of a form.
const maxLists = 200

// showPoolForm answers with the form and the tables that it needs.
func (d *Dash) showPoolForm(v *visit, status int, p poolPage) error {
	providers, err := d.providersOf(v)
	if err != nil {
		return err
	}
	for i := range providers {
		p.Providers = append(p.Providers, poolMember{providers[i].ID, providers[i].Name})
	}
	for s := range waypost.Strategy(len(strategyWords)) {
		p.Strategies = append(p.Strategies, option{strconv.Itoa(int(s)), strategyWords[s]})
	}
	names, err := d.poolNames(v)
	if err != nil {
		return err
	}
	p.Overflow = []option{{"", "none: mail waits"}}
	for _, id := range sortedIDs(names) {
		if id != p.ID {
			p.Overflow = append(p.Overflow, option{names[id], names[id]})
		}
	}
	for _, box := range listedBoxes() {
		p.Boxes = append(p.Boxes, poolList{Field: "box." + box, Label: box})
	}
	p.Boxes = append(p.Boxes, poolList{Field: "box.others", Label: "everything else"})
	empty := 0
	for i := 0; i < maxLists && empty < spareLists; i++ {
		l := poolList{Field: fmt.Sprintf("domain.%d", i)}
		if l.Typed = p.Form.Get(l.Field); l.Typed == "" {
			empty++
		}
		p.Domains = append(p.Domains, l)
	}
	p.Domains = append(p.Domains, poolList{Field: "domain.others", Label: "everything else"})
	return d.showStatus(v, status, "pool-form", p)
}

// ticked gives the providers of a list in the form, as members are written in
// metadata, in the order given.
func ticked(f *form, field string, providers []waypost.Provider) []string {
	out := []string{}
	for i := range providers {
		if f.On(fmt.Sprintf("%s.%d", field, providers[i].ID)) {
			out = append(out, fmt.Sprintf("TPSP_%d", providers[i].ID))
		}
	}
	return out
}

// poolBody puts the form into the words of the API (sendpost.md, e.1).
func poolBody(f *form, providers []waypost.Provider) map[string]any {
	strategy := waypost.Strategy(min(wholeNumber(f, "strategy"), 9))
	meta, members := map[string]string{}, []int64{}
	list := func(key, field string) {
		if names := ticked(f, field, providers); len(names) > 0 {
			text, _ := json.Marshal(names) // strings always encode
			meta[key] = string(text)
		}
	}
	switch strategy {
	case waypost.StrategyRoundRobin:
		for i := range providers {
			if f.On(fmt.Sprintf("in.%d", providers[i].ID)) {
				members = append(members, providers[i].ID)
			}
		}
	case waypost.StrategyVolumePercentage:
		for i := range providers {
			if w := f.Get(fmt.Sprintf("weight.%d", providers[i].ID)); w != "" {
				meta[fmt.Sprintf("TPSP_%d", providers[i].ID)] = w
				members = append(members, providers[i].ID)
			}
		}
	case waypost.StrategyEmailProvider:
		for _, box := range append(listedBoxes(), waypost.OtherList) {
			list(box, "box."+box)
		}
	case waypost.StrategySendingDomain:
		for i := range maxLists {
			field := fmt.Sprintf("domain.%d", i)
			if name := strings.ToLower(f.Get(field)); name != "" {
				list(name, field)
			}
		}
		list(waypost.OtherList, "domain.others")
	}
	text, _ := json.Marshal(meta) // strings always encode
	body := map[string]any{
		"name": f.Get("name"), "routingStrategy": strategy, "routingMetaData": string(text), "tpsps": members,
		"failover": f.On("failover"), "patienceSeconds": wholeNumber(f, "patienceSeconds"),
		"shouldOverflow": f.Get("overflowPoolName") != "", "overflowPoolName": f.Get("overflowPoolName"),
	}
	if strategy == waypost.StrategyRoundRobin {
		body["routingMetaData"] = "{}"
	}
	return body
}

func (d *Dash) newPool(v *visit) error {
	return d.showPoolForm(v, http.StatusOK, poolPage{Form: filled("strategy", "2", "failover", "1")})
}

func (d *Dash) createPool(v *visit) error {
	f := newForm(v.r.PostForm)
	return d.savePool(v, poolPage{Form: f}, http.MethodPost, "/account/ippool")
}

func (d *Dash) editPool(v *visit) error {
	p, err := d.poolOf(v)
	if err != nil {
		return err
	}
	names, err := d.poolNames(v)
	if err != nil {
		return err
	}
	return d.showPoolForm(v, http.StatusOK, poolPage{ID: p.ID, Name: p.Name, Form: poolForm(&p, names[p.Overflow])})
}

func (d *Dash) updatePool(v *visit) error {
	p, err := d.poolOf(v)
	if err != nil {
		return err
	}
	page := poolPage{ID: p.ID, Name: p.Name, Form: newForm(v.r.PostForm)}
	return d.savePool(v, page, http.MethodPut, fmt.Sprintf("/account/ippool/%d", p.ID))
}

func (d *Dash) savePool(v *visit, page poolPage, method, path string) error {
	f := page.Form
	providers, err := d.providersOf(v)
	if err != nil {
		return err
	}
	body := poolBody(f, providers)
	if !f.OK() {
		return d.showPoolForm(v, http.StatusUnprocessableEntity, page)
	}
	var saved struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	if err := d.call(v, 0, method, path, body, &saved); err != nil {
		if !f.refuse(err, "name", "tpsps", "routingMetaData", "overflowPoolName", "patienceSeconds") {
			return err
		}
		plainMembers(f)
		return d.showPoolForm(v, http.StatusUnprocessableEntity, page)
	}
	d.say(v, "ok", saved.Name+" is saved.")
	return v.redirect(fmt.Sprintf("/pools/%d", saved.ID))
}

// plainMembers says in the form's words what the API says in those of its
// metadata.
func plainMembers(f *form) {
	for _, name := range []string{"tpsps", "routingMetaData"} {
		text, ok := f.Wrong[name]
		if !ok {
			continue
		}
		delete(f.Wrong, name)
		switch {
		case strings.Contains(text, "others"):
			text = "Choose at least one provider for everything else."
		case strings.Contains(text, "names no provider"):
			text = "Choose at least one provider."
		case strings.Contains(text, "sum to zero"):
			text = "Give at least one provider a weight above 0."
		}
		f.wrong("members", capital(text))
	}
}
