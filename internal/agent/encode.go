package agent

import (
	"strconv"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
)

// appendItem appends an item as JSON, as encoding/json would read it back. It
// is written by hand because it runs for every event: encoding/json takes
// several times as long as reading and parsing the line.
func appendItem(b []byte, it *waypost.ReportItem) []byte {
	b = append(b, '{')
	b = appendField(b, "event_id", it.EventID)
	b = appendField(b, "message_id", it.MessageID)
	b = appendField(b, "event_type", it.EventType)
	b = appendField(b, "recipient", it.Recipient)
	if !it.Timestamp.IsZero() {
		b = append(b, `,"timestamp":"`...)
		b = append(it.Timestamp.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z07:00"), '"')
	}
	if it.SMTPCode != 0 {
		b = strconv.AppendInt(append(b, `,"smtp_code":`...), int64(it.SMTPCode), 10)
	}
	b = appendField(b, "enhanced_code", it.EnhancedCode)
	b = appendField(b, "smtp_description", it.SMTPDescription)
	b = appendField(b, "queue_id", string(it.QueueID))
	b = appendField(b, "relay", it.Relay)
	return append(b, '}')
}

func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(append(append(b, '"'), name...), `":"`...)
	return append(appendText(b, value), '"')
}

// appendText escapes what JSON asks for (RFC 8259, section 7); bytes that are
// not UTF-8 become U+FFFD.
func appendText(b []byte, s string) []byte {
	const hexDigits = "0123456789abcdef"
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
