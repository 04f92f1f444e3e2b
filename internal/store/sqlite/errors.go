package sqlite

import (
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/waypost-mail/waypost/internal/store"
)

// code is SQLite's primary result code, 0 when err is none of SQLite's.
func code(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// unavailable tells whether SQLite cannot work for now: the same call may
// succeed later.
func unavailable(err error) bool {
	switch code(err) {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN,
		lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_NOMEM, lib.SQLITE_PROTOCOL:
		return true
	default:
		return false
	}
}

// wrap names the act that failed and turns SQLite's codes into the contract's
// errors.
func wrap(act string, err error) error {
	switch {
	case err == nil:
		return nil
	case unavailable(err):
		return fmt.Errorf("%s: %w: %w", act, store.ErrUnavailable, err)
	default:
		return fmt.Errorf("%s: %w", act, err)
	}
}

// taken turns a broken uniqueness into ErrExists.
func taken(err error) error {
	var e *driver.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY:
		return store.ErrExists
	default:
		return err
	}
}

// refused says what to do about a file that cannot be opened as a database.
func refused(path string, err error) error {
	switch code(err) {
	case lib.SQLITE_NOTADB:
		return fmt.Errorf("%w: the file is no database, or its beginning is damaged; restore a backup of %s, or move it away to begin anew", err, path)
	case lib.SQLITE_CORRUPT:
		return fmt.Errorf("%w: the database is damaged; restore a backup of %s together with the files beside it, or save what can be read with sqlite3 %s .recover", err, path, path)
	case lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY:
		return fmt.Errorf("%w: this user may not write %s or its directory, or the disk is read-only; start the server as the owner of the files", err, path)
	case lib.SQLITE_FULL:
		return fmt.Errorf("%w: free some space on the disk of %s", err, path)
	}
	return err
}
