package agent

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
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

// encodeCheckpoint packs a position and a correlator's snapshot: mark, length
// and checksum of what follows, length of the position, position, snapshot.
func encodeCheckpoint(p *Position, c *Correlator) ([]byte, error) {
	where, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode position: %w", err)
	}
	const head = len(checkpointMark) + 8
	b := make([]byte, head, head+len(where)+256*c.Entries()+1024)
	copy(b, checkpointMark)
	b = binary.AppendUvarint(b, uint64(len(where)))
	b = c.Snapshot(append(b, where...))
	binary.LittleEndian.PutUint32(b[len(checkpointMark):], uint32(len(b)-head))
	binary.LittleEndian.PutUint32(b[len(checkpointMark)+4:], crc32.Checksum(b[head:], castagnoli))
	return b, nil
}

// decodeCheckpoint is the reverse; the snapshot is not looked into.
func decodeCheckpoint(b []byte) (p Position, snapshot []byte, err error) {
	const head = len(checkpointMark) + 8
	if len(b) < head || string(b[:len(checkpointMark)]) != checkpointMark {
		return p, nil, errCheckpoint
	}
	size := binary.LittleEndian.Uint32(b[len(checkpointMark):])
	check := binary.LittleEndian.Uint32(b[len(checkpointMark)+4:])
	b = b[head:]
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
func saveCheckpoint(dir string, b []byte) error {
	name := filepath.Join(dir, checkpointName)
	if err := os.Rename(name, filepath.Join(dir, checkpointPrev)); err != nil && !isNotExist(err) {
		return fmt.Errorf("keep the last checkpoint: %w", err)
	}
	if err := writeDurably(name, filepath.Join(dir, checkpointNew), b, true); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return nil
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
