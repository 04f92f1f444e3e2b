package mtalog

import (
	"bytes"
	"strings"
	"time"
)

// opensmtpd reads the log of OpenSMTPD 6.4 and later. A delivery line carries the envelope sender
// and the outcome together, so its Outcome has Sender set and needs no memory of earlier lines.
// Queue is the envelope ID, one per recipient.
type opensmtpd struct {
	clock clock
	tags  tags
	host  string
}

// What is ours: `SESSION mta delivery evpid=...`, where local deliveries say mda, and
// `relay: Expire for ID: ...`.
const (
	deliveryMark = " delivery evpid="
	expiryMark   = ": Expire for "
)

// Parse implements Parser.
func (p *opensmtpd) Parse(line []byte, f *Fact) bool {
	if len(line) > MaxLine {
		return false
	}
	pre, ok := cutPrefix(line)
	if !ok {
		return false
	}
	at, ok := p.clock.parse(pre.stamp)
	if !ok || !pre.bareTag() || !p.read(p.tags.get(pre.tag), pre.text, f) {
		return false
	}
	if string(pre.host) != p.host {
		p.host = clean(pre.host)
	}
	f.Time, f.Host = at, p.host
	return true
}

// ParseMessage implements Parser.
func (p *opensmtpd) ParseMessage(name string, t time.Time, text []byte, f *Fact) bool {
	if len(text) > MaxLine || len(name) > MaxLine || !p.read(p.tags.get([]byte(name)), text, f) {
		return false
	}
	f.Time = t.UTC()
	return true
}

// read reads `SESSION mta delivery evpid=ID from=<a> to=<b> rcpt=<c> source="ip" relay="ip (host)"
// delay=0s result="Ok" stat="250 2.0.0 OK"`. The server's words stand last, in stat.
func (p *opensmtpd) read(t *tag, text []byte, f *Fact) bool {
	head := text[:min(len(text), 64)]
	session, _, found := bytes.Cut(head, []byte(deliveryMark))
	if !found {
		if _, _, found = bytes.Cut(head, []byte(expiryMark)); !found {
			return false
		}
		*f = Fact{Kind: Expired, Last: true, Tag: t.whole, Instance: t.instance}
		return f.readExpiry(view(bytes.TrimRight(text, " \r\n")))
	}
	session, process, found := bytes.Cut(session, []byte(" "))
	if !found || len(session) != 16 || (string(process) != "mta" && string(process) != "mda") {
		return false
	}
	*f = Fact{Kind: Outcome, Tag: t.whole, Instance: t.instance, Process: "mta"}
	if string(process) == "mda" {
		f.Process = "mda"
	}
	s := view(bytes.TrimRight(text, " \r\n"))
	s = s[len(session)+1+len(process)+len(deliveryMark):]
	id, s, _ := strings.Cut(s, " ")
	if f.Queue = QueueID(id); id == "" || len(id) > MaxQueueID {
		return false
	}
	return f.readDelivery(s)
}

// readDelivery reads the fields behind evpid= from left to right until result and stat.
func (f *Fact) readDelivery(s string) bool {
	for {
		key, rest, ok := strings.Cut(s, "=")
		if !ok || len(key) > 16 {
			return false
		}
		switch key {
		case "from", "to", "rcpt":
			addr, after, ok := cutAddress(rest)
			if !ok {
				return false
			}
			f.setAddress(key, addr)
			s = strings.TrimPrefix(after, " ")
		case "stat":
			return f.readStat(rest)
		default:
			value, after, ok := cutValue(rest)
			if !ok {
				return false
			}
			switch key {
			case "relay":
				f.Relay = value
				f.RelayIP, f.RelayHost, _ = strings.Cut(strings.TrimSuffix(value, ")"), " (")
			case "result":
				f.StatusWord = value
			}
			s = after
		}
	}
}

// readExpiry reads `relay: Expire for ID: from=<a>, to=<b>, rcpt=<c>, delay=25s, stat=text`. Unlike
// Postfix's, the line names its recipient.
func (f *Fact) readExpiry(s string) bool {
	agent, s, _ := strings.Cut(s, expiryMark)
	id, s, ok := strings.Cut(s, ": ")
	if !ok || id == "" || len(id) > MaxQueueID || strings.Contains(id, " ") || strings.Contains(agent, " ") {
		return false
	}
	f.Process, f.Queue, f.StatusWord = agent, QueueID(id), "expired"
	for _, key := range [...]string{"from", "to", "rcpt"} {
		if s, ok = strings.CutPrefix(s, key+"="); !ok {
			return false
		}
		addr, after, ok := cutAddress(s)
		if !ok {
			return false
		}
		f.setAddress(key, addr)
		s = strings.TrimPrefix(after, ", ")
	}
	_, f.Description, ok = strings.Cut(s, "stat=")
	return ok
}

// setAddress notes one address; rcpt, which follows to, is the one before aliases,
// <-> when it is the same.
func (f *Fact) setAddress(key, addr string) {
	switch {
	case key == "from":
		f.Sender = addr
	case key == "to":
		f.Recipient = addr
	case addr != "-" && addr != f.Recipient:
		f.OrigTo = addr
	}
}

// cutValue reads a value with or without quotes and the blank behind it.
func cutValue(s string) (value, rest string, ok bool) {
	if quoted, isQuoted := strings.CutPrefix(s, `"`); isQuoted {
		return strings.Cut(quoted, `" `)
	}
	return strings.Cut(s, " ")
}

// readStat reads the last field and closes the fact.
func (f *Fact) readStat(s string) bool {
	switch f.StatusWord {
	case "Ok":
		f.Status, f.Last = Sent, true
	case "PermFail":
		f.Status, f.Last = Bounced, true
	case "TempFail":
		f.Status = Deferred
	case "":
		return false
	default:
		f.Status = Other
	}
	s, _ = strings.CutPrefix(s, `"`)
	s, _ = strings.CutSuffix(s, `"`)
	f.Description = s
	if f.Code = replyCode(s); f.Code == 0 {
		return true
	}
	f.Reply = s
	if len(s) > 4 {
		f.Enhanced = enhancedCode(s[4:])
	}
	return true
}
