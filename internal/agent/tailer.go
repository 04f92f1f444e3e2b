package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// readBuffer is how much of a log is read at once, in bytes: twice the longest
// line a parser looks at, and little enough to be still in the processor's
// cache when the lines are parsed.
const readBuffer = 128 << 10

// Tailer follows a log through rotation by renaming (with or without
// compression), by copying and truncating, through deletion and re-creation,
// and from where an earlier run stopped. It is not safe for concurrent use.
type Tailer struct {
	path   string
	cur    *source   // nil while the log does not exist
	next   []*source // newer files still to be read, oldest first; the last may be the live log
	before *Position // the end of the file read before cur
	buf    []byte
	stats  TailStats
}

// TailStats counts what a tailer met.
type TailStats struct {
	Cut        int64 // lines longer than the buffer, dropped
	Rotations  int64
	Truncation int64
	Broken     int64 // archives that could not be unzipped to their end
	Relocated  int64 // times the position was not found again and files were read anew
}

// Follow opens a log. With a position it goes on from there, through every
// archive since; without one it starts at the end of the file, or at its
// beginning when fromStart is set. A log that does not exist yet is no error:
// Read says so until it appears.
func Follow(path string, p *Position, fromStart bool) (*Tailer, error) {
	t := &Tailer{path: path, buf: make([]byte, readBuffer+tailBytes)}
	if p != nil {
		if err := t.resume(p); err != nil {
			return nil, err
		}
		return t, nil
	}
	s, err := openSource(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	t.cur = s
	if !fromStart {
		if err := t.toEnd(); err != nil {
			t.Close()
			return nil, err
		}
	}
	return t, nil
}

// toEnd moves to the start of the last line when that is unfinished, else to
// the end.
func (t *Tailer) toEnd() error {
	size := t.cur.size()
	back := min(size, readBuffer)
	if _, err := t.cur.file.ReadAt(t.buf[:back], size-back); err != nil {
		return fmt.Errorf("read the end of log %s: %w", t.path, err)
	}
	for back > 0 && t.buf[back-1] != '\n' {
		back--
		size--
	}
	if back == 0 && size > 0 {
		size = t.cur.size() // one line without an end: skip it
	}
	_, err := t.cur.seek(size)
	return err
}

// resume finds the place again.
func (t *Tailer) resume(p *Position) error {
	at, newer, err := find(t.path, p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the place reached in log %s: %w", t.path, err)
	}
	t.before = p.Before
	switch {
	case at != nil:
		t.cur, t.next = at, newer
	case len(newer) > 0:
		t.stats.Relocated++
		t.cur, t.next, t.before = newer[0], newer[1:], nil
	}
	return nil
}

// Read gives the next whole lines; the bytes are good until the next call.
// Nothing means that the end was reached for now. The error wraps
// [fs.ErrNotExist] while there is no log.
func (t *Tailer) Read() ([]byte, error) {
	for {
		if t.cur == nil {
			s, err := openSource(t.path)
			if err != nil {
				return nil, err
			}
			t.cur = s
		}
		lines, err := t.read(false)
		if errors.Is(err, errReplaced) {
			if err := t.replaced(); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil && t.cur.unzip != nil && len(t.next) > 0 {
			t.stats.Broken++ // what it held is lost to us
			t.advance(t.next)
			continue
		}
		if err != nil || len(lines) > 0 {
			return lines, err
		}
		moved, err := t.turn()
		if err != nil || len(moved) > 0 {
			return moved, err
		}
		if moved == nil {
			return nil, nil
		}
	}
}

func (t *Tailer) read(final bool) ([]byte, error) {
	lines, cut, err := t.cur.read(t.buf, final)
	t.stats.Cut += int64(cut)
	return lines, err
}

// turn goes on to the next file when the current one is finished. It gives the
// last lines of the finished file, an empty non-nil slice when there are none,
// and nil when the current file is still the one to wait for.
func (t *Tailer) turn() ([]byte, error) {
	if len(t.next) == 1 && t.next[0].size() == 0 {
		closeAll(t.next) // it may itself be rotated away before anything is written
		t.next = nil
	}
	if len(t.next) == 0 && !t.rotated() {
		return nil, nil
	}
	next := t.next
	if len(next) == 0 {
		p := t.Position()
		at, newer, err := find(t.path, &p)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, nil
			}
			return nil, err
		}
		at.close()
		next = newer
	}
	if len(next) == 0 {
		return nil, nil
	}
	// The writer may still hold the old file: only its first line in a newer
	// one tells that it has let go.
	if t.cur.unzip == nil && len(next) == 1 && next[0].size() == 0 {
		closeAll(next)
		return nil, nil
	}
	lines, err := t.read(true)
	if errors.Is(err, errReplaced) {
		lines, err = nil, nil
	}
	if err != nil {
		closeAll(next)
		t.next = nil
		return nil, err
	}
	if len(lines) > 0 && lines[len(lines)-1] == '\n' {
		t.next = next // it had more after all: come back for the rest
		return lines, nil
	}
	if lines == nil {
		lines = []byte{}
	}
	t.advance(next)
	return lines, nil
}

// advance makes the first of next the current file.
func (t *Tailer) advance(next []*source) {
	end := t.cur.position(nil)
	t.cur.close()
	t.cur, t.next, t.before = next[0], next[1:], &end
	t.stats.Rotations++
}

// rotated reports whether the log's name leads to another, non-empty file now.
func (t *Tailer) rotated() bool {
	info, err := os.Stat(t.path)
	if err != nil {
		return false // in the middle of a rotation, or deleted: wait
	}
	dev, inode := fileID(info)
	return info.Size() > 0 && (t.cur.unzip != nil || dev != t.cur.dev || inode != t.cur.inode)
}

// replaced deals with a truncated file: what was not read of it is in the copy
// that logrotate made; then the file is read from its start.
func (t *Tailer) replaced() error {
	p := t.Position()
	at, newer, err := find(t.path, &p)
	if err != nil {
		return fmt.Errorf("find the copy of the truncated log: %w", err)
	}
	t.stats.Truncation++
	closeAll(t.next)
	end := t.cur.position(nil)
	t.cur.close()
	t.before = &end
	switch {
	case at != nil:
		t.cur, t.next, t.before = at, newer, p.Before
	case len(newer) > 0:
		t.cur, t.next = newer[0], newer[1:]
	default:
		t.cur, t.next = nil, nil
	}
	return nil
}

// Place names the file being read and how many bytes of it were read.
func (t *Tailer) Place() (file string, offset int64) {
	if t.cur == nil {
		return t.path, 0
	}
	return t.cur.name, t.cur.offset
}

// Position is the place behind the lines given so far.
func (t *Tailer) Position() Position {
	if t.cur == nil {
		return Position{File: t.path, Before: t.before.alone()}
	}
	return t.cur.position(t.before)
}

// Open reports whether there is a file to read.
func (t *Tailer) Open() bool { return t.cur != nil }

// Lag is how many bytes are written but not read, as far as known.
func (t *Tailer) Lag() int64 {
	if t.cur == nil {
		return 0
	}
	lag := int64(0)
	if t.cur.unzip == nil {
		lag = max(t.cur.size()-t.cur.offset, 0)
	}
	for _, s := range t.next {
		lag += s.size()
	}
	return lag
}

// Stats gives the counters.
func (t *Tailer) Stats() TailStats { return t.stats }

// Close closes the files.
func (t *Tailer) Close() {
	t.cur.close()
	closeAll(t.next)
	t.cur, t.next = nil, nil
}
