package agent

import (
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

// append appends an event.
func (enc *encoder) append(b []byte, e *Event) []byte {
	it := &e.Item
	b = appendEventID(append(b, `{"event_id":"`...), &e.UUID, it)
	b = e.UUID.AppendTo(append(b, `","message_id":"`...))
	b = append(append(append(b, `","event_type":"`...), it.EventType...), '"') // a word of ours
	b = appendField(b, `,"recipient":"`, it.Recipient)
	if !it.Timestamp.IsZero() {
		b = enc.time(append(b, `,"timestamp":"`...), it.Timestamp.Time)
	}
	if it.SMTPCode != 0 {
		b = strconv.AppendInt(append(b, `,"smtp_code":`...), int64(it.SMTPCode), 10)
	}
	b = appendField(b, `,"enhanced_code":"`, it.EnhancedCode)
	b = appendField(b, `,"smtp_description":"`, it.SMTPDescription)
	b = appendField(b, `,"queue_id":"`, string(it.QueueID))
	b = appendField(b, `,"relay":"`, it.Relay)
	return append(b, '}')
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
	micros := t.Nanosecond() / 1000
	for unit := 100_000; unit > 0; unit /= 10 {
		b = append(b, byte('0'+micros/unit%10))
	}
	return append(b, 'Z', '"')
}

// appendField appends a field that is not empty; name has all that stands
// before the value.
func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return append(appendText(append(b, name...), value), '"')
}

// plain tells whether JSON takes s as it is: eight bytes at a time.
func plain(s string) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; len(s) >= 8; s = s[8:] {
		x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		quote, slash := x^('"'*ones), x^('\\'*ones)
		if (x|(x-0x20*ones)|(quote-ones)|(slash-ones))&tops != 0 {
			return false
		}
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendText escapes what JSON asks for (RFC 8259, section 7); bytes that are
// not UTF-8 become U+FFFD.
func appendText(b []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
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
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
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
