package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// How much of a file tells it apart from others.
const (
	headBytes = 1024 // from its start
	tailBytes = 256  // before the position
)

// Position is a place in a log that is found again after the file was renamed,
// copied, compressed or replaced. An inode alone is not enough: it is given to
// another log within seconds of a rotation. So a position also knows the first
// bytes of its file and the bytes just before itself.
type Position struct {
	File     string    `json:"file"` // for people; the content decides
	Dev      uint64    `json:"dev"`
	Inode    uint64    `json:"inode"`
	Offset   int64     `json:"offset"` // bytes read, of the text when the file is compressed
	HeadLen  int       `json:"headLen"`
	HeadSum  string    `json:"headSum"`
	TailLen  int       `json:"tailLen"`
	TailSum  string    `json:"tailSum"`
	Modified time.Time `json:"modified"` // when the file was last written to, as seen then

	Cursor string `json:"cursor,omitempty"` // in the journal; no other field but File then

	// Before is the end of the file read before this one. It finds the place
	// while this file is still empty and has no bytes to know it by.
	Before *Position `json:"before,omitempty"`
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:16])
}

// valid refuses what a damaged checkpoint might hold.
func (p *Position) valid() bool {
	return p.Offset >= 0 && p.HeadLen >= 0 && p.HeadLen <= headBytes && p.TailLen >= 0 && p.TailLen <= tailBytes &&
		int64(p.HeadLen) <= p.Offset && int64(p.TailLen) <= p.Offset
}

// alone is the position without the one before it.
func (p *Position) alone() *Position {
	if p == nil {
		return nil
	}
	q := *p
	q.Before = nil
	return &q
}
