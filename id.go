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
	u, ok := parseUUID(s)
	if !ok {
		return UUID{}, fmt.Errorf("%q: %w", clip(s, 40), ErrUUID)
	}
	return u, nil
}

func parseUUID(s string) (u UUID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return UUID{}, false
	}
	bad := byte(0)
	for i, at := range uuidDigits {
		high, low := hexValue[s[at]], hexValue[s[at+1]]
		u[i] = high<<4 | low
		bad |= high | low
	}
	return u, bad <= 15
}

// uuidDigits is where the two digits of each byte stand in the canonical form.
var uuidDigits = [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// hexValue gives the value of a hexadecimal digit, 255 for any other byte.
var hexValue = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = byte(i)
	}
	for i, c := range []byte("ABCDEF") {
		t[c] = byte(10 + i)
	}
	return t
}()

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
