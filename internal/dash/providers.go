package dash

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var providersScreen = screen{Path: "/providers", Title: "Providers", Icon: "server", Group: "Sending", Routes: []route{
	{"GET /providers", waypost.RoleViewer, (*Dash).providers},
	{"POST /providers", waypost.RoleOperator, followable((*Dash).createProvider)},
	{"GET /providers/new", waypost.RoleOperator, (*Dash).newProvider},
	{"GET /providers/{id}", waypost.RoleViewer, (*Dash).provider},
	{"GET /providers/{id}/edit", waypost.RoleOperator, (*Dash).editProvider},
	{"POST /providers/{id}/edit", waypost.RoleOperator, followable((*Dash).updateProvider)},
	{"POST /providers/{id}/test", waypost.RoleOperator, followable((*Dash).testProvider)},
	{"POST /providers/{id}/pause", waypost.RoleOperator, (*Dash).pauseProvider},
	{"POST /providers/{id}/resume", waypost.RoleOperator, (*Dash).resumeProvider},
	{"POST /providers/{id}/rotate", waypost.RoleOperator, (*Dash).rotateKey},
	{"POST /providers/{id}/delete", waypost.RoleOperator, (*Dash).deleteProvider},
}}

// providersPage is the list of providers.
type providersPage struct {
	States []providerState
	Query  string
	More   string // address of the next page, "" on the last
}

const providersPerPage = 50

func (d *Dash) providers(v *visit) error {
	query := v.r.URL.Query()
	p := providersPage{Query: clip(query.Get("q"), 100)}
	offset, _ := strconv.Atoi(query.Get("from")) // 0 is the first page
	all, err := d.cfg.Store.Providers(v.ctx(), v.account(), store.Page{Limit: providersPerPage + 1, Offset: max(0, offset), Search: p.Query})
	if err != nil {
		return fmt.Errorf("list the providers: %w", err)
	}
	if len(all) > providersPerPage {
		all = all[:providersPerPage]
		p.More = link("/providers", "q", p.Query, "from", strconv.Itoa(offset+providersPerPage))
	}
	q, err := d.queueState(v)
	if err != nil {
		return err
	}
	if p.States, err = d.states(v, all, &q); err != nil {
		return err
	}
	return d.show(v, "providers", p)
}

// providerOf finds the provider that a request's path names.
func (d *Dash) providerOf(v *visit) (waypost.Provider, error) {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return waypost.Provider{}, errNoPage
	}
	p, err := d.cfg.Store.Provider(v.ctx(), v.account(), id)
	if err != nil {
		return p, fmt.Errorf("read provider %d: %w", id, err)
	}
	return p, nil
}

// providerView is the page of one provider.
type providerView struct {
	State    providerState
	Limits   []boxUse
	Hour     *chart
	Latency  *chart
	Classes  *chart
	Card     agentCard
	Replies  []replyGroup
	Events   []waypost.ProviderEvent
	Test     *probeResult
	Key      string // shown this once
	KeyTitle string
	Install  string
	Pools    []string
}

// boxUse is how much of a mailbox category's limit the rolling hour used.
type boxUse struct {
	Name   string
	Used   int
	Limit  int // 0: none of its own
	Conns  int
	Share  float64
	Paused string
}

func (d *Dash) provider(v *visit) error {
	p, err := d.providerOf(v)
	if err != nil {
		return err
	}
	return d.showProvider(v, p.ID, providerView{})
}

func (d *Dash) showProvider(v *visit, id int64, page providerView) error {
	p, err := d.cfg.Store.Provider(v.ctx(), v.account(), id)
	if err != nil {
		return fmt.Errorf("read provider %d: %w", id, err)
	}
	q, err := d.queueState(v)
	if err != nil {
		return err
	}
	states, err := d.states(v, []waypost.Provider{p}, &q)
	if err != nil {
		return err
	}
	page.State = states[0]
	page.Limits = boxUses(&page.State)
	page.Card = cardOf(&page.State, v.now)
	if page.Hour, err = d.hourChart(v, p.ID); err != nil {
		return err
	}
	if page.Latency, page.Classes, err = d.relayCharts(v, p.ID); err != nil {
		return err
	}
	if v.plots(page.Hour, page.Latency, page.Classes) {
		return nil
	}
	if page.Replies, err = d.replies(v, p.ID); err != nil {
		return err
	}
	if page.Events, err = d.cfg.Store.ProviderEvents(v.ctx(), p.ID, store.Page{Limit: 10}); err != nil {
		return fmt.Errorf("list the events of provider %d: %w", p.ID, err)
	}
	pools, err := d.cfg.Store.Pools(v.ctx(), v.account(), store.Page{Limit: 1000})
	if err != nil {
		return fmt.Errorf("list the pools: %w", err)
	}
	for i := range pools {
		if slices.ContainsFunc(pools[i].Members, func(m waypost.PoolMember) bool { return m.Provider == p.ID }) {
			page.Pools = append(page.Pools, pools[i].Name)
		}
	}
	page.Install = d.installLine(orElse(page.Key, "KEY"))
	return d.show(v, "provider", page)
}

func boxUses(s *providerState) (out []boxUse) {
	for box := range waypost.Mailboxes {
		u := boxUse{Name: box.String(), Limit: s.Provider.Settings[box].MaxPerHour, Conns: s.Provider.Settings[box].MaxConnections}
		for _, b := range s.Buckets[box] {
			u.Used += b.N
		}
		for _, p := range s.Pauses {
			if p.Mailbox == box {
				u.Paused = orElse(p.Reason, "no reason was given")
			}
		}
		if u.Limit > 0 {
			u.Share = float64(u.Used) / float64(u.Limit)
		}
		if u.Used > 0 || u.Limit > 0 || u.Conns > 0 || u.Paused != "" {
			out = append(out, u)
		}
	}
	slices.SortStableFunc(out, func(a, b boxUse) int { return b.Used - a.Used })
	return out
}

// replyGroup are replies of the same words.
type replyGroup struct {
	Code  int
	Text  string
	Kind  chip
	Count int
	Last  time.Time
	Link  string
}

// replies groups what servers lately said to mail of a provider: the last
// bounces and drops, and the last attempts of what waits.
func (d *Dash) replies(v *visit, provider int64) ([]replyGroup, error) {
	events, err := d.cfg.Store.ListEvents(v.ctx(), store.EventQuery{
		Account: v.account(), Provider: provider, Limit: 200,
		Types: []waypost.EventType{waypost.CSHardBounced, waypost.CSSoftBounced, waypost.CSDropped},
	})
	if err != nil {
		return nil, fmt.Errorf("list the replies of provider %d: %w", provider, err)
	}
	waiting, err := d.cfg.Store.Waiting(v.ctx(), store.WaitingQuery{Account: v.account(), Provider: provider, Mailbox: waypost.AllMailboxes, Limit: 100})
	if err != nil {
		return nil, fmt.Errorf("list what waits for provider %d: %w", provider, err)
	}
	var out []replyGroup
	index := map[string]int{}
	add := func(code int, text string, kind chip, at time.Time, message waypost.UUID) {
		key := fmt.Sprint(code, kind.Text, sameWords(text))
		i, ok := index[key]
		if !ok {
			i = len(out)
			index[key] = i
			out = append(out, replyGroup{Code: code, Text: text, Kind: kind, Link: "/messages/" + message.String()})
		}
		out[i].Count++
		if at.After(out[i].Last) {
			out[i].Last = at
		}
	}
	for i := range events {
		e := &events[i]
		add(e.Code, e.Text, eventChip(e), e.At, e.Message)
	}
	for i := range waiting {
		if a := waiting[i].Last; a != nil {
			add(a.Code, a.Text, makeChip("info", "to be retried"), a.At, waiting[i].Message.ID)
		}
	}
	slices.SortStableFunc(out, func(a, b replyGroup) int { return b.Count - a.Count })
	return out[:min(len(out), 12)], nil
}

// sameWords is a text without what differs from message to message: digits and
// what stands in angle brackets.
func sameWords(s string) string {
	var b strings.Builder
	deep := 0
	for _, c := range clip(s, 200) {
		switch {
		case c == '<':
			deep++
		case c == '>' && deep > 0:
			deep--
		case deep > 0 || c >= '0' && c <= '9':
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// testProvider tests the connection of a provider as it is stored.
func (d *Dash) testProvider(v *visit) error {
	p, err := d.providerOf(v)
	if err != nil {
		return err
	}
	var result probeResult
	if err := d.callTest(v, http.MethodPost, fmt.Sprintf("/account/tpsp/%d/test", p.ID), nil, &result); err != nil {
		return err
	}
	if v.probing != nil {
		v.probing.result = &result
		return nil
	}
	return d.showProvider(v, p.ID, providerView{Test: &result})
}

func (d *Dash) pauseProvider(v *visit) error {
	return d.pauseOrResume(v, "pause", "paused. Nothing is dropped; messages wait until somebody resumes it")
}
func (d *Dash) resumeProvider(v *visit) error { return d.pauseOrResume(v, "resume", "resumed") }

func (d *Dash) pauseOrResume(v *visit, action, done string) error {
	p, err := d.providerOf(v)
	if err != nil {
		return err
	}
	f := newForm(v.r.PostForm)
	body := map[string]any{"tpspId": p.ID, "mailboxCategory": f.Get("mailbox"), "reason": f.Get("reason")}
	err = d.call(v, 0, http.MethodPost, "/account/queue/"+action, body, nil)
	switch {
	case err == nil && f.Get("mailbox") != "":
		d.say(v, "ok", fmt.Sprintf("%s is %s for %s.", p.Name, done, f.Get("mailbox")))
	case err == nil:
		d.say(v, "ok", p.Name+" is "+done+".")
	case f.refuse(err):
		d.say(v, "bad", f.Message)
	default:
		return err
	}
	return v.redirect(fmt.Sprintf("/providers/%d", p.ID))
}

// rotateKey makes a new key for the agent, shown this once.
func (d *Dash) rotateKey(v *visit) error {
	p, err := d.providerOf(v)
	if err != nil {
		return err
	}
	var made struct {
		Key string `json:"eventIngestionApiKey"`
	}
	if err := d.call(v, 0, http.MethodPost, fmt.Sprintf("/account/tpsp/%d/rotate-key", p.ID), nil, &made); err != nil {
		return err
	}
	return d.showProvider(v, p.ID, providerView{Key: made.Key, KeyTitle: "The new key of its agent; the old one works for 24 hours more"})
}

func (d *Dash) deleteProvider(v *visit) error {
	p, err := d.providerOf(v)
	if err != nil {
		return err
	}
	if err := d.call(v, 0, http.MethodDelete, fmt.Sprintf("/account/tpsp/%d", p.ID), nil, nil); err != nil {
		return err
	}
	d.say(v, "ok", p.Name+" is deleted.")
	return v.redirect("/providers")
}
