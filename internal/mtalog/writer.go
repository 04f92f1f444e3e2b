package mtalog

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Form is the look of a line's beginning.
type Form uint8

// The forms a Writer writes.
const (
	Traditional Form = iota // "Nov 24 04:02:53 host tag[pid]: "
	RFC3339                 // "2026-11-24T04:02:53.000000+00:00 host tag[pid]: "
)

// maxText is where Postfix cuts the text of a log line, in bytes.
const maxText = 2000

// Writer appends log lines, newline included, in the shape Postfix gives them. The zero value
// writes the traditional form in UTC. It keeps no state: equal arguments give equal bytes. Texts
// from outside may hold anything: line breaks become blanks, other control characters and bytes
// that are not UTF-8 become '?', and the text is cut at 2,000 bytes, all as Postfix does.
type Writer struct {
	Host     string
	Form     Form
	Location *time.Location // zone of the stamps; nil is UTC
}

// Origin is the process a line comes from.
type Origin struct {
	Tag string // "postfix/smtp"
	PID int
}

// Delivery is what a delivery agent says of one attempt.
type Delivery struct {
	Queue       QueueID
	Recipient   string // without <>; quoted where RFC 5321 asks for it
	OrigTo      string // empty when no alias was at work
	Relay       string // "mx.example[192.0.2.1]:25"; empty is "none"
	ConnUse     int    // logged above 1: how often the connection was used
	Delay       time.Duration
	Delays      [4]time.Duration // before the queue manager, in it, connecting, transmitting
	Enhanced    string
	Status      string // "sent", "bounced", "deferred"
	Description string // without the outermost parentheses
}

// Client appends smtpd's line for a message that comes in: client is "name[ip]".
func (w Writer) Client(b []byte, at time.Time, from Origin, id QueueID, client string) []byte {
	b, start := w.begin(b, at, from, id)
	return end(appendClean(append(b, "client="...), client), start)
}

// MessageID appends cleanup's line; messageID is without <>.
func (w Writer) MessageID(b []byte, at time.Time, from Origin, id QueueID, messageID string) []byte {
	b, start := w.begin(b, at, from, id)
	b = appendClean(append(b, "message-id=<"...), messageID)
	return end(append(b, '>'), start)
}

// Sender appends the queue manager's line for a message it takes up; size is in bytes.
func (w Writer) Sender(b []byte, at time.Time, from Origin, id QueueID, sender string, size int64, nrcpt int) []byte {
	b, start := w.begin(b, at, from, id)
	b = appendAddress(append(b, "from="...), sender)
	b = strconv.AppendInt(append(b, ", size="...), size, 10)
	b = strconv.AppendInt(append(b, ", nrcpt="...), int64(nrcpt), 10)
	return end(append(b, " (queue active)"...), start)
}

// Delivery appends a delivery agent's line for one recipient.
func (w Writer) Delivery(b []byte, at time.Time, from Origin, d Delivery) []byte {
	b, start := w.begin(b, at, from, d.Queue)
	b = appendAddress(append(b, "to="...), d.Recipient)
	if d.OrigTo != "" {
		b = appendAddress(append(b, ", orig_to="...), d.OrigTo)
	}
	b = append(b, ", relay="...)
	if d.Relay == "" {
		b = append(b, "none"...)
	}
	b = appendClean(b, d.Relay)
	if d.ConnUse > 1 {
		b = strconv.AppendInt(append(b, ", conn_use="...), int64(d.ConnUse), 10)
	}
	b = appendDelay(append(b, ", delay="...), d.Delay)
	for i, delay := range d.Delays {
		sep := "/"
		if i == 0 {
			sep = ", delays="
		}
		b = appendDelay(append(b, sep...), delay)
	}
	b = appendClean(append(b, ", dsn="...), d.Enhanced)
	b = appendClean(append(b, ", status="...), d.Status)
	b = appendClean(append(b, " ("...), d.Description)
	return end(append(b, ')'), start)
}

// Expired appends the queue manager's line for a message that was too long in the queue.
func (w Writer) Expired(b []byte, at time.Time, from Origin, id QueueID, sender string) []byte {
	b, start := w.begin(b, at, from, id)
	b = appendAddress(append(b, "from="...), sender)
	return end(append(b, ", status=expired, returned to sender"...), start)
}

// Notification appends bounce's line; report is the queue ID of the non-delivery report.
func (w Writer) Notification(b []byte, at time.Time, from Origin, id, report QueueID) []byte {
	b, start := w.begin(b, at, from, id)
	b = append(b, "sender non-delivery notification: "...)
	return end(appendClean(b, string(report)), start)
}

// Removed appends the queue manager's last line about a message.
func (w Writer) Removed(b []byte, at time.Time, from Origin, id QueueID) []byte {
	b, start := w.begin(b, at, from, id)
	return end(append(b, "removed"...), start)
}

// begin appends everything up to the text proper and gives the place where the text starts.
func (w Writer) begin(b []byte, at time.Time, from Origin, id QueueID) ([]byte, int) {
	loc := w.Location
	if loc == nil {
		loc = time.UTC
	}
	layout := time.Stamp
	if w.Form == RFC3339 {
		layout = "2006-01-02T15:04:05.000000-07:00"
	}
	b = append(at.In(loc).AppendFormat(b, layout), ' ')
	b = append(appendClean(b, w.Host), ' ')
	b = append(appendClean(b, from.Tag), '[')
	b = append(strconv.AppendInt(b, int64(from.PID), 10), "]: "...)
	start := len(b)
	return append(appendClean(b, string(id)), ": "...), start
}

// end cuts the text at 2,000 bytes, not inside a letter, and ends the line.
func end(b []byte, start int) []byte {
	if cut := start + maxText; len(b) > cut {
		for !utf8.RuneStart(b[cut]) {
			cut--
		}
		b = b[:cut]
	}
	return append(b, '\n')
}

// appendClean appends s as Postfix logs a text from outside.
func appendClean(b []byte, s string) []byte {
	if printable(s) {
		return append(b, s...)
	}
	for i, r := range s {
		switch {
		case r == '\r' && i+1 < len(s) && s[i+1] == '\n':
		case r == '\n':
			b = append(b, ' ')
		case r < ' ' || r >= 0x7f && r < 0xa0:
			b = append(b, '?')
		case r == utf8.RuneError && s[i] != "\uFFFD"[0]:
			b = append(b, '?')
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// appendAddress appends <address>, its local part quoted when it is no dot-atom (RFC 5321 section
// 4.1.2), so that no address can end early.
func appendAddress(b []byte, addr string) []byte {
	local, domain := addr, ""
	if at := strings.LastIndexByte(addr, '@'); at >= 0 {
		local, domain = addr[:at], addr[at:]
	}
	b = append(b, '<')
	if quotedLocalPart(local+"@") == len(local) && local != "" || !strings.ContainsAny(local, "\"\\ ,:;<>()[]@") {
		b = appendClean(b, local)
	} else {
		local = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local)
		b = append(appendClean(append(b, '"'), local), '"')
	}
	return append(appendClean(b, strings.NewReplacer(">", "?", "<", "?", ",", "?").Replace(domain)), '>')
}

// appendDelay appends seconds with two significant digits and at most two decimals, trailing
// zeros dropped (delay_logging_resolution_limit).
func appendDelay(b []byte, d time.Duration) []byte {
	decimals := 0
	switch {
	case d < 10*time.Millisecond:
		return append(b, '0')
	case d < time.Second:
		decimals = 2
	case d < 10*time.Second:
		decimals = 1
	}
	s := strconv.FormatFloat(d.Seconds(), 'f', decimals, 64)
	if decimals > 0 {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return append(b, s...)
}
