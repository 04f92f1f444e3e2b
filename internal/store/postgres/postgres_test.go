package postgres

import (
	"flag"
	"testing"

	"go.uber.org/goleak"

	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres/pgtest"
	"github.com/waypost-mail/waypost/internal/store/storetest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Each step of a property is a transaction on disk: a quarter of the usual
	// number of cases, unless asked for another.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("25")
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, url string) *DB {
	t.Helper()
	d, err := Open(t.Context(), url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestConformance(t *testing.T) {
	urls := map[store.Store]string{}
	storetest.Run(t, storetest.Engine{
		Open: func(t *testing.T) store.Store {
			url := pgtest.Start(t)
			d := open(t, url)
			urls[d] = url
			return d
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			url := urls[s]
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			d := open(t, url)
			urls[d] = url
			return d
		},
	})
}
