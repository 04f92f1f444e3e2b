package agent

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"
)

// The files of a checkpoint in the state directory.
const (
	checkpointName = "checkpoint"
	checkpointPrev = "checkpoint.prev"
	checkpointNew  = "checkpoint.new"
)

// checkpointMark heads a checkpoint; its last digit is the format.
const checkpointMark = "WPAGENT1"

var errCheckpoint = errors.New("checkpoint is damaged")

const checkpointHead = len(checkpointMark) + 8

// writeCheckpoint writes a position and a correlator's snapshot: mark, length
// and checksum of what follows, length of the position, position, snapshot.
// The snapshot is written in pieces, as a full table is large.
func writeCheckpoint(f io.WriteSeeker, p *Position, c *Correlator) error {
	where, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode position: %w", err)
	}
	size, check := 0, uint32(0)
	write := func(b []byte) {
		if err == nil {
			_, err = f.Write(b)
		}
		size += len(b)
		check = crc32.Update(check, castagnoli, b)
	}
	var head [checkpointHead]byte
	copy(head[:], checkpointMark)
	if _, err := f.Write(head[:]); err != nil {
		return err
	}
	w := writer{b: binary.AppendUvarint(nil, uint64(len(where))), out: write}
	w.b = append(w.b, where...)
	c.snapshot(&w)
	write(w.b)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(head[len(checkpointMark):], uint32(size))
	binary.LittleEndian.PutUint32(head[len(checkpointMark)+4:], check)
	if _, err = f.Seek(0, io.SeekStart); err == nil {
		_, err = f.Write(head[:])
	}
	return err
}

// decodeCheckpoint is the reverse; the snapshot is not looked into.
func decodeCheckpoint(b []byte) (p Position, snapshot []byte, err error) {
	if len(b) < checkpointHead || string(b[:len(checkpointMark)]) != checkpointMark {
		return p, nil, errCheckpoint
	}
	size := binary.LittleEndian.Uint32(b[len(checkpointMark):])
	check := binary.LittleEndian.Uint32(b[len(checkpointMark)+4:])
	b = b[checkpointHead:]
	if uint64(len(b)) != uint64(size) || crc32.Checksum(b, castagnoli) != check {
		return p, nil, errCheckpoint
	}
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return p, nil, errCheckpoint
	}
	b = b[used:]
	if err := json.Unmarshal(b[:n], &p); err != nil {
		return p, nil, fmt.Errorf("%w: %w", errCheckpoint, err)
	}
	if !p.valid() || p.Before != nil && !p.Before.valid() {
		return p, nil, errCheckpoint
	}
	return p, b[n:], nil
}

// saveCheckpoint writes a checkpoint and keeps the one before it.
func saveCheckpoint(dir string, p *Position, c *Correlator) error {
	name, temporary := filepath.Join(dir, checkpointName), filepath.Join(dir, checkpointNew)
	err := writeFile(temporary, true, func(f *os.File) error { return writeCheckpoint(f, p, c) })
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	if err := os.Rename(name, filepath.Join(dir, checkpointPrev)); err != nil && !isNotExist(err) {
		return fmt.Errorf("keep the last checkpoint: %w", err)
	}
	if err := os.Rename(temporary, name); err != nil {
		return fmt.Errorf("put checkpoint in its place: %w", err)
	}
	return syncDir(dir)
}

// loadCheckpoint gives the newest intact checkpoint and restores c from it. p
// is nil when there has never been one. When all are damaged, p is a position
// that is nowhere: following it reads every file written to since the damaged
// checkpoint, which repeats events but misses none. warning tells an operator
// about damage.
func loadCheckpoint(dir string, c *Correlator, now time.Time) (p *Position, warning error) {
	var oldest time.Time
	for _, base := range []string{checkpointName, checkpointPrev} {
		name := filepath.Join(dir, base)
		b, err := os.ReadFile(name)
		if isNotExist(err) {
			continue
		}
		if err == nil {
			var at Position
			var snapshot []byte
			if at, snapshot, err = decodeCheckpoint(b); err == nil {
				if err = c.Restore(snapshot, now); err == nil {
					return &at, warning
				}
			}
		}
		warning = errors.Join(warning, fmt.Errorf("%s: %w", name, err))
		if info, err := os.Stat(name); err == nil {
			oldest = info.ModTime()
		}
	}
	if warning == nil {
		return nil, nil
	}
	return &Position{Modified: oldest.Add(-time.Minute)}, warning
}
