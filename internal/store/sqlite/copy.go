package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// Copy writes the database file at src to the new file dst, as it is at one
// moment, checks the copy page by page and syncs it. A server may have src open
// and goes on meanwhile; its write-ahead log grows until the copy is done. The
// copy is compact, and readable by its owner alone. An error leaves no dst;
// fs.ErrExist when there is one already.
func Copy(ctx context.Context, src, dst string) error {
	src, err := filepath.Abs(src) // in a file: URI, a relative path is none
	if err != nil {
		return fmt.Errorf("database to copy: %w", err)
	}
	if dst, err = filepath.Abs(dst); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	if _, err := os.Stat(src); err != nil {
		return fmt.Errorf("database to copy: %w", err)
	}
	if _, err := os.Lstat(dst); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("copy the database to %s: %w", dst, errors.Join(err, fs.ErrExist))
	}
	part := dst + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what an earlier copy left: %w", err)
	}
	empty, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	if err = empty.Close(); err == nil {
		err = copyInto(ctx, src, part)
	}
	if err == nil {
		err = errors.Join(Sync(part), os.Rename(part, dst), Sync(filepath.Dir(dst)))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("copy %s to %s: %w", src, dst, err), gone(part))
	}
	return nil
}

// copyInto fills an empty file and reads it again.
func copyInto(ctx context.Context, src, part string) error {
	db, err := sql.Open("sqlite", dsn(src, url.Values{"mode": {"rw"}, "_pragma": {"busy_timeout(60000)"}}))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO $1", part)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	copied, err := sql.Open("sqlite", dsn(part, url.Values{"mode": {"ro"}, "immutable": {"1"}}))
	if err != nil {
		return err
	}
	var verdict string
	err = copied.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict)
	if err = errors.Join(err, copied.Close()); err != nil {
		return fmt.Errorf("check the copy: %w", err)
	}
	if verdict != "ok" {
		return fmt.Errorf("the copy is damaged, so the database is: %s", verdict)
	}
	return nil
}

// Sync makes a file, or the names in a directory, durable.
func Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func gone(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
