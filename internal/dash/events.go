package dash

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var eventsScreen = screen{Path: "/events", Title: "Events", Icon: "events", Routes: []route{
	{"GET /events", waypost.RoleViewer, (*Dash).events},
	{"GET /events.csv", waypost.RoleViewer, (*Dash).eventsCSV},
	{"GET /events.ndjson", waypost.RoleViewer, (*Dash).eventsNDJSON},
}}

// eventsPage is a list of events and its filters.
type eventsPage struct {
	Form      *form
	Types     []option
	Providers []option
	Subs      []option
	Domains   []option
	Rows      []eventRow
	Pager     pager
	CSV       string
	NDJSON    string
	Filters   bool
	Tail      string // where the live list asks for what is newer; "" when it is no list of the newest
	After     int64  // the id behind which to ask
	More      int    // how many newer ones an answer to it left out
}

// eventRow is one line of it.
type eventRow struct {
	Event    waypost.Event
	Chip     chip
	Provider string
	Code     string
}

// eventFilters reads the filters of an address. Types are taken by name or
// number, several by commas or by repeating.
func (d *Dash) eventFilters(v *visit, f *form) store.EventQuery {
	q := store.EventQuery{
		Account: v.account(), Limit: perPage + 1, Recipient: waypost.FoldEmail(f.Get("to")),
		Provider: formID(f, "provider"), SubAccount: formID(f, "sub"), Domain: formID(f, "domain"), Before: formID(f, "before"), Code: int(min(formID(f, "code"), 999)),
	}
	q.From, q.To = dateRange(f)
	for _, given := range f.Values["type"] {
		for name := range strings.SplitSeq(given, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			t, ok := waypost.ParseEventType(name)
			if n, err := strconv.ParseInt(name, 10, 16); err == nil {
				t = waypost.EventType(n)
				ok = t.String() != ""
			}
			if !ok {
				f.wrong("type", "There is no such type; they are 58 to 68.")
				continue
			}
			q.Types = append(q.Types, t)
		}
	}
	if id := f.Get("message"); id != "" {
		var err error
		if q.Message, err = waypost.ParseUUID(id); err != nil {
			f.wrong("message", "This is no message id.")
		}
	}
	return q
}

// The live list of events goes on behind an id, and says so when more came than
// it takes. Transactions that are under way at once may end in the other order
// of their ids, so each answer reads the last moments again, and the page leaves
// out what it shows already.
const (
	mostTailed  = 1000            // events in one answer
	tailSettles = 5 * time.Second // for how long an event of a lower id may still appear
)

// tail fills in how the list of the newest events goes on.
func (d *Dash) tail(v *visit, p *eventsPage, q store.EventQuery, list []waypost.Event) error {
	if q.Before != 0 || !q.To.IsZero() && q.To.Before(v.now) {
		return nil
	}
	address := v.r.URL.Query() // what is left out of it is not a filter
	address.Del("after")
	p.Tail = "/events?" + address.Encode()
	p.After = max(q.After, store.EventID(v.now.Add(-tailSettles).UnixMilli(), 0, 0))
	if q.After == 0 && len(list) > perPage { // what is older stands on the next page
		p.After = max(p.After, list[perPage-1].ID)
	}
	if q.After == 0 || len(list) < mostTailed {
		return nil
	}
	q.Limit = 1
	n, err := d.cfg.Store.CountEvents(v.ctx(), q)
	if err != nil {
		return fmt.Errorf("count events: %w", err)
	}
	p.More = max(n-len(list), 0)
	return nil
}

func (d *Dash) events(v *visit) error {
	f := newForm(v.r.URL.Query())
	q := d.eventFilters(v, f)
	if q.After = formID(f, "after"); q.After != 0 {
		q.Limit = mostTailed
	}
	p := eventsPage{Form: f, Filters: filtered(f)}
	names, err := d.eventChoices(v, &p)
	if err != nil {
		return err
	}
	if f.OK() {
		list, err := d.cfg.Store.ListEvents(v.ctx(), q)
		if err != nil {
			return fmt.Errorf("list events: %w", err)
		}
		if err := d.tail(v, &p, q, list); err != nil {
			return err
		}
		shown := perPage
		if q.After != 0 {
			shown = mostTailed
		}
		for i := range list[:min(len(list), shown)] {
			e := &list[i]
			p.Rows = append(p.Rows, eventRow{*e, eventChip(e), names[e.Provider], codes(e.Code, e.Enhanced)})
		}
		p.Pager = pages(v, len(list) > perPage && q.After == 0, func() string { return strconv.FormatInt(list[perPage-1].ID, 10) })
	}
	export := url.Values{}
	for name, values := range v.r.URL.Query() {
		if name != "before" && name != "after" && slices.ContainsFunc(values, func(s string) bool { return s != "" }) {
			export[name] = values
		}
	}
	p.CSV, p.NDJSON = "/events.csv?"+export.Encode(), "/events.ndjson?"+export.Encode()
	return d.show(v, "events", p)
}

func filtered(f *form) bool {
	for _, name := range []string{"type", "provider", "sub", "domain", "to", "message", "code", "from", "until"} {
		if f.Get(name) != "" {
			return true
		}
	}
	return false
}

// eventChoices fills in what the filters offer, and gives the providers' names.
func (d *Dash) eventChoices(v *visit, p *eventsPage) (map[int64]string, error) {
	p.Types = []option{{"", "all"}}
	for _, t := range waypost.EventTypes() {
		if t != waypost.CSDeferred { // never stored
			p.Types = append(p.Types, option{t.String(), fmt.Sprintf("%s (%d)", t, t)})
		}
	}
	providers, err := d.providersOf(v)
	if err != nil {
		return nil, err
	}
	names := map[int64]string{}
	p.Providers = []option{{"", "all"}}
	for i := range providers {
		names[providers[i].ID] = providers[i].Name
		p.Providers = append(p.Providers, option{strconv.FormatInt(providers[i].ID, 10), providers[i].Name})
	}
	subs, err := d.subAccounts(v)
	if err != nil {
		return nil, err
	}
	p.Subs = subOptions(subs)
	domains, err := d.domainsOf(v, subs, 500)
	if err != nil {
		return nil, err
	}
	p.Domains = []option{{"", "all"}}
	for i := range domains {
		p.Domains = append(p.Domains, option{strconv.FormatInt(domains[i].ID, 10), domains[i].Name})
	}
	return names, nil
}

// mostExported bounds an export, in events.
const mostExported = 1_000_000

// export walks all events that an address selects, newest first.
func (d *Dash) export(v *visit, write func(e *waypost.Event) error) error {
	f := newForm(v.r.URL.Query())
	q := d.eventFilters(v, f)
	if !f.OK() {
		return errNoPage
	}
	_ = http.NewResponseController(v.w).SetWriteDeadline(time.Time{}) // it takes as long as it takes
	q.Limit = 1000
	for n := 0; n < mostExported; {
		list, err := d.cfg.Store.ListEvents(v.ctx(), q)
		if err != nil {
			return fmt.Errorf("list events: %w", err)
		}
		for i := range list {
			if err := write(&list[i]); err != nil {
				return nil //nolint:nilerr // the caller is gone
			}
		}
		if n += len(list); len(list) < q.Limit {
			return nil
		}
		q.Before = list[len(list)-1].ID
	}
	return nil
}

func (d *Dash) eventsCSV(v *visit) error {
	v.download("text/csv; charset=utf-8", "events.csv")
	w := csv.NewWriter(v.w)
	if err := w.Write([]string{"id", "time", "type", "name", "message_id", "recipient", "provider", "sub_account", "source", "smtp_code", "enhanced_code", "text", "reason", "queue_id"}); err != nil {
		return nil //nolint:nilerr // the caller is gone
	}
	err := d.export(v, func(e *waypost.Event) error {
		return w.Write([]string{
			strconv.FormatInt(e.ID, 10), e.At.UTC().Format(time.RFC3339Nano), strconv.Itoa(int(e.Type)), e.Type.String(), e.Message.String(), cell(e.Recipient),
			strconv.FormatInt(e.Provider, 10), strconv.FormatInt(e.SubAccount, 10), string(e.Source), strconv.Itoa(e.Code), cell(e.Enhanced), cell(e.Text), cell(string(e.Reason)), cell(string(e.Queue)),
		})
	})
	w.Flush()
	return err
}

// cell keeps a spreadsheet from taking foreign text for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// exported is an event as a line of JSON.
type exported struct {
	ID         string    `json:"eventId"`
	At         time.Time `json:"time"`
	Type       int       `json:"type"`
	Name       string    `json:"name"`
	Message    string    `json:"messageId"`
	Recipient  string    `json:"recipient"`
	Provider   int64     `json:"tpspId,omitempty"`
	SubAccount int64     `json:"subAccountId"`
	Source     string    `json:"source"`
	Code       int       `json:"smtpCode,omitempty"`
	Enhanced   string    `json:"enhancedCode,omitempty"`
	Text       string    `json:"smtpDescription,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Queue      string    `json:"queueId,omitempty"`
}

func (d *Dash) eventsNDJSON(v *visit) error {
	v.download("application/x-ndjson", "events.ndjson")
	enc := json.NewEncoder(v.w)
	return d.export(v, func(e *waypost.Event) error {
		return enc.Encode(exported{
			strconv.FormatInt(e.ID, 10), e.At.UTC(), int(e.Type), e.Type.String(), e.Message.String(), e.Recipient, e.Provider, e.SubAccount,
			string(e.Source), e.Code, e.Enhanced, e.Text, string(e.Reason), string(e.Queue),
		})
	})
}

func (v *visit) download(kind, name string) {
	h := v.w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Cache-Control", "no-store")
}
