package dash

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var startScreen = screen{Path: "/start", Title: "First steps", Icon: "flag", Role: waypost.RoleOperator, Routes: []route{
	{"GET /start", waypost.RoleOperator, (*Dash).start},
	{"POST /start/domain", waypost.RoleOperator, (*Dash).startDomain},
	{"POST /start/check", waypost.RoleOperator, (*Dash).startCheck},
	{"POST /start/test", waypost.RoleOperator, (*Dash).startTest},
}}

// setupState is how far an installation is on its way to the first delivered
// mail. It is read off what is there: a step that was undone is open again.
type setupState struct {
	Steps     []step
	Providers []waypost.Provider
	Domain    *waypost.SenderDomain // the first that is not verified, or the first
	Sub       waypost.SubAccount    // whose domain it is, or the default one
	Agentless *waypost.Provider     // the first whose agent never reported
}

// step is one line of the checklist.
type step struct {
	Name  string
	Title string
	Done  bool
	Said  string // what is there, once it is done
}

// Count is how many steps are done.
func (s *setupState) Count() (n int) {
	for _, one := range s.Steps {
		if one.Done {
			n++
		}
	}
	return n
}

// Done tells whether every step is.
func (s *setupState) Done() bool { return s.Count() == len(s.Steps) }

// Next is the first open step.
func (s *setupState) Next() step {
	for _, one := range s.Steps {
		if !one.Done {
			return one
		}
	}
	return step{}
}

func (d *Dash) setupState(v *visit, providers []waypost.Provider, subs []waypost.SubAccount) (setupState, error) {
	s := setupState{Providers: providers}
	for i := range subs {
		if subs[i].Default {
			s.Sub = subs[i]
		}
	}
	relay := step{Name: "provider", Title: "Add your mail server as a provider"}
	if len(providers) > 0 {
		relay.Done, relay.Said = true, providers[0].Name
	}
	domain, err := d.domainStep(v, &s, subs)
	if err != nil {
		return s, err
	}
	agent, err := d.agentStep(v, &s)
	if err != nil {
		return s, err
	}
	test := step{Name: "test", Title: "Send a test mail"}
	if test.Done, err = d.happened(v, waypost.CSSent); err != nil {
		return s, err
	}
	arrived := step{Name: "delivered", Title: "See it delivered"}
	if arrived.Done, err = d.happened(v, waypost.CSDelivered); err != nil {
		return s, err
	}
	s.Steps = []step{relay, domain, agent, test, arrived}
	return s, nil
}

func (d *Dash) domainStep(v *visit, s *setupState, subs []waypost.SubAccount) (step, error) {
	one := step{Name: "domain", Title: "Verify a sender domain"}
	all, err := d.domainsOf(v, subs, 200)
	if err != nil {
		return one, err
	}
	for i := range all {
		dom := &all[i]
		if ready(dom) && !one.Done {
			one.Done, one.Said, s.Domain = true, dom.Name, dom
		}
		if s.Domain == nil {
			s.Domain = dom
		}
	}
	if s.Domain != nil {
		for i := range subs {
			if subs[i].ID == s.Domain.SubAccount {
				s.Sub = subs[i]
			}
		}
	}
	return one, nil
}

// ready tells whether mail of a domain is relayed and signed.
func ready(s *waypost.SenderDomain) bool {
	return s.Verified(waypost.RecordDKIM) && (s.Verified(waypost.RecordReturnPath) || s.Verified(waypost.RecordBounceMX))
}

func (d *Dash) agentStep(v *visit, s *setupState) (step, error) {
	one := step{Name: "agent", Title: "Install the agent beside your mail server"}
	for i := range s.Providers {
		st, err := d.state(v, &s.Providers[i], &queueState{}, nil)
		if err != nil {
			return one, err
		}
		if !st.Seen.LastSeen.IsZero() {
			one.Done, one.Said = true, s.Providers[i].Name+": "+st.Agent.Text
			break
		}
		if s.Agentless == nil {
			s.Agentless = &s.Providers[i]
		}
	}
	return one, nil
}

// happened tells whether the account has an event of a type.
func (d *Dash) happened(v *visit, t waypost.EventType) (bool, error) {
	found, err := d.cfg.Store.ListEvents(v.ctx(), store.EventQuery{Account: v.account(), Types: []waypost.EventType{t}, Limit: 1})
	if err != nil {
		return false, fmt.Errorf("look for a %s event: %w", t, err)
	}
	return len(found) > 0, nil
}

// startPage is the checklist with the forms of its steps.
type startPage struct {
	Setup   *setupState
	Domain  *form
	Test    *form
	Records []recordRow
	Install string // the agent's line, with a place for the key
	Pools   []option
}

func (d *Dash) start(v *visit) error {
	return d.showStart(v, http.StatusOK, startPage{Domain: filled(), Test: filled("to", v.person.Email)})
}

func (d *Dash) showStart(v *visit, status int, p startPage) error {
	providers, err := d.providersOf(v)
	if err != nil {
		return err
	}
	subs, err := d.subAccounts(v)
	if err != nil {
		return err
	}
	setup, err := d.setupState(v, providers, subs)
	if err != nil {
		return err
	}
	p.Setup = &setup
	if p.Setup.Domain != nil {
		p.Records = recordRows(p.Setup.Domain)
		if p.Test != nil && !p.Test.Values.Has("from") {
			p.Test.Values.Set("from", "hello@"+p.Setup.Domain.Name)
		}
	}
	p.Install = d.installLine("KEY")
	pools, err := d.cfg.Store.Pools(v.ctx(), v.account(), store.Page{Limit: 1000})
	if err != nil {
		return fmt.Errorf("list the pools: %w", err)
	}
	for i := range pools {
		p.Pools = append(p.Pools, option{pools[i].Name, pools[i].Name})
	}
	return d.showStatus(v, status, "start", p)
}

// installLine is the one line that installs the agent.
func (d *Dash) installLine(key string) string {
	return "curl -fsSL " + d.cfg.PublicURL + "/agent/install.sh | sudo sh -s -- --api-key " + key
}

func (d *Dash) startDomain(v *visit) error {
	f := newForm(v.r.PostForm)
	sub, err := d.subOf(v, f.Get("sub"))
	if err != nil {
		return err
	}
	err = d.call(v, sub.ID, http.MethodPost, "/subaccount/domain", map[string]string{"name": f.Get("name")}, nil)
	if err != nil {
		if !f.refuse(err, "name") {
			return err
		}
		return d.showStart(v, http.StatusUnprocessableEntity, startPage{Domain: f, Test: filled("to", v.person.Email)})
	}
	return v.redirect("/start#domain")
}

// subOf finds the sub-account that a form names, the default one without.
func (d *Dash) subOf(v *visit, id string) (waypost.SubAccount, error) {
	subs, err := d.subAccounts(v)
	if err != nil {
		return waypost.SubAccount{}, err
	}
	n, _ := strconv.ParseInt(id, 10, 64) // 0 is none
	for i := range subs {
		if subs[i].ID == n || n == 0 && subs[i].Default {
			return subs[i], nil
		}
	}
	return waypost.SubAccount{}, errNoPage
}

func (d *Dash) startCheck(v *visit) error {
	f := newForm(v.r.PostForm)
	sub, err := d.subOf(v, f.Get("sub"))
	if err != nil {
		return err
	}
	id, err := strconv.ParseInt(f.Get("domain"), 10, 64)
	if err != nil {
		return errNoPage
	}
	if err := d.call(v, sub.ID, http.MethodPost, fmt.Sprintf("/subaccount/domain/%d/verify", id), nil, nil); err != nil {
		return err
	}
	d.say(v, "ok", "The records were looked up just now.")
	return v.redirect("/start#domain")
}

// startTest sends a mail and leads to its page.
func (d *Dash) startTest(v *visit) error {
	f := newForm(v.r.PostForm)
	id, err := d.sendTest(v, f)
	if err != nil {
		return err
	}
	if !f.OK() {
		return d.showStart(v, http.StatusUnprocessableEntity, startPage{Domain: filled(), Test: f})
	}
	return v.redirect("/messages/" + id)
}

// sendTest sends the test mail that a form describes, and gives its message's
// id; what the API refused stands in the form.
func (d *Dash) sendTest(v *visit, f *form) (string, error) {
	sub, err := d.subOf(v, f.Get("sub"))
	if err != nil {
		return "", err
	}
	type address struct {
		Email string `json:"email"`
		Name  string `json:"name,omitempty"`
	}
	body := map[string]any{
		"from": address{f.Get("from"), "Waypost test"}, "to": []address{{Email: f.Get("to")}},
		"subject":  "A test from Waypost",
		"textBody": "This mail shows that Waypost can send through your mail server.\n\nIts way is on the page of the message.\n",
		"htmlBody": "<p>This mail shows that Waypost can send through your mail server.</p><p>Its way is on the page of the message.</p>",
	}
	if pool := f.Get("pool"); pool != "" {
		body["ippool"] = pool
	}
	var sent []struct {
		ID      string `json:"messageId"`
		Code    int    `json:"errorCode"`
		Message string `json:"message"`
	}
	if err := d.call(v, sub.ID, http.MethodPost, "/subaccount/email", body, &sent); err != nil {
		if !f.refuse(err) {
			return "", err
		}
		d.placeTest(f)
		return "", nil
	}
	if len(sent) == 0 || sent[0].ID == "" {
		f.Message = "The mail was refused."
		if len(sent) > 0 {
			f.Message = sent[0].Message
		}
		return "", nil
	}
	return sent[0].ID, nil
}

// placeTest puts a refusal beside the field that it is about.
func (*Dash) placeTest(f *form) {
	for field, name := range map[string]string{"from": "from", "to[": "to", "ippool": "pool"} {
		if strings.HasPrefix(f.Message, field) {
			f.wrong(name, f.Message)
			f.Message = ""
			return
		}
	}
}

// recordRow is a DNS record as tables show it.
type recordRow struct {
	waypost.DNSRecord
	State   chip
	Purpose string
	Short   string // the name below the sender domain, as most DNS editors want it
}

var recordWords = map[waypost.RecordKind]string{
	waypost.RecordDKIM: "Signature (DKIM)", waypost.RecordReturnPath: "Return path", waypost.RecordTrack: "Tracking",
	waypost.RecordDMARC: "Policy (DMARC)", waypost.RecordDKIMNext: "Next signature key", waypost.RecordEd25519: "Second signature (Ed25519)",
	waypost.RecordBounceMX: "Return path (MX)", waypost.RecordBounceSPF: "Return path (SPF)",
}

func recordRows(s *waypost.SenderDomain) []recordRow {
	out := make([]recordRow, len(s.Records))
	for i := range s.Records {
		r := recordRow{DNSRecord: s.Records[i], Purpose: orElse(recordWords[s.Records[i].Kind], string(s.Records[i].Kind))}
		r.Short = strings.TrimSuffix(r.Host, "."+s.Name)
		if r.Host == s.Name {
			r.Short = "@"
		}
		switch {
		case r.Verified && r.Failures > 0:
			r.State = makeChip("warn", "verified, now missing", r.Failure)
		case r.Verified:
			r.State = makeChip("ok", "verified")
		case s.CheckedAt.IsZero():
			r.State = makeChip("quiet", "not looked up yet")
		case r.Found != "":
			r.State = makeChip("bad", "says something else")
		default:
			r.State = makeChip("warn", "not found yet")
		}
		out[i] = r
	}
	return out
}
