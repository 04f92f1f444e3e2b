package agent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// Batch is what one request carries.
type Batch struct {
	Payloads [][]byte
	end      cursor // behind the last payload
}

// Next gives the oldest records that are not acknowledged: at most most of
// them and at most maxBytes together, but at least one. An empty batch means
// that nothing waits.
func (s *Spool) Next(most, maxBytes int) (Batch, error) {
	s.mu.Lock()
	at := s.at
	var list []segment
	for _, g := range s.segments {
		if g.id >= at.id {
			list = append(list, *g)
		}
	}
	s.mu.Unlock()
	b := Batch{end: at}
	damaged := int64(0)
	size := 0
	for _, g := range list {
		from := int64(0)
		if g.id == at.id {
			from = at.offset
		}
		data, err := readSegment(s.path(g.id), from, g.size, min(int64(maxBytes), 512*int64(most))+maxRecord+recordHead)
		if _, n, _ := nextRecord(data); err == nil && n == 0 && int64(len(data)) < g.size-from {
			data, err = readSegment(s.path(g.id), from, g.size, g.size) // much damage: look at all of it
		}
		if err != nil {
			return Batch{}, fmt.Errorf("read spool: %w", err)
		}
		for len(b.Payloads) < most {
			payload, n, skipped := nextRecord(data)
			if n == 0 || len(b.Payloads) > 0 && size+len(payload) > maxBytes {
				break
			}
			if skipped {
				damaged++
			}
			b.Payloads = append(b.Payloads, payload)
			size += len(payload)
			data, from = data[n:], from+int64(n)
			b.end = cursor{g.id, from}
		}
		if len(b.Payloads) > 0 {
			break
		}
		if g.size > from {
			damaged++ // nothing intact up to the end of the segment
		}
	}
	if len(b.Payloads) == 0 && len(list) > 0 {
		last := list[len(list)-1]
		b.end = cursor{last.id, last.size}
		if b.end != at {
			return b, s.Ack(b)
		}
		return b, nil
	}
	s.mu.Lock()
	s.damaged += damaged
	s.mu.Unlock()
	return b, nil
}

// readSegment reads at most most bytes between two offsets.
func readSegment(name string, from, to, most int64) ([]byte, error) {
	if from >= to {
		return nil, nil
	}
	f, err := os.Open(name)
	if isNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data := make([]byte, min(to-from, most))
	n, err := f.ReadAt(data, from)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return data[:n], errors.Join(err, f.Close())
}

// nextRecord finds the first intact record in b: its payload, and how many
// bytes it takes from the start of b. Damage in front of it is skipped. n is 0
// when there is no intact record.
func nextRecord(b []byte) (payload []byte, n int, skipped bool) {
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(recordMark))
		if i < 0 {
			return nil, 0, false
		}
		at += i
		if rest := b[at:]; len(rest) >= recordHead {
			size := binary.LittleEndian.Uint32(rest[4:])
			check := binary.LittleEndian.Uint32(rest[8:])
			if size <= maxRecord && len(rest) >= recordHead+int(size) {
				payload = rest[recordHead : recordHead+size]
				if crc32.Checksum(payload, castagnoli) == check {
					return payload, at + recordHead + int(size), at > 0
				}
			}
		}
		at++
	}
}

// Ack says that the server has a batch. Segments that are done are removed.
// The note of it is synced, so that a power loss repeats one batch at most; to
// lose it would cost repetitions, no event.
func (s *Spool) Ack(b Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = b.end
	s.records = max(s.records-int64(len(b.Payloads)), 0)
	if err := writeDurably(filepath.Join(s.dir, ackName), filepath.Join(s.dir, ackTemporary), s.at.note(), true); err != nil {
		return fmt.Errorf("note what was sent: %w", err)
	}
	return s.trim()
}

// trim removes segments that lie before the cursor.
func (s *Spool) trim() error {
	for len(s.segments) > 0 {
		g := s.segments[0]
		open := s.file != nil && len(s.segments) == 1
		done := g.id < s.at.id || g.id == s.at.id && s.at.offset >= g.size
		if !done {
			return nil
		}
		if open {
			if g.size < minSegment {
				return nil // go on with it
			}
			if err := s.file.Close(); err != nil {
				return fmt.Errorf("close spool segment: %w", err)
			}
			s.file = nil
		}
		if err := os.Remove(s.path(g.id)); err != nil && !isNotExist(err) {
			return fmt.Errorf("remove spool segment: %w", err)
		}
		s.segments = s.segments[1:]
	}
	return nil
}

// note writes a cursor as text with a checksum: a wrong one would lose events.
func (c cursor) note() []byte {
	text := fmt.Sprintf("%d %d", c.id, c.offset)
	return fmt.Appendf(nil, "%s %08x\n", text, crc32.Checksum([]byte(text), castagnoli))
}

// readAck reads the cursor; anything strange means the beginning.
func readAck(name string) (c cursor) {
	b, err := os.ReadFile(name)
	if err != nil {
		return cursor{}
	}
	if _, err := fmt.Sscanf(string(b), "%d %d", &c.id, &c.offset); err != nil || !bytes.Equal(c.note(), b) {
		return cursor{}
	}
	return c
}
