package mtalog

import (
	"bytes"
	"strings"
	"time"
)

// exim reads Exim's own main log, `TIME ID FLAG ...`, with the default log_selector or more. An
// arrival is a Sender fact that carries the Message-ID: too. Exim logs no enhanced code of its
// own: Enhanced comes from the server's words. Process is the transport.
type exim struct {
	clock clock
}

// Parse implements Parser. Fact.Host stays empty: the main log does not name it.
func (p *exim) Parse(line []byte, f *Fact) bool {
	if len(line) > MaxLine || len(line) < 20 || line[4] != '-' || line[10] != ' ' {
		return false
	}
	end := bytes.IndexByte(line[19:], ' ') + 19
	if end < 19 {
		return false
	}
	stamp, text := line[:end], line[end+1:]
	if len(text) > 6 && (text[0] == '+' || text[0] == '-') && text[5] == ' ' { // log_timezone
		stamp = append(append(make([]byte, 0, 32), stamp...), text[:5]...)
		text = text[6:]
	}
	if text = skipPID(text); eximIDLen(text) == 0 {
		return false
	}
	at, ok := p.clock.parse(stamp)
	if !ok || !p.read(text, f) {
		return false
	}
	f.Time = at
	return true
}

// ParseMessage implements Parser. The text must not begin with a time of its own
// (syslog_timestamp = no).
func (p *exim) ParseMessage(name string, t time.Time, text []byte, f *Fact) bool {
	if len(text) > MaxLine || len(name) > MaxLine || eximIDLen(text) == 0 || !p.read(text, f) {
		return false
	}
	f.Time, f.Tag = t.UTC(), clean([]byte(name))
	f.Instance = f.Tag
	return true
}

// skipPID drops the `[123] ` of log_selector +pid.
func skipPID(b []byte) []byte {
	if len(b) > 0 && b[0] == '[' {
		if _, rest, ok := bytes.Cut(b, []byte("] ")); ok {
			return rest
		}
	}
	return b
}

// eximIDLen gives the length of the message ID at the start of b, 0 when there is none:
// 1aBcDe-00000i-2P, since 4.97 1aBcDe-0000000000i-2PaB.
func eximIDLen(b []byte) int {
	var part [3]int
	n, at := 0, 0
	for ; at < len(b) && b[at] != ' '; at++ {
		switch c := b[at]; {
		case c == '-' && n < 2:
			n++
		case c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z':
			part[n]++
		default:
			return 0
		}
	}
	old, long := [3]int{6, 6, 2}, [3]int{6, 11, 4}
	if part != old && part != long || at+1 >= len(b) {
		return 0
	}
	return at
}

// read gives the fact of a text that begins with a message ID.
func (p *exim) read(text []byte, f *Fact) bool {
	*f = Fact{}
	s := view(bytes.TrimRight(text, " \r\n"))
	id, s, _ := strings.Cut(s, " ")
	f.Queue = QueueID(id)
	flag, rest, _ := strings.Cut(s, " ")
	switch flag {
	case "Completed":
		f.Kind = Removed
		return rest == ""
	case "removed", "cancelled":
		f.Kind = Deleted
		return strings.HasPrefix(rest, "by ")
	case "<=":
		return f.readArrival(rest)
	case "=>", "->", ">>":
		f.Status = Sent
	case "**":
		f.Status = Bounced
	case "==":
		f.Status = Deferred
	default:
		return f.readHeader(strings.TrimPrefix(s, id+" "))
	}
	f.Kind, f.StatusWord = Outcome, flag
	return f.readEximDelivery(rest)
}

// readArrival reads `a H=host [ip] P=esmtp S=451 id=x`. An arrival of the null sender with R= is
// the non-delivery report of the message R names.
func (f *Fact) readArrival(s string) bool {
	n := quotedLocalPart(s)
	end := strings.IndexByte(s[n:], ' ')
	if end < 0 {
		return false
	}
	sender, s := s[:n+end], s[n+end:]
	if parent, ok := field(s, " R="); ok && sender == "<>" && eximIDLen([]byte(parent+" x")) > 0 {
		f.Kind, f.Queue, f.Next = Notification, QueueID(parent), f.Queue
		return true
	}
	f.Kind = Sender
	if sender != "<>" {
		f.Sender = sender
	}
	size, _ := field(s, " S=")
	f.Size, _, _ = number(size)
	f.MessageID, _ = field(s, " id=")
	return sender != ""
}

// readEximDelivery reads `a <b> F=<c> R=router T=transport H=host [ip] ...`, where b is the
// address before aliases, and behind it C="reply" of a delivery or `: text` of a failure.
func (f *Fact) readEximDelivery(s string) bool {
	n := quotedLocalPart(s)
	end := strings.IndexByte(s[n:], ' ')
	if end < 0 {
		return f.Status == Sent && f.setRecipient(s)
	}
	head, s := s[:n+end], s[n+end:]
	if rcpt, failed := strings.CutSuffix(head, ":"); failed && f.Status != Sent {
		f.setRecipient(rcpt)
		return f.readExplanation(strings.TrimPrefix(s, " "))
	}
	f.setRecipient(head)
	if after, ok := strings.CutPrefix(s, " <"); ok {
		f.OrigTo, s, _ = cutAddress("<" + after)
	}
	fields, text := s, ""
	if f.Status != Sent {
		fields, text, _ = strings.Cut(s, ": ")
	} else if at := strings.Index(s, ` C="`); at >= 0 {
		fields, text = s[:at], s[at+len(` C="`):]
		if end := strings.LastIndexByte(text, '"'); end >= 0 {
			text = text[:end]
		}
	}
	if sender, ok := field(fields, " F="); ok {
		f.Sender, _, _ = cutAddress(sender)
	}
	f.Process, _ = field(fields, " T=")
	f.readEximHost(fields)
	return f.readExplanation(text)
}

func (f *Fact) setRecipient(s string) bool {
	f.Recipient = s
	return s != ""
}

// readEximHost reads `H=mx.example [192.0.2.1]` and its port when log_selector has it.
func (f *Fact) readEximHost(s string) {
	host, ok := field(s, " H=")
	if !ok {
		return
	}
	f.RelayHost = host
	_, s, _ = strings.Cut(s, " H="+host+" [")
	if ip, port, ok := strings.Cut(s, "]"); ok {
		f.RelayIP = ip
		if port, ok = strings.CutPrefix(port, ":"); ok {
			n, _, _ := number(port)
			f.RelayPort = int(min(n, 1<<16-1))
		}
	}
	f.Relay = f.RelayHost + "[" + f.RelayIP + "]"
}

// readExplanation reads the explanation and finds the server's words in it: behind the first ": " that
// a reply code follows. The line breaks of a long reply are logged as \n.
func (f *Fact) readExplanation(text string) bool {
	f.Description = text
	if f.Status == Bounced && text == "retry timeout exceeded" {
		f.Kind, f.Status, f.StatusWord = Expired, NoStatus, "expired"
		return f.Recipient != ""
	}
	for reply, ok := text, true; ok; _, reply, ok = strings.Cut(reply, ": ") {
		if f.Code = replyCode(reply); f.Code != 0 {
			f.Reply = strings.ReplaceAll(reply, `\n`, " ")
			if len(reply) > 4 {
				f.Enhanced = enhancedCode(f.Reply[4:])
			}
			break
		}
	}
	return f.Recipient != ""
}

// field gives the word behind mark in s.
func field(s, mark string) (string, bool) {
	_, s, ok := strings.Cut(s, mark)
	if !ok {
		return "", false
	}
	s, _, _ = strings.Cut(s, " ")
	return s, true
}
