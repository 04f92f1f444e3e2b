package dash

import (
	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
)

// mostLinkRows bounds the list of links of a message.
const mostLinkRows = 100

// linkTable is where a message leads to, and who went there.
type linkTable struct {
	Rows    []linkRow
	More    int  // rows that are left out
	Tracked bool // clicks of the message are tracked
}

// linkRow is one URL.
type linkRow struct {
	compose.Link
	State    chip
	Persons  int // clicks
	Machines int // clicks that no person made
}

// Where says in which parts the URL stands.
func (r linkRow) Where() string {
	switch {
	case r.HTML > 0 && r.Text > 0:
		return "HTML and text"
	case r.Text > 0:
		return "text"
	case r.HTML > 0:
		return "HTML"
	}
	return "–"
}

// linksOf lists the links of a mail with the clicks that were recorded. A click
// on a URL that the mail does not have any more, made again, has a row, too.
func linksOf(m *mailView, events []waypost.Event) linkTable {
	t := linkTable{Tracked: m.TrackClicks}
	at := map[string]int{}
	for _, l := range compose.Links([]byte(m.HTML), []byte(m.Text)) {
		at[l.URL] = len(t.Rows)
		t.Rows = append(t.Rows, linkRow{Link: l})
	}
	for i := range events {
		e := &events[i]
		if e.Type != waypost.CSClick || e.Evidence || e.Visit == nil || e.Visit.URL == "" {
			continue
		}
		row, ok := at[e.Visit.URL]
		if !ok {
			row = len(t.Rows)
			at[e.Visit.URL] = row
			t.Rows = append(t.Rows, linkRow{Link: compose.Link{URL: e.Visit.URL}})
		}
		if e.Visit.Machine != "" {
			t.Rows[row].Machines++
		} else {
			t.Rows[row].Persons++
		}
	}
	for i := range t.Rows {
		t.Rows[i].State = linkChip(&t.Rows[i], t.Tracked)
	}
	t.More = max(0, len(t.Rows)-mostLinkRows)
	t.Rows = t.Rows[:len(t.Rows)-t.More]
	return t
}

func linkChip(r *linkRow, tracked bool) chip {
	places := r.HTML + r.Text
	switch {
	case places == 0:
		return makeChip("quiet", "not found any more", "Somebody followed it; the mail, made again, does not have it.")
	case !tracked || r.Tracked == 0:
		return makeChip("quiet", "not tracked")
	case r.Tracked < places:
		return makeChip("info", "tracked in part", "Some of its places ask not to be tracked.")
	}
	return makeChip("ok", "tracked")
}
