package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres/pgtest"
)

// addProviders stores providers without a connection test.
func addProviders(t *testing.T, s store.Store, n int) {
	t.Helper()
	account, err := s.FirstAccount(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Millisecond)
	for i := range n {
		p := waypost.Provider{Account: account.ID, Name: fmt.Sprint("relay ", i), Host: "mail.example.net", Port: 587, Security: "starttls", Auth: "auto", Created: now, Updated: now}
		key := waypost.APIKey{Kind: waypost.KeyIngestion, Hash: secret.HashKey(p.Name), Created: now}
		if err := s.CreateProvider(t.Context(), &p, &key, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRestoredDatabase pauses every provider of a database on PostgreSQL, on a
// host that has the key file only after it is named.
func TestRestoredDatabase(t *testing.T) {
	dir := t.TempDir()
	c := Config{Data: filepath.Join(dir, "old"), Database: pgtest.Start(t), HTTP: "127.0.0.1:0", PublicURL: "http://mail.example.com", Log: slog.New(slog.DiscardHandler)}
	if _, err := Init(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	s, err := openStore(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	addProviders(t, s, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	fresh, now := filepath.Join(dir, "new"), time.Now().Truncate(time.Millisecond)
	if _, err := RestoredDatabase(t.Context(), c.Database, "", fresh, now); err == nil || !strings.Contains(err.Error(), keyName) {
		t.Errorf("without a key file: %v", err)
	}
	r, err := RestoredDatabase(t.Context(), c.Database, filepath.Join(c.Data, keyName), fresh, now)
	if err != nil || len(r.Providers) != 3 || r.Waiting != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if s, err = openStore(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	pauses, err := s.Pauses(t.Context(), 0)
	if err != nil || len(pauses) != 3 {
		t.Fatalf("%v, %v", pauses, err)
	}
	for _, p := range pauses {
		if p.Mailbox != waypost.AllMailboxes || !strings.Contains(p.Reason, "backup") {
			t.Errorf("%+v", p)
		}
	}
}

// TestRestoreKeepsKey: a key file that is there is never replaced by another,
// and what is refused leaves no database.
func TestRestoreKeepsKey(t *testing.T) {
	dir := t.TempDir()
	c := Config{Data: filepath.Join(dir, "data"), HTTP: "127.0.0.1:0", PublicURL: "http://mail.example.com", Log: slog.New(slog.DiscardHandler)}
	if _, err := Init(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	backup, other, fresh := filepath.Join(dir, "backup.db"), filepath.Join(dir, "other.key"), filepath.Join(dir, "fresh")
	if err := Backup(t.Context(), c.Data, backup); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.OpenOrCreate(other); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(fresh, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(fresh, keyName), []byte("one that is there"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), backup, other, fresh, time.Now()); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another key file: %v", err)
	}
	// The same key, as after a restore that was cut short, is no obstacle; the
	// log that another database left is.
	key := filepath.Join(c.Data, keyName)
	again := filepath.Join(dir, "again")
	if err := os.MkdirAll(again, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := copyKey(key, filepath.Join(again, keyName)); err != nil {
		t.Fatal(err)
	}
	wal := filepath.Join(again, databaseName+"-wal")
	if err := os.WriteFile(wal, []byte("of another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), backup, key, again, time.Now()); err == nil || !strings.Contains(err.Error(), "-wal") {
		t.Errorf("beside a log: %v", err)
	}
	if err := os.Remove(wal); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), backup, key, again, time.Now()); err != nil {
		t.Errorf("with the key in place: %v", err)
	}
	if _, err := os.Stat(filepath.Join(fresh, databaseName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the refused database is in place: %v", err)
	}
}
