package agent

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// source is one file of a log, live or archived.
type source struct {
	name   string
	file   *os.File
	unzip  *gzip.Reader // nil for a plain file
	rest   []byte       // unzipped bytes not yet handed out
	dev    uint64
	inode  uint64
	offset int64
	head   []byte
	tail   []byte
	skip   bool // inside a line that is too long
}

// errReplaced is what reading gives when the bytes before the offset are no
// longer those that were read: the file was truncated or overwritten.
var errReplaced = errors.New("the log was truncated or overwritten")

// openSource opens a file at its start.
func openSource(name string) (*source, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not block
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	s := &source{name: name, file: f}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("look at log %s: %w", name, err), f.Close())
	}
	if !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("log %s is not a regular file", name), f.Close())
	}
	s.dev, s.inode = fileID(info)
	if strings.HasSuffix(name, ".gz") {
		if s.unzip, err = gzip.NewReader(f); err != nil {
			return nil, errors.Join(fmt.Errorf("unzip %s: %w", name, err), f.Close())
		}
	}
	return s, nil
}

func fileID(info os.FileInfo) (dev, inode uint64) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Dev, st.Ino
	}
	return 0, 0
}

func (s *source) close() {
	if s != nil && s.file != nil {
		_ = s.file.Close() // read only: nothing to lose
	}
}

// size is the length of the file on disk.
func (s *source) size() int64 {
	info, err := s.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

func (s *source) modified() time.Time {
	info, err := s.file.Stat()
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// read gives the next whole lines in buf, or nothing at the end of the file.
// final gives the last line even without its newline. cut is how many lines
// were too long for buf and dropped.
func (s *source) read(buf []byte, final bool) (lines []byte, cut int, err error) {
	for {
		data, err := s.fill(buf)
		if err != nil || len(data) == 0 {
			return nil, cut, err
		}
		n := bytes.LastIndexByte(data, '\n') + 1
		switch {
		case n > 0:
		case len(data) == len(buf)-tailBytes: // a line longer than the buffer
			if !s.skip {
				cut++
			}
			s.skip = true
			s.advance(data)
			continue
		case final:
			n = len(data)
		default:
			s.keep(data)
			return nil, cut, nil
		}
		s.keep(data[n:])
		lines = data[:n]
		s.advance(lines)
		if s.skip {
			s.skip = false
			lines = lines[bytes.IndexByte(lines, '\n')+1:]
			if len(lines) == 0 {
				continue
			}
		}
		return lines, cut, nil
	}
}

// fill gives what follows the offset, up to len(buf)-tailBytes bytes.
func (s *source) fill(buf []byte) ([]byte, error) {
	if s.unzip != nil {
		buf = buf[:len(buf)-tailBytes]
		n := copy(buf, s.rest)
		m, err := io.ReadFull(s.unzip, buf[n:])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("unzip %s: %w", s.name, err)
		}
		s.rest = s.rest[:0]
		return buf[:n+m], nil
	}
	back := len(s.tail)
	n, err := s.file.ReadAt(buf[:back+len(buf)-tailBytes], s.offset-int64(back))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read log: %w", err)
	}
	if n < back || !bytes.Equal(buf[:back], s.tail) {
		return nil, errReplaced
	}
	return buf[back:n], nil
}

// keep holds on to unzipped bytes of an unfinished line; a plain file is just
// read again.
func (s *source) keep(b []byte) {
	if s.unzip != nil {
		s.rest = append(s.rest[:0], b...)
	}
}

// advance moves past b and remembers the bytes that identify the place.
func (s *source) advance(b []byte) {
	if room := headBytes - len(s.head); room > 0 && int64(len(s.head)) == s.offset {
		s.head = append(s.head, b[:min(room, len(b))]...)
	}
	s.offset += int64(len(b))
	if len(b) >= tailBytes {
		s.tail = append(s.tail[:0], b[len(b)-tailBytes:]...)
		return
	}
	if over := len(s.tail) + len(b) - tailBytes; over > 0 {
		s.tail = s.tail[:copy(s.tail, s.tail[over:])]
	}
	s.tail = append(s.tail, b...)
}

// seek moves to an offset of a file just opened. A compressed file is
// unzipped up to there. It reports false when the file is shorter.
func (s *source) seek(offset int64) (bool, error) {
	if s.unzip != nil {
		buf := make([]byte, 64<<10)
		for s.offset < offset {
			n, err := s.unzip.Read(buf[:min(int64(len(buf)), offset-s.offset)])
			s.advance(buf[:n])
			if err != nil && s.offset < offset {
				if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
					return false, nil
				}
				return false, fmt.Errorf("unzip %s: %w", s.name, err)
			}
		}
		return true, nil
	}
	if s.size() < offset {
		return false, nil
	}
	head := make([]byte, min(offset, headBytes))
	tail := make([]byte, min(offset, tailBytes))
	if _, err := s.file.ReadAt(head, 0); err != nil {
		return false, fmt.Errorf("read the start of %s: %w", s.name, err)
	}
	if _, err := s.file.ReadAt(tail, offset-int64(len(tail))); err != nil {
		return false, fmt.Errorf("read %s before %d: %w", s.name, offset, err)
	}
	s.head, s.tail, s.offset = head, tail, offset
	return true, nil
}

// at reports whether the source, having been moved to p's offset, is p's file.
func (s *source) at(p *Position) bool {
	return len(s.head) >= p.HeadLen && len(s.tail) >= p.TailLen && sum(s.head[:p.HeadLen]) == p.HeadSum &&
		sum(s.tail[len(s.tail)-p.TailLen:]) == p.TailSum
}

// position describes the place the source has been read to.
func (s *source) position(before *Position) Position {
	return Position{
		File: s.name, Dev: s.dev, Inode: s.inode, Offset: s.offset,
		HeadLen: len(s.head), HeadSum: sum(s.head), TailLen: len(s.tail), TailSum: sum(s.tail),
		Modified: s.modified(), Before: before.alone(),
	}
}
