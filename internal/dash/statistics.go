package dash

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var statisticsScreen = screen{Path: "/statistics", Title: "Statistics", Icon: "chart", Routes: []route{
	{"GET /statistics", waypost.RoleViewer, (*Dash).statistics},
	{"GET /statistics.csv", waypost.RoleViewer, (*Dash).statisticsCSV},
}}

// statBy is a way to break the counters down.
type statBy struct {
	Key   string // in addresses, and of the API
	Title string
	What  string // head of the table's first column
	By    store.StatBy
	// Everywhere tells that the counters are not kept by provider.
	Everywhere bool
}

var statBys = []statBy{
	{"day", "By day", "Day", store.StatByAll, false},
	{"provider", "By provider", "Provider", store.StatByProvider, false},
	{"domain", "By sender domain", "Sender domain", store.StatByDomain, true},
	{"mailbox", "By mailbox provider", "Mailbox provider", store.StatByMailbox, false},
	{"code", "By SMTP code", "SMTP code", store.StatByCode, false},
	{"group", "By group", "Group", store.StatByGroup, true},
	{"reason", "By reason", "Reason", store.StatByReason, false},
	{"subaccount", "By sub-account", "Sub-account", store.StatBySubAccount, false},
}

// statRow is one line of the table.
type statRow struct {
	Key  string   `json:"key"`
	Name string   `json:"name"`
	Stat counters `json:"stat"`
	Link string   `json:"-"`
}

// statQuery is what a page of statistics is about.
type statQuery struct {
	By       statBy
	From, To time.Time // both inclusive
	Sub      int64
	Provider int64
}

// statisticsPage is the page.
type statisticsPage struct {
	Form      *form
	Subs      []option
	Providers []option
	Tabs      []statTab
	By        statBy
	Total     counters
	Funnel    *barList
	Reasons   *barList
	Charts    []*chart
	Bottom    []*chart // below the reasons
	Rows      []statRow
	Cut       int // lines that the table leaves out
	CSV       string
	Ignored   string // why a filter does not count here
	Days      int
}

// statTab leads to another breakdown of the same days.
type statTab struct {
	Title, Link string
	At          bool
}

// The bounds of what a page shows; a file has all of it.
const (
	mostStatDays = 366
	mostStatRows = 200
	mostStatLine = 6 // lines of a plot
)

func (d *Dash) statFilters(v *visit, f *form) statQuery {
	q := statQuery{By: statBys[0], Sub: formID(f, "sub"), Provider: formID(f, "provider")}
	for _, b := range statBys {
		if b.Key == f.Get("by") {
			q.By = b
		}
	}
	if q.By.Everywhere {
		q.Provider = 0
	}
	from, until := dateRange(f) // until is the day after the last
	q.To = v.today()
	if !until.IsZero() {
		q.To = until.AddDate(0, 0, -1)
	}
	q.From = q.To.AddDate(0, 0, -13)
	if !from.IsZero() {
		q.From = from
	}
	switch days := int(q.To.Sub(q.From).Hours()/24) + 1; {
	case days < 1:
		f.wrong("until", "This is before the first day.")
	case days > mostStatDays:
		f.wrong("from", fmt.Sprintf("At most %d days at once.", mostStatDays))
	}
	return q
}

func (d *Dash) statistics(v *visit) error {
	f := newForm(v.r.URL.Query())
	q := d.statFilters(v, f)
	p := statisticsPage{Form: f, By: q.By, Days: int(q.To.Sub(q.From).Hours()/24) + 1}
	if q.By.Everywhere && f.Get("provider") != "" {
		p.Ignored = "Counters by sender domain and by group are not kept by provider, so that filter does not count here."
	}
	if err := d.statChoices(v, &p); err != nil {
		return err
	}
	given := v.r.URL.Query()
	p.CSV = "/statistics.csv?" + given.Encode()
	for _, b := range statBys {
		if b.Key == "subaccount" && len(p.Subs) < 3 {
			continue
		}
		to := url.Values{}
		for _, name := range []string{"from", "until", "sub", "provider"} {
			if given.Get(name) != "" {
				to.Set(name, given.Get(name))
			}
		}
		to.Set("by", b.Key)
		p.Tabs = append(p.Tabs, statTab{b.Title, "/statistics?" + to.Encode(), b.Key == q.By.Key})
	}
	if !f.OK() {
		return d.showStatus(v, http.StatusUnprocessableEntity, "statistics", p)
	}
	if f.Get("from") == "" {
		f.Values.Set("from", q.From.Format(time.DateOnly))
	}
	if f.Get("until") == "" {
		f.Values.Set("until", q.To.Format(time.DateOnly))
	}
	if err := d.fillStatistics(v, &q, &p); err != nil {
		return err
	}
	all := slices.Concat(p.Charts, p.Bottom)
	for _, b := range []*barList{p.Funnel, p.Reasons} {
		if b != nil {
			b.CSV = v.fileOf(b.Name)
			all = append(all, b.chart())
		}
	}
	if v.plots(all...) {
		return nil
	}
	return d.show(v, "statistics", p)
}

func (d *Dash) statChoices(v *visit, p *statisticsPage) error {
	subs, err := d.subAccounts(v)
	if err != nil {
		return err
	}
	names, err := d.providerNames(v)
	if err != nil {
		return err
	}
	p.Subs, p.Providers = subOptions(subs), []option{{"", "all"}}
	for _, id := range sortedIDs(names) {
		p.Providers = append(p.Providers, option{strconv.FormatInt(id, 10), names[id]})
	}
	return nil
}

func (d *Dash) fillStatistics(v *visit, q *statQuery, p *statisticsPage) error {
	days, err := d.statDays(v, q)
	if err != nil {
		return err
	}
	sum := map[waypost.Stat]int64{}
	for _, day := range days {
		for s, n := range day.Counts {
			sum[s] += n
		}
	}
	p.Total = counted(sum)
	if p.Rows, err = d.statRows(v, q, days); err != nil {
		return err
	}
	if q.By.Key == "day" {
		if err := d.summarize(v, q, p, days); err != nil {
			return err
		}
		slices.Reverse(p.Rows) // the newest first, as in every list
	} else if len(p.Rows) > 0 {
		c, err := d.statChart(v, q, p.Rows, days)
		if err != nil {
			return err
		}
		p.Charts = []*chart{c}
	}
	if len(p.Rows) > mostStatRows {
		p.Cut, p.Rows = len(p.Rows)-mostStatRows, p.Rows[:mostStatRows]
	}
	for i := range p.Rows {
		p.Rows[i].Link = statLink(q, p.Rows[i].Key)
	}
	return nil
}

// summarize fills in the plots of the first tab.
func (d *Dash) summarize(v *visit, q *statQuery, p *statisticsPage, days []store.DayStats) (err error) {
	p.Charts = append([]*chart{daysChart(days), readChart(days)}, d.rateCharts(days)...)
	p.Funnel = funnel(&p.Total)
	if p.Reasons, err = d.reasons(v, q); err != nil {
		return err
	}
	wait, err := d.waitChart(v, q)
	if err != nil {
		return err
	}
	heat, err := d.heatChart(v, q)
	if err != nil {
		return err
	}
	p.Bottom = []*chart{wait, heat}
	return nil
}

// statDays gives the counters of every day of the range.
func (d *Dash) statDays(v *visit, q *statQuery) ([]store.DayStats, error) {
	found, err := d.cfg.Store.Breakdown(v.ctx(), store.StatQuery{
		Account: v.account(), SubAccount: q.Sub, Provider: q.Provider, From: q.From, To: q.To, By: store.StatByAll, PerDay: true,
	})
	if err != nil {
		return nil, fmt.Errorf("read the counters per day: %w", err)
	}
	var out []store.DayStats
	for day := q.From; !day.After(q.To); day = day.AddDate(0, 0, 1) {
		out = append(out, store.DayStats{Day: day})
	}
	for _, r := range found {
		if i := int(r.Day.Sub(q.From).Hours() / 24); i >= 0 && i < len(out) {
			out[i].Counts = r.Counts
		}
	}
	return out, nil
}

// statRows gives the lines of the table, what counts most first.
func (d *Dash) statRows(v *visit, q *statQuery, days []store.DayStats) ([]statRow, error) {
	var rows []statRow
	if q.By.Key == "day" {
		for _, day := range days {
			rows = append(rows, statRow{Key: day.Day.Format(time.DateOnly), Name: day.Day.Format("Mon 2 Jan 2006"), Stat: counted(day.Counts)})
		}
		return rows, nil
	}
	path := link("/account/stat/breakdown", "by", q.By.Key, "from", q.From.Format(time.DateOnly), "to", q.To.Format(time.DateOnly),
		"subAccountId", strconv.FormatInt(q.Sub, 10), "tpspId", strconv.FormatInt(q.Provider, 10))
	if err := d.call(v, 0, http.MethodGet, path, nil, &rows); err != nil {
		return nil, err
	}
	for i := range rows {
		switch r := &rows[i]; {
		case q.By.Key == "reason":
			r.Name = reasonTitle(r.Key)
		case r.Key == "0" && q.By.Key != "mailbox" && q.By.Key != "group":
			r.Name = "none"
		case r.Name == "":
			r.Name = "deleted (" + r.Key + ")"
		}
	}
	slices.SortStableFunc(rows, func(a, b statRow) int {
		if q.By.Key == "code" || q.By.Key == "reason" {
			return cmp.Compare(b.Stat.All(), a.Stat.All())
		}
		return cmp.Or(cmp.Compare(b.Stat.Processed, a.Stat.Processed), cmp.Compare(b.Stat.All(), a.Stat.All()))
	})
	return rows, nil
}

// statLink leads from a line to its events, where events can be found so.
func statLink(q *statQuery, key string) string {
	from, until := q.From.Format(time.DateOnly), q.To.Format(time.DateOnly)
	more := []string{"from", from, "until", until, "sub", strconv.FormatInt(q.Sub, 10)}
	switch q.By.Key {
	case "day":
		return link("/events", "from", key, "until", key, "sub", strconv.FormatInt(q.Sub, 10), "provider", strconv.FormatInt(q.Provider, 10))
	case "provider", "domain", "code":
		if key != "0" {
			return link("/events", append(more, q.By.Key, key)...)
		}
	case "subaccount":
		return link("/events", "from", from, "until", until, "sub", key)
	}
	return ""
}
