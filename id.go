package waypost

import (
	"crypto/rand"
	"encoding/binary"
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
	if !u.parse(s) {
		return UUID{}, fmt.Errorf("%q: %w", clip(s, 40), ErrUUID)
	}
	return u, nil
}

// parse reads eight digits at a time, as the agent meets two ids in the log
// of every message. It leaves u undefined when it answers false.
func (u *UUID) parse(s string) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	a, bad0 := fromHex(letters4(s) | letters4(s[4:])<<32)
	b, bad1 := fromHex(letters4(s[9:]) | letters4(s[14:])<<32)
	c, bad2 := fromHex(letters4(s[19:]) | letters4(s[24:])<<32)
	d, bad3 := fromHex(letters4(s[28:]) | letters4(s[32:])<<32)
	binary.LittleEndian.PutUint64(u[0:], a|b<<32)
	binary.LittleEndian.PutUint64(u[8:], c|d<<32)
	return bad0|bad1|bad2|bad3 == 0
}

// letters4 gives the first four bytes of s, the first as the lowest.
func letters4(s string) uint64 {
	_ = s[3]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

// fromHex gives the four bytes that eight hexadecimal digits stand for, the
// first as the lowest in both. bad is not 0 when a byte of x is no digit.
func fromHex(x uint64) (value, bad uint64) {
	const each = 0x0101010101010101
	lower := x | 0x20*each
	// the top bit of a byte says what it is, provided that none of x is set
	digit := (x + (0x80-'0')*each) &^ (x + (0x80-'9'-1)*each)
	letter := (lower + (0x80-'a')*each) &^ (lower + (0x80-'f'-1)*each)
	bad = (^(digit | letter) | x) & (0x80 * each)
	v := lower&(0x0f*each) + 9*(letter>>7&each)
	v = (v<<4 | v>>8) & 0x00ff00ff00ff00ff
	v = (v | v>>8) & 0x0000ffff0000ffff
	return (v | v>>16) & 0xffffffff, bad
}

// String gives the canonical lower-case form.
func (u UUID) String() string {
	var b [36]byte
	return string(u.AppendTo(b[:0]))
}

// AppendTo appends the canonical lower-case form to b.
func (u UUID) AppendTo(b []byte) []byte {
	const digits = "0123456789abcdef"
	for i, c := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, digits[c>>4], digits[c&15])
	}
	return b
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
