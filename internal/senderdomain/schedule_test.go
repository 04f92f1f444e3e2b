package senderdomain

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func TestNextCheck(t *testing.T) {
	at := func(age time.Duration, good ...waypost.RecordKind) time.Duration {
		d := testDomain(t, Config{})
		now := d.Created.Add(age)
		d.CheckedAt = now
		for i := range d.Records {
			d.Records[i].Verified = slices.Contains(good, d.Records[i].Kind)
		}
		return NextCheck(d, now).Sub(now)
	}
	all := []waypost.RecordKind{waypost.RecordDKIM, waypost.RecordReturnPath, waypost.RecordTrack, waypost.RecordDMARC}
	for _, tc := range []struct {
		age  time.Duration
		good []waypost.RecordKind
		want time.Duration
	}{
		{0, nil, 5 * time.Minute},
		{48*time.Hour - 1, nil, 5 * time.Minute},
		{48 * time.Hour, nil, time.Hour},
		{time.Hour, all[:2], 5 * time.Minute}, // tracking and DMARC are still awaited
		{time.Hour, all, 24 * time.Hour},
		{72 * time.Hour, all[:2], 24 * time.Hour},
		{72 * time.Hour, all[:1], time.Hour}, // cannot send yet
		{72 * time.Hour, all[1:], time.Hour},
	} {
		if got := at(tc.age, tc.good...); got != tc.want {
			t.Errorf("age %s, %v verified: %s, want %s", tc.age, tc.good, got, tc.want)
		}
	}
	if d := testDomain(t, Config{}); !NextCheck(d, testNow).Equal(testNow) {
		t.Error("a new domain is due at once")
	}
}

// shelf is a store.Domains in memory, as far as the schedule goes: the real
// engines live on the same floor.
type shelf struct {
	otherMethods

	mu    sync.Mutex
	rows  map[int64]waypost.SenderDomain
	fail  error // of the next calls
	saved chan waypost.SenderDomain
}

type otherMethods = store.Domains

func newShelf(domains ...*waypost.SenderDomain) *shelf {
	s := &shelf{rows: map[int64]waypost.SenderDomain{}, saved: make(chan waypost.SenderDomain, 1000)}
	for i, d := range domains {
		d.ID = int64(i + 1)
		s.rows[d.ID] = *d
	}
	return s
}

func (s *shelf) DomainsDue(_ context.Context, now time.Time, limit int) ([]waypost.SenderDomain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	var due []waypost.SenderDomain
	for _, d := range s.rows {
		if !d.NextCheck.After(now) {
			d.Records = slices.Clone(d.Records)
			due = append(due, d)
		}
	}
	slices.SortFunc(due, func(a, b waypost.SenderDomain) int { return cmp.Compare(a.ID, b.ID) })
	return due[:min(len(due), limit)], nil
}

func (s *shelf) ChangeDomain(_ context.Context, subAccount, id int64, change func(*waypost.SenderDomain) error) (waypost.SenderDomain, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.rows[id]
	if !ok || d.SubAccount != subAccount {
		return d, store.ErrNotFound
	}
	if s.fail != nil {
		return d, s.fail
	}
	d.Records, d.Keys = slices.Clone(d.Records), slices.Clone(d.Keys)
	if err := change(&d); err != nil {
		return d, err
	}
	s.rows[id] = d
	s.saved <- d
	return d, nil
}

func (s *shelf) set(fail error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// TestRunSchedule runs days in a moment. Its domain has no records, so that
// no socket is needed: it is checked hourly, being unverified.
func TestRunSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &waypost.SenderDomain{Name: "shop.example", Created: time.Now(), NextCheck: time.Now()}
		s := newShelf(d)
		var text strings.Builder
		checker := NewChecker(s, &Resolver{}, Config{}, slog.New(slog.NewTextHandler(&text, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- checker.Run(ctx) }()

		time.Sleep(10*time.Hour - time.Minute)
		synctest.Wait()
		if n := len(s.saved); n != 10 {
			t.Errorf("%d checks in ten hours, want 10", n)
		}
		s.set(errors.New("disk on fire"))
		time.Sleep(time.Minute)
		s.set(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(s.saved); n != 11 {
			t.Errorf("%d checks, want 11: storage is back", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !strings.Contains(text.String(), "disk on fire") {
			t.Errorf("log: %s", &text)
		}
	})
}

// TestRun checks more than a batch of domains against a server.
func TestRun(t *testing.T) {
	z := startZone(t)
	c := testConfig(z.addr)
	first := testDomain(t, c)
	z.set(t, right(first)...)
	domains := []*waypost.SenderDomain{first}
	for range batchSize + 10 {
		other := *first
		other.Records = slices.Clone(first.Records)
		domains = append(domains, &other)
	}
	s := newShelf(domains...)
	checker := newTestChecker(t, c)
	checker.store = s
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- checker.Run(ctx) }()
	for range domains {
		if d := <-s.saved; !d.Verified(waypost.RecordDKIM) || !d.NextCheck.After(time.Now()) {
			t.Errorf("%+v", d)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestCheckAndSaveDeleted: a domain deleted meanwhile is no trouble.
func TestCheckAndSaveDeleted(t *testing.T) {
	checker := NewChecker(newShelf(), &Resolver{}, Config{}, slog.New(slog.DiscardHandler))
	if !checker.checkAndSave(t.Context(), &waypost.SenderDomain{ID: 9}) {
		t.Error("reported as trouble")
	}
}
