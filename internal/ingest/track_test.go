package ingest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/track"
)

// TestTrack: the token names the message, and the message says whose event it
// is; what is not known is passed over.
func TestTrack(t *testing.T) {
	w := newWorld(t)
	a, b := w.accept("Ann@reader.example", ""), w.accept("bob@reader.example", "")
	stranger := waypost.NewUUID(w.now)
	hit := func(kind track.Kind, id waypost.UUID, visit waypost.Visit) track.Hit {
		return track.Hit{Kind: kind, Message: id, At: w.now.Add(time.Minute), Visit: visit}
	}
	known, err := w.door.Track(t.Context(), []track.Hit{
		hit(track.Open, a.ID, waypost.Visit{}), hit(track.Click, b.ID, waypost.Visit{URL: "https://a.example/", Link: 2}),
		hit(track.Open, stranger, waypost.Visit{}), hit(track.Unsubscribe, a.ID, waypost.Visit{}),
	})
	if err != nil || known != 3 {
		t.Fatalf("%d known, %v", known, err)
	}
	f := func(m waypost.Message, types ...waypost.EventType) {
		t.Helper()
		trail, err := w.store.Trail(t.Context(), w.account, m.ID)
		if err != nil {
			t.Fatal(err)
		}
		var got []waypost.EventType
		for _, e := range trail.Events {
			if e.Source != waypost.SourceTrack {
				continue
			}
			got = append(got, e.Type)
			if e.SubAccount != w.subAccount || e.Provider != w.provider || e.Recipient != m.Recipient {
				t.Errorf("event %+v is not the message's", e)
			}
		}
		if len(got) != len(types) {
			t.Fatalf("%v, want %v", got, types)
		}
		for i := range types {
			if got[i] != types[i] {
				t.Errorf("%v, want %v", got, types)
			}
		}
	}
	f(a, waypost.CSOpen, waypost.CSUnsubscribe)
	f(b, waypost.CSClick)
	suppressed, err := w.store.Suppressed(t.Context(), w.subAccount, []string{"ann@reader.example", "bob@reader.example"}, w.now)
	if err != nil || len(suppressed) != 1 || suppressed["ann@reader.example"].Reason != waypost.SuppressUnsubscribe || suppressed["ann@reader.example"].Message != a.ID {
		t.Errorf("suppressed %+v, %v", suppressed, err)
	}
	if known, err := w.door.Track(t.Context(), []track.Hit{hit(track.Unsubscribe, stranger, waypost.Visit{})}); known != 0 || err != nil {
		t.Errorf("a stranger's: %d known, %v", known, err)
	}
	if known, err := w.door.Track(t.Context(), nil); known != 0 || err != nil {
		t.Errorf("nothing: %d known, %v", known, err)
	}
}

// TestTrackUnique: of opens and clicks, a person's first is the unique one,
// whatever machines did before, in one batch or in several.
func TestTrackUnique(t *testing.T) {
	w := newWorld(t)
	m := w.accept("ann@reader.example", "")
	machine, person := waypost.Visit{Machine: "head-request"}, waypost.Visit{UserAgent: "a person's"}
	visit := func(hits ...track.Hit) {
		t.Helper()
		for i := range hits {
			hits[i].Message, hits[i].At = m.ID, w.now
		}
		if _, err := w.door.Track(t.Context(), hits); err != nil {
			t.Fatal(err)
		}
	}
	visit(track.Hit{Kind: track.Open, Visit: machine}, track.Hit{Kind: track.Open, Visit: person}, track.Hit{Kind: track.Open, Visit: person})
	visit(track.Hit{Kind: track.Click, Visit: machine})
	visit(track.Hit{Kind: track.Click, Visit: person}, track.Hit{Kind: track.Open, Visit: person})
	visit(track.Hit{Kind: track.Click, Visit: person})
	trail, err := w.store.Trail(t.Context(), w.account, m.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := map[waypost.EventType][]bool{}
	for _, e := range trail.Events {
		if e.Visit != nil {
			got[e.Type] = append(got[e.Type], e.Visit.First)
		}
	}
	want := map[waypost.EventType][]bool{waypost.CSOpen: {false, true, false, false}, waypost.CSClick: {false, true, false}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("unique visits (-want +got):\n%s", diff)
	}
}

// away is a store that cannot be reached, or refuses.
type away struct {
	store.Store
	err error
}

func (a away) Messages(context.Context, []waypost.UUID) (map[waypost.UUID]waypost.Message, error) {
	return nil, a.err
}

// TestTrackLater: only what coming again may mend asks to come again.
func TestTrackLater(t *testing.T) {
	judge, err := bounce.NewJudge()
	if err != nil {
		t.Fatal(err)
	}
	for cause, later := range map[error]bool{store.ErrUnavailable: true, context.DeadlineExceeded: true, errors.New("no such column"): false} {
		_, err := ingest.New(away{err: cause}, judge).Track(t.Context(), []track.Hit{{Kind: track.Open}})
		if !errors.Is(err, cause) || errors.Is(err, track.ErrLater) != later {
			t.Errorf("%v becomes %v", cause, err)
		}
	}
}
