package agent

import (
	"encoding/binary"
	"strconv"
	"time"
	"unicode/utf8"
)

// encoder writes events as JSON, as encoding/json would read them back. It is
// written by hand because it runs for every event: encoding/json takes several
// times as long as reading and parsing the line. It remembers the last second,
// as events come in the order of time.
type encoder struct {
	second int64
	stamp  [19]byte // 2006-01-02T15:04:05
}

// head is how every event begins, with room for its two ids.
const head = `{"event_id":"................................","message_id":"........-....-....-....-............","event_type":"`

// Where the digits of the ids stand in head.
const (
	eventIDAt   = len(`{"event_id":"`)
	messageIDAt = eventIDAt + 32 + len(`","message_id":"`)
)

// append appends an event.
func (enc *encoder) append(b []byte, e *Event) []byte {
	it := &e.Item
	b = append(b, head...)
	putIDs(b[len(b)-len(head):], e)
	b = append(append(b, it.EventType...), '"') // a word of ours
	if it.Recipient != "" {
		b = appendValue(append(b, `,"recipient":"`...), it.Recipient, e.plain)
	}
	if !it.Timestamp.IsZero() {
		b = enc.time(append(b, `,"timestamp":"`...), it.Timestamp.Time)
	}
	if it.SMTPCode != 0 {
		b = appendCode(append(b, `,"smtp_code":`...), it.SMTPCode)
	}
	if it.EnhancedCode != "" {
		b = appendValue(append(b, `,"enhanced_code":"`...), it.EnhancedCode, e.plain)
	}
	if it.SMTPDescription != "" {
		b = appendValue(append(b, `,"smtp_description":"`...), it.SMTPDescription, e.plain)
	}
	if it.QueueID != "" {
		b = appendValue(append(b, `,"queue_id":"`...), string(it.QueueID), e.plain)
	}
	if it.Relay != "" {
		b = appendValue(append(b, `,"relay":"`...), it.Relay, e.plain)
	}
	return append(b, '}')
}

// putIDs writes the ids of e into a copy of head.
func putIDs(b []byte, e *Event) {
	first, second := eventID(&e.UUID, &e.Item)
	putHex(b[eventIDAt:], first)
	putHex(b[eventIDAt+16:], second)
	// xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, eight digits at a time
	id, order := b[messageIDAt:messageIDAt+36], binary.BigEndian
	order.PutUint64(id, hexDigits(order.Uint32(e.UUID[0:])))
	middle := hexDigits(order.Uint32(e.UUID[4:]))
	order.PutUint32(id[9:], uint32(middle>>32))
	order.PutUint32(id[14:], uint32(middle))
	middle = hexDigits(order.Uint32(e.UUID[8:]))
	order.PutUint32(id[19:], uint32(middle>>32))
	order.PutUint32(id[24:], uint32(middle))
	order.PutUint64(id[28:], hexDigits(order.Uint32(e.UUID[12:])))
}

// time appends RFC 3339 with microseconds, in UTC, and a quote.
func (enc *encoder) time(b []byte, t time.Time) []byte {
	if s := t.Unix(); s != enc.second || enc.stamp[0] == 0 {
		t = t.UTC()
		var room [32]byte
		text := t.AppendFormat(room[:0], "2006-01-02T15:04:05")
		if len(text) != len(enc.stamp) { // a year of five digits
			return append(t.AppendFormat(b, "2006-01-02T15:04:05.000000Z07:00"), '"')
		}
		enc.second = s
		copy(enc.stamp[:], text)
	}
	b = append(append(b, enc.stamp[:]...), '.')
	if t.Nanosecond() < 1000 { // most logs have no fraction
		return append(b, `000000Z"`...)
	}
	micros := t.Nanosecond() / 1000
	for unit := 100_000; unit > 0; unit /= 10 {
		b = append(b, byte('0'+micros/unit%10))
	}
	return append(b, 'Z', '"')
}

// appendCode appends the three digits of a reply code, or whatever n is.
func appendCode(b []byte, n int) []byte {
	if n < 100 || n > 999 {
		return strconv.AppendInt(b, int64(n), 10)
	}
	return append(b, '0'+byte(n/100), '0'+byte(n/10%10), '0'+byte(n%10))
}

// appendValue appends a value and a quote; plain says that it needs no look at
// its letters. Names are appended by the caller, who knows their length.
func appendValue(b []byte, value string, plain bool) []byte {
	if plain {
		return append(append(b, value...), '"')
	}
	return append(appendText(b, value), '"')
}

// plain tells whether JSON takes s as it is: eight bytes at a time, without a
// look at the result before the end, as nearly all texts are plain.
func plain(s string) bool {
	if len(s) < 8 {
		for i := range len(s) {
			if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
				return false
			}
		}
		return true
	}
	const tops = 0x8080808080808080
	odd := special(word(s[len(s)-8:]))
	for ; len(s) >= 8; s = s[8:] {
		odd |= special(word(s))
	}
	return odd&tops == 0
}

// special sets the top bit of a byte when one of the eight in x is escaped.
func special(x uint64) uint64 {
	const ones = 0x0101010101010101
	return x | (x - ' '*ones) | (x ^ '"'*ones - ones) | (x ^ '\\'*ones - ones)
}

// appendText escapes what JSON asks for (RFC 8259, section 7); bytes that are
// not UTF-8 become U+FFFD.
func appendText(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	if plain(s) {
		return append(b, s...)
	}
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			if c == '"' || c == '\\' {
				b = append(b, '\\', c)
			} else {
				b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(append(b, s[start:i]...), "\uFFFD"...)
			start = i + 1
		}
		i += n
	}
	return append(b, s[start:]...)
}
