package dash

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// messagePage is all that is known of one message.
type messagePage struct {
	Message   waypost.Message
	Status    chip
	Sub       string
	Provider  string
	Domain    *waypost.SenderDomain
	Timeline  []moment
	Waiting   *store.Pending
	Why       explanation
	Content   bool // the person may see it
	Mail      *mailView
	Links     linkTable
	Variables string
	Pool      string
	// Suppressed is why the recipient must not be mailed now; nil when it may.
	Suppressed *waypost.Suppression
}

// moment is one entry of the timeline.
type moment struct {
	At     time.Time
	Chip   chip
	Text   string // a sentence
	Code   string // SMTP code and enhanced status code
	Reply  string
	Facts  []fact
	Gap    time.Duration // since the moment before, when it is worth telling
	Report string        // id of a report that can be read raw
	Ahead  bool          // has not happened yet
	Said   *said         // of a relay attempt; nil when nothing is kept
}

// fact is a small detail of a moment.
type fact struct{ Name, Value string }

// explanation is the API's answer to why a message went where it did.
type explanation struct {
	Pool       string     `json:"ippool"`
	Mailbox    string     `json:"mailboxCategory"`
	Why        string     `json:"why"`
	NextSlot   *time.Time `json:"nextSlot"`
	Candidates []struct {
		ID       int64  `json:"tpspId"`
		Name     string `json:"tpspName"`
		Weight   int    `json:"weight"`
		Usable   bool   `json:"usable"`
		Breaker  string `json:"breaker"`
		Paused   string `json:"paused"`
		Used     int    `json:"usedInHour"`
		Limit    int    `json:"maxRatePerHour"`
		LaneUsed int    `json:"categoryUsedInHour"`
		LaneMost int    `json:"categoryMaxPerHour"`
	} `json:"candidates"`
}

// trailOf reads the message that a request's path names.
func (d *Dash) trailOf(v *visit) (store.Trail, error) {
	id, err := waypost.ParseUUID(v.r.PathValue("id"))
	if err != nil {
		return store.Trail{}, errNoPage
	}
	t, err := d.cfg.Store.Trail(v.ctx(), v.account(), id)
	if err != nil {
		return t, fmt.Errorf("read message %s: %w", id, err)
	}
	return t, nil
}

func (d *Dash) message(v *visit) error {
	t, err := d.trailOf(v)
	if err != nil {
		return err
	}
	p := messagePage{Message: t.Message, Waiting: t.Waiting, Content: may(&v.person, waypost.RoleOperator)}
	names, err := d.providerNames(v)
	if err != nil {
		return err
	}
	p.Provider = names[t.Message.Provider]
	p.Status, _ = standing(t.Events, &t.Message)
	if t.Waiting == nil && p.Status.Text == "waiting" {
		p.Status = makeChip("info", "accepted")
	}
	if sub, err := d.cfg.Store.SubAccount(v.ctx(), v.account(), t.Message.SubAccount); err == nil {
		p.Sub = sub.Name
	}
	if pool, err := d.cfg.Store.Pool(v.ctx(), v.account(), t.Message.Pool); err == nil {
		p.Pool = pool.Name
	}
	if dom, err := d.cfg.Store.Domain(v.ctx(), t.Message.SubAccount, t.Message.Domain); err == nil {
		p.Domain = &dom
	}
	if p.Suppressed, err = d.suppressionOf(v, &t.Message); err != nil {
		return err
	}
	reports, err := d.cfg.Store.ListReports(v.ctx(), store.ReportQuery{Account: v.account(), Message: t.Message.ID, Limit: 50})
	if err != nil {
		return fmt.Errorf("list the reports about message %s: %w", t.Message.ID, err)
	}
	p.Timeline = timeline(&t, reports, names, v.now)
	if err := d.call(v, 0, http.MethodGet, "/account/message/"+t.Message.ID.String()+"/explain", nil, &p.Why); err != nil {
		if _, refused := errors.AsType[*Refusal](err); !refused {
			return err
		}
	}
	if p.Content {
		if p.Mail, err = d.readMail(v, &t.Message); err != nil {
			return err
		}
		p.Links = linksOf(p.Mail, t.Events)
		p.Variables = clip(string(t.Message.Variables), 4000)
	}
	return d.show(v, "message", p)
}

// suppressionOf is the suppression of a message's recipient, nil without one.
func (d *Dash) suppressionOf(v *visit, m *waypost.Message) (*waypost.Suppression, error) {
	email := waypost.FoldEmail(m.Recipient)
	all, err := d.cfg.Store.Suppressed(v.ctx(), m.SubAccount, []string{email}, v.now)
	if err != nil {
		return nil, fmt.Errorf("look up whether the recipient of message %s is suppressed: %w", m.ID, err)
	}
	if s, ok := all[email]; ok {
		return &s, nil
	}
	return nil, nil
}

// suppressRecipient puts the recipient of a message on the suppression list of
// its sub-account.
func (d *Dash) suppressRecipient(v *visit) error {
	t, err := d.trailOf(v)
	if err != nil {
		return err
	}
	m := &t.Message
	entry := map[string]any{"email": m.Recipient, "type": "manual", "text": "suppressed on the page of message " + m.ID.String()}
	err = d.call(v, m.SubAccount, http.MethodPost, "/subaccount/suppression/entry", map[string]any{"entries": []any{entry}}, nil)
	return d.after(v, err, "Nothing more is sent to "+m.Recipient+".", "/messages/"+m.ID.String())
}

// timeline puts everything that happened to a message into one list, newest
// first.
func timeline(t *store.Trail, reports []store.Report, names map[int64]string, now time.Time) []moment {
	var out []moment
	for i := range t.Events {
		m := eventMoment(&t.Events[i], names)
		if e := &t.Events[i]; e.Type == waypost.CSSent && e.Source == waypost.SourceRelay {
			m.Said = saidIn(t.Transcript(e.Attempt))
		}
		out = append(out, m)
	}
	for i := range t.Attempts {
		m := attemptMoment(&t.Attempts[i], names)
		m.Said = saidIn(t.Transcript(t.Attempts[i].N))
		out = append(out, m)
	}
	if f := t.Deferral; f != nil {
		m := moment{At: f.At, Chip: makeChip("info", "deferred"), Code: codes(f.Code, f.Enhanced), Reply: f.Text}
		m.Text = fmt.Sprintf("The mail server still tries: the recipient's server put it off%s.", times(f.Count))
		out = append(out, m)
	}
	for i := range reports {
		out = append(out, reportMoment(&reports[i]))
	}
	slices.SortStableFunc(out, func(a, b moment) int { return a.At.Compare(b.At) })
	for i := 1; i < len(out); i++ {
		if gap := out[i].At.Sub(out[i-1].At); gap >= time.Minute {
			out[i].Gap = gap
		}
	}
	if w := t.Waiting; w != nil {
		m := moment{At: w.Due, Ahead: true, Chip: chip{"info", "clock", "waiting", ""}}
		switch {
		case w.Unknown:
			m.Text = fmt.Sprintf("Waits until %s for the agent's evidence that the last attempt succeeded, then is tried again.", w.Due.UTC().Format("15:04 UTC"))
		case w.Attempt == 0:
			m.Text = "Waits for its first attempt."
		default:
			m.Text = fmt.Sprintf("Attempt %d is due %s.", w.Attempt+1, until(w.Due, now))
		}
		out = append(out, m)
	}
	slices.Reverse(out)
	return out
}

func times(n int) string {
	if n > 1 {
		return fmt.Sprintf(", %d times so far", n)
	}
	return ""
}

func codes(code int, enhanced string) string {
	switch {
	case code == 0:
		return enhanced
	case enhanced == "":
		return fmt.Sprint(code)
	}
	return fmt.Sprintf("%d %s", code, enhanced)
}

func eventMoment(e *waypost.Event, names map[int64]string) moment {
	m := moment{At: e.At, Chip: eventChip(e), Text: tell(e, names[e.Provider]), Code: codes(e.Code, e.Enhanced), Reply: e.Text}
	if e.Source == waypost.SourceSimulator {
		m.Text = "Simulated: " + m.Text
	}
	if e.Evidence {
		m.Text += " It was counted before; this is kept as evidence."
	}
	add := func(name, value string) {
		if value != "" {
			m.Facts = append(m.Facts, fact{name, value})
		}
	}
	add("says", sourceWords[e.Source])
	add("queue id", string(e.Queue))
	add("answered by", e.Relay)
	add("judged by rule", e.Rule)
	if e.Visit != nil {
		add("link", e.Visit.URL)
		add("from", e.Visit.IP)
		add("with", e.Visit.UserAgent)
	}
	return m
}

func attemptMoment(a *waypost.Attempt, names map[int64]string) moment {
	m := moment{At: a.At, Chip: makeChip("warn", fmt.Sprintf("attempt %d failed", a.N)), Code: codes(a.Code, a.Enhanced), Reply: a.Text}
	switch a.Result {
	case waypost.AttemptUnknown:
		m.Chip.Text = fmt.Sprintf("attempt %d: no reply", a.N)
		m.Text = "The connection died between the last byte and the reply: the server may have it or not."
	case waypost.AttemptPermanent:
		m.Text = orElse(names[a.Provider], "The provider") + " refused it for good."
	case waypost.AttemptTransient:
		m.Text = orElse(names[a.Provider], "The provider") + " did not take it."
	case waypost.AttemptSent:
		m.Chip = makeChip("ok", fmt.Sprintf("attempt %d", a.N))
	}
	m.Facts = []fact{{"stage", orElse(a.Stage, "not known")}, {"took", spell(a.Took)}}
	return m
}

func reportMoment(r *store.Report) moment {
	m := moment{At: r.Received, Chip: chip{"quiet", "mail", "a mail came back", ""}, Code: codes(r.Code, r.Enhanced), Reply: r.Text, Report: r.ID.String()}
	m.Text = fmt.Sprintf("Read as: %s, verdict %s; %s.", r.Kind, r.Verdict, orElse(r.Note, string(r.Status)))
	if r.Queue != "" {
		m.Facts = append(m.Facts, fact{"queue id there", string(r.Queue)})
	}
	if r.Reclassified != "" {
		m.Facts = append(m.Facts, fact{"a person's verdict", r.Reclassified})
	}
	return m
}

// reportRaw is a mail that came back, as it came.
func (d *Dash) reportRaw(v *visit) error {
	id, err := waypost.ParseUUID(v.r.PathValue("id"))
	if err != nil {
		return errNoPage
	}
	r, err := d.cfg.Store.Report(v.ctx(), v.account(), id)
	if err != nil {
		return fmt.Errorf("read report %s: %w", id, err)
	}
	return v.plain(r.Raw, "")
}

// plain answers with bytes from outside as text that no browser takes for
// anything else; with a filename they are a download.
func (v *visit) plain(b []byte, filename string) error {
	h := v.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	if filename != "" {
		h.Set("Content-Disposition", `attachment; filename="`+filename+`"`)
	}
	_, _ = v.w.Write(b) // the caller may be gone
	return nil
}
