package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// The spool's files are segments of records. A record is a mark, the length
// and the checksum of its payload, and the payload: one item as JSON.
const (
	recordHead   = 12
	maxRecord    = 64 << 10
	minSegment   = 64 << 10
	maxSegment   = 4 << 20
	segmentGlob  = "spool-????????????????"
	segmentName  = "spool-%016x"
	recordMark   = "\xf5WPR" // a byte that JSON text in UTF-8 never holds, and a word
	ackName      = "spool.ack"
	ackTemporary = "spool.ack.new"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrSpoolFull is returned by [Spool.Append] when the bound is reached. The
// caller stops reading: the log itself is the buffer.
var ErrSpoolFull = errors.New("the spool is full")

// Spool keeps events on disk from when they were read off the log until the
// server has them. Append returns after fsync; what it returned for survives a
// crash. Damaged records are skipped and counted. It is safe for one writer
// and one reader at a time.
type Spool struct {
	dir   string
	limit int64

	mu       sync.Mutex
	segments []*segment // oldest first; the last may be open for writing
	file     *os.File   // of the last segment
	at       cursor     // the first record that the server does not have
	damaged  int64
	records  int64 // in the spool, as far as known
	wake     chan struct{}
	frame    []byte // the writer's, used again
}

type segment struct {
	id      uint64
	size    int64 // bytes that are on disk for certain
	records int64
}

type cursor struct {
	id     uint64
	offset int64
}

// OpenSpool opens or makes the spool in a directory, bounded to limit bytes.
func OpenSpool(dir string, limit int64) (*Spool, error) {
	s := &Spool{dir: dir, limit: limit, wake: make(chan struct{}, 1)}
	names, err := filepath.Glob(filepath.Join(dir, segmentGlob))
	if err != nil {
		return nil, fmt.Errorf("list spool: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		var id uint64
		if _, err := fmt.Sscanf(filepath.Base(name), segmentName, &id); err != nil {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("open spool: %w", err)
		}
		s.segments = append(s.segments, &segment{id: id, size: info.Size()})
	}
	s.at = readAck(filepath.Join(dir, ackName))
	if err := s.trim(); err != nil {
		return nil, err
	}
	if err := s.count(); err != nil {
		return nil, err
	}
	return s, nil
}

// count finds out how many records wait, reading every segment once.
func (s *Spool) count() error {
	for _, g := range s.segments {
		b, err := os.ReadFile(s.path(g.id))
		if err != nil {
			return fmt.Errorf("open spool: %w", err)
		}
		from := 0
		if g.id == s.at.id {
			from = int(min(s.at.offset, int64(len(b))))
		}
		for b = b[from:]; ; {
			_, n, _ := nextRecord(b)
			if n == 0 {
				break
			}
			g.records++
			b = b[n:]
		}
		s.records += g.records
	}
	return nil
}

func (s *Spool) path(id uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf(segmentName, id))
}

// appendRecord frames a payload.
func appendRecord(b, payload []byte) []byte {
	b = append(b, recordMark...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(payload, castagnoli))
	return append(b, payload...)
}

// Append writes payloads to disk, all or none as far as readers can see. After
// an error the same payloads may be appended again.
func (s *Spool) Append(payloads [][]byte) error {
	if len(payloads) == 0 {
		return nil
	}
	b := s.frame[:0]
	for _, p := range payloads {
		if len(p) > maxRecord {
			return fmt.Errorf("event of %d bytes is too long for the spool", len(p))
		}
		b = appendRecord(b, p)
	}
	s.frame = b
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes()+int64(len(b)) > s.limit && s.bytes() > 0 {
		return ErrSpoolFull
	}
	if err := s.write(b); err != nil {
		s.abandon()
		return fmt.Errorf("write to spool: %w", err)
	}
	g := s.segments[len(s.segments)-1]
	g.size += int64(len(b))
	g.records += int64(len(payloads))
	s.records += int64(len(payloads))
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

// write appends to the last segment, or to a new one when that is long enough.
func (s *Spool) write(b []byte) error {
	if s.file != nil && s.segments[len(s.segments)-1].size >= min(max(s.limit/16, minSegment), maxSegment) {
		err := s.file.Close()
		s.file = nil
		if err != nil {
			return err
		}
	}
	if s.file == nil {
		id := s.at.id + 1
		if n := len(s.segments); n > 0 {
			id = max(id, s.segments[n-1].id+1)
		}
		f, err := os.OpenFile(s.path(id), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		s.file = f
		s.segments = append(s.segments, &segment{id: id})
		if err := syncDir(s.dir); err != nil {
			return err
		}
	}
	if _, err := s.file.Write(b); err != nil {
		return err
	}
	return s.file.Sync()
}

// abandon closes the last segment after a write that failed. Whatever of it
// reached the disk lies behind the size that readers go by.
func (s *Spool) abandon() {
	if s.file == nil {
		return
	}
	g := s.segments[len(s.segments)-1]
	_ = s.file.Truncate(g.size) // an incomplete record is skipped at the next start
	_ = s.file.Close()
	s.file = nil
}

func (s *Spool) bytes() (n int64) {
	for _, g := range s.segments {
		n += g.size
	}
	return n
}

// SpoolStats describes a spool.
type SpoolStats struct {
	Bytes   int64 // on disk
	Records int64 // not yet acknowledged
	Damaged int64 // stretches of bytes that held no intact record
	Full    bool  // less than a hundredth of the room is left
}

// Stats describes the spool now.
func (s *Spool) Stats() SpoolStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.bytes()
	return SpoolStats{Bytes: n, Records: s.records, Damaged: s.damaged, Full: n > s.limit-s.limit/100}
}

// Wake gives a channel that receives after something was appended.
func (s *Spool) Wake() <-chan struct{} { return s.wake }

// Close closes the segment being written.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// syncDir makes names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeDurably replaces a file by way of a temporary one, so that a crash
// leaves the old or the new content.
func writeDurably(name, temporary string, content []byte, fsync bool) error {
	err := writeFile(temporary, fsync, func(f *os.File) error {
		_, err := f.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, name); err != nil {
		return err
	}
	if fsync {
		return syncDir(filepath.Dir(name))
	}
	return nil
}

// writeFile makes a file and fills it by write.
func writeFile(name string, fsync bool, write func(*os.File) error) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err = write(f); err == nil && fsync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
