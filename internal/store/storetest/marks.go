package storetest

import (
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
)

func testMarks(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	end := epoch.Add(time.Hour)
	set := func(name, want, next string, expires, now time.Time) {
		t.Helper()
		f.ok(f.s.ChangeMark(ctx, name, now, func(old []byte) ([]byte, time.Time, error) {
			f.equal("mark "+name+" before the change", string(old), want)
			return []byte(next), expires, nil
		}))
	}
	is := func(name string, now time.Time, want string) {
		t.Helper()
		got, err := f.s.Mark(ctx, name, now)
		if want == "" {
			f.is(err, store.ErrNotFound)
			return
		}
		f.ok(err)
		f.equal("mark "+name, string(got), want)
	}
	is("a", epoch, "")
	set("a", "", "one\x00\xff", end, epoch)
	set("b", "", "two", end.Add(time.Hour), epoch)
	is("a", epoch, "one\x00\xff")
	is("a", end.Add(-time.Millisecond), "one\x00\xff")
	is("a", end, "")
	set("a", "one\x00\xff", "more", end, epoch)
	set("a", "", "anew", end.Add(time.Minute), end) // the old one has ended
	is("a", end, "anew")

	// A change that fails leaves all as it was, and no mark where none was.
	no := errors.New("no")
	for _, name := range []string{"a", "c"} {
		err := f.s.ChangeMark(ctx, name, end, func([]byte) ([]byte, time.Time, error) { return []byte("x"), end.Add(time.Hour), no })
		f.is(err, no)
	}
	is("a", end, "anew")
	is("c", epoch, "")
	if e.Reopen != nil {
		f.s = e.Reopen(t, f.s)
		is("a", end, "anew")
	}
	n, err := f.s.PruneMarks(ctx, end.Add(2*time.Minute), 10)
	f.ok(err)
	f.equal("pruned", n, 1)
	is("a", epoch, "") // though it would live then: the row is gone
	is("b", epoch, "two")
	f.ok(f.s.ChangeMark(ctx, "b", epoch, func([]byte) ([]byte, time.Time, error) { return nil, time.Time{}, nil }))
	is("b", epoch, "")
}

// testMarksTogether: changes at the same time come one after another, whether
// the mark is there or not.
func testMarksTogether(t *testing.T, e Engine) {
	f := newFixture(t, e)
	const hands, times = 8, 5
	var all sync.WaitGroup
	for range hands {
		all.Go(func() {
			for range times {
				err := f.s.ChangeMark(t.Context(), "count", epoch, func(old []byte) ([]byte, time.Time, error) {
					n := 0
					if old != nil {
						var err error
						if n, err = strconv.Atoi(string(old)); err != nil {
							return nil, time.Time{}, err
						}
					}
					return strconv.AppendInt(nil, int64(n+1), 10), epoch.Add(time.Hour), nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got, err := f.s.Mark(t.Context(), "count", epoch)
	f.ok(err)
	f.equal("counted", string(got), strconv.Itoa(hands*times))
}
