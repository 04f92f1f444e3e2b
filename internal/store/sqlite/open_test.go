package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "waypost.db")
	d := open(t, path)
	second, err := Open(t.Context(), path, Options{})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Fatalf("second open: %v, %v", second, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestSettings(t *testing.T) {
	// A name that a URL must escape.
	d := open(t, filepath.Join(t.TempDir(), "way post?#%41.db"))
	for pragma, want := range map[string]string{
		"page_size": "16384", "journal_mode": "wal", "synchronous": "2", "foreign_keys": "0", "busy_timeout": "10000",
	} {
		var got string
		err := d.do(t.Context(), "ask", 0, func(tx *tx) error {
			return tx.db.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got)
		})
		if err != nil || got != want {
			t.Errorf("%s is %s, want %s (%v)", pragma, got, want, err)
		}
	}
	if _, err := d.read.db.Exec("DELETE FROM pulse"); err == nil {
		t.Error("a reader could write")
	}
}

func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "waypost.db")
	d := open(t, path)
	err := d.do(t.Context(), "pretend", 0, func(tx *tx) error {
		_, err := tx.exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9000, 1)")
		return err
	})
	if err = errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Options{}); err == nil || !strings.Contains(err.Error(), "9000") || !strings.Contains(err.Error(), path) {
		t.Fatalf("a newer schema: %v", err)
	}
}

// TestOwnFile: nobody but the owner reads the database and the files beside it,
// whatever the umask.
func TestOwnFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "waypost.db")
	d := open(t, path)
	if err := d.Accept(t.Context(), benchCall(rand.NewChaCha8([32]byte{}), 1)); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %04o", path+suffix, info.Mode().Perm())
		}
	}
}

// TestStrangeFiles: a file that is no database of ours is left as it is, and
// the error says what to do.
func TestStrangeFiles(t *testing.T) {
	dir := t.TempDir()
	f := func(name string, make func(path string), want string) {
		t.Helper()
		path := filepath.Join(dir, name)
		make(path)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d, err := Open(t.Context(), path, Options{})
		if err == nil {
			_ = d.Close()
			t.Fatalf("%s was opened", name)
		}
		if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want %q", name, err, want)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
			t.Errorf("%s was changed (%v)", name, err)
		}
	}
	f("text", func(path string) {
		if err := os.WriteFile(path, []byte(strings.Repeat("no database at all\n", 500)), 0o600); err != nil {
			t.Fatal(err)
		}
	}, "restore a backup")
	f("foreign", func(path string) {
		db, err := sql.Open("sqlite", dsn(path, url.Values{}))
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.ExecContext(t.Context(), "CREATE TABLE bookmark (id INTEGER PRIMARY KEY, url TEXT)")
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}, "another program")
	f("damaged", func(path string) {
		d, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copy(b[100:], bytes.Repeat([]byte{0x5a}, 16_000)) // the first page's tree, behind the file's head
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}, "damaged")
}

func TestVersion(t *testing.T) {
	for version, ok := range map[string]bool{"3.51.2": false, "3.51.3": true, "3.52.0": true, "4.0.0": true, "2.99.99": false, "": false} {
		if err := checkVersion(version); (err == nil) != ok {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestClosed(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "waypost.db"))
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Fatal(err)
	}
	if err := d.Accept(t.Context(), benchCall(rand.NewChaCha8([32]byte{}), 1)); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("accept after close: %v", err)
	}
}

// TestClockBack: event ids ascend although the clock steps back, also over a
// restart.
func TestClockBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "waypost.db")
	r := rand.NewChaCha8([32]byte{1})
	last := int64(0)
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 4 {
		now := at.Add(-time.Duration(i) * time.Hour)
		d, err := Open(t.Context(), path, Options{Now: func() time.Time { now = now.Add(-time.Second); return now }})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := d.Accept(t.Context(), benchCall(r, 2)); err != nil {
				t.Fatal(err)
			}
			all, err := d.ListEvents(t.Context(), store.EventQuery{Account: 1, Limit: 2})
			if err != nil || len(all) != 2 {
				t.Fatal(all, err)
			}
			if all[1].ID <= last || all[0].ID <= all[1].ID {
				t.Fatalf("ids %d, %d after %d", all[1].ID, all[0].ID, last)
			}
			last = all[0].ID
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPlans keeps the hot queries on their indexes: each must be a search by
// all the columns named, and never sort.
func TestPlans(t *testing.T) {
	d := open(t, filepath.Join(t.TempDir(), "waypost.db"))
	events := func(q store.EventQuery) string {
		f, index := eventFilter(&q)
		return walk(f, index, []waypost.EventType{waypost.CSSent}, 10)
	}
	to := func() string {
		q := store.EventQuery{Account: 1, Recipient: "a@example.com"}
		f, _ := eventFilter(&q)
		narrow(f, &q)
		return "SELECT id FROM event INDEXED BY event_message" + f.where()
	}
	for query, want := range map[string]string{
		events(store.EventQuery{Account: 1}):                             "SEARCH event USING COVERING INDEX event_list (account=? AND type=? AND id>? AND id<?)",
		events(store.EventQuery{Account: 1, SubAccount: 2}):              "SEARCH event USING INDEX event_sub_account (sub_account=? AND type=? AND id>? AND id<?)",
		events(store.EventQuery{Account: 1, SubAccount: 3, Provider: 2}): "SEARCH event USING INDEX event_provider (provider=? AND type=? AND id>? AND id<?)",
		events(store.EventQuery{Account: 1, Domain: 2}):                  "SEARCH event USING INDEX event_domain (domain=? AND type=? AND id>? AND id<?)",
		events(store.EventQuery{Account: 1, Domain: 2, Code: 550}):       "SEARCH event USING INDEX event_code (account=? AND code=? AND type=? AND id>? AND id<?)",
		to():           "SEARCH t USING PRIMARY KEY (bucket=? AND hash=?)",
		selectLaneRows: "SEARCH q USING PRIMARY KEY (provider=? AND mailbox=? AND due>?)",
		selectWaiting + " AND q.provider = $4 AND q.mailbox = $5" + waitingPage: "SEARCH q USING PRIMARY KEY (provider=? AND mailbox=?)",
		nextLane:     "SEARCH queue USING PRIMARY KEY ((provider,mailbox,due)>(?,?,?))",
		selectClaim:  "SEARCH queue USING PRIMARY KEY (provider=? AND mailbox=? AND (due,message)>(?,?))",
		selectQueued: "SEARCH q USING INDEX queue_message (message=?)",
	} {
		rows, err := d.read.db.Query("EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "$"))...)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := collect(rows, "plan", func(row scanner, line *string) error {
			var a, b, c int
			return row.Scan(&a, &b, &c, line)
		})
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(plan, "\n")
		if !strings.Contains(text, want) || strings.Contains(text, "USE TEMP B-TREE") {
			t.Errorf("%s\nplan:\n%s\nwant %s", query, text, want)
		}
	}
}
