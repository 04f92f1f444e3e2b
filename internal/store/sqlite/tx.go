package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// tx is the committer's transaction: what ops write through, and what to undo
// in memory when it is rolled back.
type tx struct {
	db     *DB
	writes int
	undo   []func()
	counts []counted
	heads  []any // rows of headline, and of content_tag
	tags   []any
}

// stmt is the prepared statement of a query on the writing connection.
func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if s := t.db.stmts[query]; s != nil {
		return s, nil
	}
	s, err := t.db.conn.PrepareContext(context.Background(), inOrder(query))
	if err != nil {
		return nil, err
	}
	t.db.stmts[query] = s
	return s, nil
}

// exec runs a statement and gives the number of rows that it changed. A
// statement under way is never interrupted: its caller's context ends the
// waiting, not the work.
func (t *tx) exec(query string, args ...any) (int64, error) {
	s, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	if n > 0 {
		t.writes++
	}
	return n, err
}

// insert runs an INSERT and gives the id of its row.
func (t *tx) insert(query string, args ...any) (int64, error) {
	s, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, taken(err)
	}
	t.writes++
	return res.LastInsertId()
}

// row reads one row into dest; false when there is none.
func (t *tx) row(query string, args []any, dest ...any) (bool, error) {
	s, err := t.stmt(query)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(context.Background(), args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (t *tx) rows(query string, args ...any) (*sql.Rows, error) {
	s, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(context.Background(), args...)
}

// onRollback notes how to take back a change in memory.
func (t *tx) onRollback(f func()) { t.undo = append(t.undo, f) }

func (t *tx) undoTo(mark int) {
	for i := len(t.undo) - 1; i >= mark; i-- {
		t.undo[i]()
	}
	t.undo = t.undo[:mark]
}

func (t *tx) rollback() {
	t.undoTo(0)
	// SQLite may have rolled back by itself, then there is nothing to do.
	_, _ = t.exec("ROLLBACK")
}

// runOp runs one op. An error means that the transaction cannot go on; an
// op's own failure is in o.err and left nothing behind.
func (t *tx) runOp(o *op, savepoint, alone bool) error {
	undo, counts, writes, heads, tags := len(t.undo), len(t.counts), t.writes, len(t.heads), len(t.tags)
	if savepoint {
		if _, err := t.exec("SAVEPOINT op"); err != nil {
			return err
		}
	}
	o.err = o.run(t)
	if o.err == nil {
		if savepoint {
			_, err := t.exec("RELEASE op")
			return err
		}
		return nil
	}
	dirty := t.writes != writes
	if alone || unavailable(o.err) || dirty && !savepoint {
		return o.err
	}
	t.undoTo(undo)
	t.counts, t.heads, t.tags = t.counts[:counts], t.heads[:heads], t.tags[:tags]
	if savepoint {
		if _, err := t.exec("ROLLBACK TO op"); err != nil {
			return err
		}
		_, err := t.exec("RELEASE op")
		return err
	}
	return nil
}
