package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		acceptForever(path)
	}
	goleak.VerifyTestMain(m)
}

func open(tb testing.TB, path string) *DB {
	tb.Helper()
	d, err := Open(tb.Context(), path, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
	})
	return d
}

func TestContract(t *testing.T) {
	storetest.Run(t, storetest.Engine{
		Open: func(t *testing.T) store.Store { return open(t, filepath.Join(t.TempDir(), "waypost.db")) },
		Reopen: func(t *testing.T, s store.Store) store.Store {
			d := s.(*DB)
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, d.path)
		},
	})
}
