package storetest

import (
	"testing"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// visit is a fact about a request to a tracking URL.
func (f *fixture) visit(typ waypost.EventType, m *waypost.Message, first string) store.Fact {
	ev := f.event(typ, m, waypost.SourceTrack)
	ev.Facets = m.Facets()
	ev.Visit = &waypost.Visit{
		URL: "https://example.com/a?b=%C3%A4&c=\"<ü>", Link: 3, IP: "2001:db8::7", UserAgent: "Mozilla/5.0 (X11)", First: true,
	}
	return store.Fact{Event: ev, First: first}
}

// firsts tells of the events of a type, by time of storage, which are firsts.
func (f *fixture) firsts(m *waypost.Message, typ waypost.EventType) []bool {
	f.t.Helper()
	var out []bool
	for _, ev := range f.trail(m.ID).Events {
		if ev.Type == typ {
			out = append(out, ev.Visit != nil && ev.Visit.First)
		}
	}
	return out
}

func testRecordFirst(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ms := f.accept(2, f.now)
	m := &ms[0]
	machine := f.visit(waypost.CSOpen, m, "")
	machine.Event.Visit.Machine = "prefetch"
	f.record(machine)
	// Without a visit there is nothing to mark, and the key is not used up.
	f.record(store.Fact{Event: f.event(waypost.CSDelivered, m, waypost.SourceAgent), First: "open"})
	first := f.visit(waypost.CSOpen, m, "open")
	first.Key = "k"
	f.equal("first", f.record(first), store.Stored)
	f.equal("the same report", f.record(first), store.Duplicate)
	f.record(f.visit(waypost.CSOpen, m, "open"))
	f.equal("opens", f.firsts(m, waypost.CSOpen), []bool{false, true, false})
	// Another key, and the same key of another message.
	f.record(f.visit(waypost.CSClick, m, "click"))
	f.record(f.visit(waypost.CSOpen, &ms[1], "open"))
	if e.Reopen != nil {
		f.s = e.Reopen(t, f.s)
	}
	f.record(f.visit(waypost.CSClick, m, "click"))
	f.equal("clicks", f.firsts(m, waypost.CSClick), []bool{true, false})
	f.equal("of another message", f.firsts(&ms[1], waypost.CSOpen), []bool{true})

	want := machine.Event.Visit
	want.First = false
	for _, ev := range f.events() {
		switch {
		case ev.Type != waypost.CSOpen && ev.Type != waypost.CSClick:
			if ev.Visit != nil {
				t.Fatalf("a %s has the visit %+v", ev.Type, *ev.Visit)
			}
		case ev.Visit == nil:
			t.Fatalf("a %s has no visit", ev.Type)
		case ev.Visit.Machine != "":
			f.equal("a visit read back", *ev.Visit, *want)
		}
	}
	f.equal("counters", f.recount(), map[waypost.Stat]int64{
		waypost.StatProcessed: 2, waypost.StatDelivered: 1, waypost.StatOpened: 4, waypost.StatUniqueOpened: 2,
		waypost.StatClicked: 2, waypost.StatUniqueClicked: 1,
	})
}

// testRecordFirstBatch: of several in one call the first is it, and the
// caller's own values are left alone.
func testRecordFirstBatch(t *testing.T, e Engine) {
	f := newFixture(t, e)
	m := &f.accept(1, f.now)[0]
	facts := []store.Fact{
		f.visit(waypost.CSOpen, m, ""), f.visit(waypost.CSOpen, m, "open"), f.visit(waypost.CSClick, m, "click"), f.visit(waypost.CSOpen, m, "open"),
	}
	_, err := f.s.Record(t.Context(), facts)
	f.ok(err)
	f.equal("opens", f.firsts(m, waypost.CSOpen), []bool{false, true, false})
	f.equal("clicks", f.firsts(m, waypost.CSClick), []bool{true})
	for _, fact := range facts {
		f.equal("the caller's visit", fact.Event.Visit.First, true)
	}
	f.recount()
}
