package waypost

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// UUID is the id that Waypost gives a message: a time-ordered UUID of version
// 7 (RFC 9562, section 5.7), so that rows keyed by it are written in order.
// The ingestion API calls it message_id.
type UUID [16]byte

// MessageID is the Message-ID header field with its angle brackets
// (RFC 5322, section 3.6.4). It is not the [UUID].
type MessageID string

// QueueID is a mail server's name for a message on its own disk: unique only
// on that host, and only while the message lives there.
type QueueID string

// NewUUID makes a version 7 UUID for the millisecond of now, with 74 random
// bits behind it.
func NewUUID(now time.Time) UUID {
	var u UUID
	_, _ = rand.Read(u[6:]) // documented never to fail
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(u[:6], ms[2:])
	u[6] = u[6]&0x0f | 0x70
	u[8] = u[8]&0x3f | 0x80
	return u
}

// ErrUUID is returned by [ParseUUID] for anything but the canonical form.
var ErrUUID = errors.New("not a UUID of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")

// ParseUUID reads the canonical form of 36 characters, in either case. It
// accepts every version, because programs written for other systems keep ids
// of version 4.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return UUID{}, fmt.Errorf("%q: %w", clip(s, 40), ErrUUID)
	}
	at := 0
	for _, part := range [...]string{s[0:8], s[9:13], s[14:18], s[19:23], s[24:36]} {
		n, err := hex.Decode(u[at:], []byte(part))
		if err != nil {
			return UUID{}, fmt.Errorf("%q: %w", s, ErrUUID)
		}
		at += n
	}
	return u, nil
}

// String gives the canonical lower-case form.
func (u UUID) String() string {
	var b [36]byte
	hex.Encode(b[0:8], u[0:4])
	hex.Encode(b[9:13], u[4:6])
	hex.Encode(b[14:18], u[6:8])
	hex.Encode(b[19:23], u[8:10])
	hex.Encode(b[24:36], u[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// IsZero tells whether u is unset.
func (u UUID) IsZero() bool { return u == UUID{} }

// Time is the moment a version 7 UUID was made, to the millisecond.
func (u UUID) Time() time.Time {
	var ms [8]byte
	copy(ms[2:], u[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:])))
}

// clip bounds what an error repeats of its input.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}
