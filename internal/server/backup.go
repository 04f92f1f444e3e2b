package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
)

const (
	databaseName = "waypost.db"
	keyName      = "secret.key"
)

// Backup writes the SQLite database of a data directory to the file to, while a
// server may go on with it.
func Backup(ctx context.Context, data, to string) error {
	err := sqlite.Copy(ctx, filepath.Join(data, databaseName), to)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w; name a file that is not there yet", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; --data names the directory of a server on SQLite, and the directory of the backup must be there. With PostgreSQL, use pg_dump", err)
	}
	return err
}

// Restored tells what a restored installation holds.
type Restored struct {
	Waiting   int      // messages that are due again; at most 100,000 are counted
	Providers []string // names of those that were paused
}

// Restore makes a data directory of a backup and a key file, and pauses every
// provider: what waited when the backup was made may have been relayed since,
// and would be sent a second time. It refuses a directory that has a database.
// The database gets its name last, so a server that starts after an unfinished
// Restore never finds one whose providers relay.
func Restore(ctx context.Context, backup, keyFile, data string, now time.Time) (Restored, error) {
	for _, name := range []string{databaseName, databaseName + "-wal"} { // SQLite would read a log that was left into the restored database
		if _, err := os.Lstat(filepath.Join(data, name)); !errors.Is(err, fs.ErrNotExist) {
			return Restored{}, errors.Join(err, fmt.Errorf("there is a database in %s already: restore into an empty directory, or move %s and the files beside it away first", data, filepath.Join(data, name)))
		}
	}
	work := filepath.Join(data, "restoring")
	if err := os.RemoveAll(work); err != nil {
		return Restored{}, fmt.Errorf("remove what an earlier restore left: %w", err)
	}
	if err := os.MkdirAll(work, 0o700); err != nil {
		return Restored{}, fmt.Errorf("make data directory: %w", err)
	}
	out, err := restoreIn(ctx, work, backup, keyFile, data, now)
	return out, errors.Join(err, os.RemoveAll(work))
}

// restoreIn does the work in a directory of its own, then moves the key file
// and the database to where a server looks for them.
func restoreIn(ctx context.Context, work, backup, keyFile, data string, now time.Time) (Restored, error) {
	key := filepath.Join(data, keyName)
	if err := copyKey(cmp.Or(keyFile, key), filepath.Join(work, keyName)); err != nil {
		return Restored{}, err
	}
	database := filepath.Join(work, databaseName)
	switch err := sqlite.Copy(ctx, backup, database); {
	case errors.Is(err, fs.ErrNotExist):
		return Restored{}, fmt.Errorf("%w; name a file that waypost backup made", err)
	case err != nil:
		return Restored{}, err
	}
	_, s, err := open(ctx, &Config{Data: work})
	if err != nil {
		return Restored{}, fmt.Errorf("open the restored database: %w", err)
	}
	out, err := pauseAll(ctx, s, now)
	if err = errors.Join(err, s.Close()); err != nil {
		return Restored{}, err
	}
	if keyFile != "" {
		if err := copyKey(keyFile, key); err != nil {
			return Restored{}, err
		}
	}
	if err := os.Rename(database, filepath.Join(data, databaseName)); err != nil {
		return Restored{}, fmt.Errorf("put the restored database in its place: %w", err)
	}
	return out, sqlite.Sync(data)
}

// RestoredDatabase pauses every provider of a database on PostgreSQL that was
// restored by that database's own means, for the reason that [Restore] gives.
// No node may be running.
func RestoredDatabase(ctx context.Context, database, keyFile, data string, now time.Time) (Restored, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return Restored{}, fmt.Errorf("make data directory: %w", err)
	}
	if keyFile != "" {
		if err := copyKey(keyFile, filepath.Join(data, keyName)); err != nil {
			return Restored{}, err
		}
	}
	_, s, err := open(ctx, &Config{Data: data, Database: database})
	if err != nil {
		return Restored{}, err
	}
	out, err := pauseAll(ctx, s, now)
	return out, errors.Join(err, s.Close())
}

// copyKey copies a key file to a new file that its owner alone may read. The
// same key may be there already, another one is not replaced.
func copyKey(from, to string) error {
	text, err := os.ReadFile(from)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("key file: %w; the backup's passwords and DKIM keys need the key file of its installation: name it with --key-file", err)
	case err != nil:
		return fmt.Errorf("key file: %w", err)
	}
	if there, err := os.ReadFile(to); err == nil && bytes.Equal(there, text) {
		return nil
	}
	if err := writeNew(to, text); err != nil {
		return fmt.Errorf("%w; move a key file of another installation away first", err)
	}
	return nil
}

// writeNew writes a file that only its owner may read, and that was not there.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func pauseAll(ctx context.Context, s store.Store, now time.Time) (Restored, error) {
	var out Restored
	account, err := s.FirstAccount(ctx)
	if err != nil {
		return out, fmt.Errorf("the backup holds no installation: %w", err)
	}
	if out.Waiting, err = s.Depth(ctx); err != nil {
		return out, fmt.Errorf("count what waits: %w", err)
	}
	const page = 1000
	for offset := 0; ; offset += page {
		list, err := s.Providers(ctx, account.ID, store.Page{Limit: page, Offset: offset})
		if err != nil {
			return out, fmt.Errorf("list the providers: %w", err)
		}
		for i := range list {
			if err := s.SetPause(ctx, waypost.Pause{
				Account: account.ID, Provider: list[i].ID, Mailbox: waypost.AllMailboxes, At: now,
				Reason: "restored from a backup: what waits may have been relayed since it was made; cancel that, then resume",
			}); err != nil {
				return out, fmt.Errorf("pause provider %s: %w", list[i].Name, err)
			}
			out.Providers = append(out.Providers, list[i].Name)
		}
		if len(list) < page {
			break
		}
	}
	if err := s.AddAudit(ctx, &waypost.Audit{
		Account: account.ID, At: now, Actor: "cli", Action: "installation.restore", Object: "installation",
		Text: fmt.Sprintf("restored from a backup; %d messages wait, %d providers paused", out.Waiting, len(out.Providers)),
	}); err != nil {
		return out, fmt.Errorf("note it in the audit log: %w", err)
	}
	return out, nil
}
