package mtalog

import (
	"math/bits"
	"strings"
)

// readOutcome reads `to=<a>, orig_to=<b>, relay=r, ..., dsn=2.0.0, status=sent (text)`. The fields
// before status= are Postfix's own; behind it everything is text, whatever it looks like. Any
// process may log such a line.
func (f *Fact) readOutcome(s string) bool {
	if len(s) < 3 || s[:3] != "to=" {
		return false
	}
	var ok bool
	if f.Recipient, s, ok = cutAddress(s[3:]); !ok {
		return false
	}
	for {
		if len(s) < len(", status=") {
			return false
		}
		head := word(s)
		if head<<16 == fieldDSN<<16 {
			end := fieldEnd(s, 6)
			f.Enhanced = s[6:end]
			s = s[end:]
			continue
		}
		switch head { // these, too, stand in every line
		case fieldStatus:
			if s[8] == '=' {
				f.Kind = Outcome
				return f.readStatus(s[9:])
			}
		case fieldRelay:
			end := fieldEnd(s, 8)
			f.readRelay(s[8:end])
			s = s[end:]
			continue
		case fieldDelay:
			s = s[fieldEnd(s, 8):]
			continue
		case fieldDelays:
			if s[8] == '=' {
				s = s[fieldEnd(s, 9):]
				continue
			}
		}
		if s, ok = f.readField(s); !ok {
			return false
		}
	}
}

// Beginnings of fields, as word reads them.
const (
	fieldRelay  = ',' | ' '<<8 | 'r'<<16 | 'e'<<24 | 'l'<<32 | 'a'<<40 | 'y'<<48 | '='<<56
	fieldDelay  = ',' | ' '<<8 | 'd'<<16 | 'e'<<24 | 'l'<<32 | 'a'<<40 | 'y'<<48 | '='<<56
	fieldDelays = ',' | ' '<<8 | 'd'<<16 | 'e'<<24 | 'l'<<32 | 'a'<<40 | 'y'<<48 | 's'<<56
	fieldDSN    = ',' | ' '<<8 | 'd'<<16 | 's'<<24 | 'n'<<32 | '='<<40
	fieldStatus = ',' | ' '<<8 | 's'<<16 | 't'<<24 | 'a'<<32 | 't'<<40 | 'u'<<48 | 's'<<56
)

// readField reads one of the other fields before the status: orig_to, or one of no interest like
// conn_use.
func (f *Fact) readField(s string) (rest string, ok bool) {
	if s[0] != ',' || s[1] != ' ' {
		return "", false
	}
	if s[2] == 'o' && strings.HasPrefix(s, ", orig_to=") {
		f.OrigTo, rest, ok = cutAddress(s[len(", orig_to="):])
		return rest, ok
	}
	if eq := strings.IndexByte(s[2:min(len(s), 2+maxFieldName+1)], '='); eq < 1 {
		return "", false
	}
	return s[fieldEnd(s, 2):], true
}

const maxFieldName = 32

// fieldEnd gives where in s the field that at is in ends: at the next ", " or with s. Eight bytes
// at a time, as these fields are short.
func fieldEnd(s string, at int) int {
	for at >= 0 && at < len(s)-8 {
		comma := zeroByte(word(s[at:at+8]) ^ ','*ones)
		if comma == 0 {
			at += 8
			continue
		}
		at += bits.TrailingZeros64(comma) / 8
		if s[at+1] == ' ' {
			return at
		}
		at++
	}
	for ; at+1 < len(s); at++ {
		if s[at] == ',' && s[at+1] == ' ' {
			return at
		}
	}
	return len(s)
}

// readRelay reads `host[ip]:port`; other forms ("none", "virtual", a socket) stay whole.
func (f *Fact) readRelay(s string) {
	f.Relay = s
	open := strings.IndexByte(s, '[')
	if open < 1 {
		return
	}
	if at := len(s) - len("]:25"); at-open > 8 && at-open <= 17 && s[at:] == "]:25" { // as most are
		ip := s[open+1 : at]
		head, tail := word(ip), word(ip[len(ip)-8:])
		if zeroByte(head^']'*ones)|zeroByte(tail^']'*ones)|zeroByte(head^'/'*ones)|zeroByte(tail^'/'*ones) == 0 {
			f.RelayHost, f.RelayIP, f.RelayPort = s[:open], ip, 25
			return
		}
	}
	length := strings.IndexByte(s[open:], ']')
	if length < 0 {
		return
	}
	shut := open + length
	f.RelayHost = s[:open]
	if ip := s[open+1 : shut]; strings.IndexByte(ip, '/') < 0 {
		f.RelayIP = ip
	}
	if shut+2 < len(s) && s[shut+1] == ':' {
		if n, more, ok := number(s[shut+2:]); ok && more == "" && n < 1<<16 {
			f.RelayPort = int(n)
		}
	}
}

// readStatus reads `sent (text)`. A line that Postfix cut at 2,000 bytes has no closing
// parenthesis. SOFTBOUNCE is a bounce that soft_bounce=yes turned into a deferral.
func (f *Fact) readStatus(s string) bool {
	var word, text string
	switch { // the first three by their letters, as nearly all are
	case len(s) >= 5 && s[:5] == "sent ":
		f.Status, word, text = Sent, s[:4], s[5:]
	case len(s) >= 8 && s[:8] == "bounced ":
		f.Status, word, text = Bounced, s[:7], s[8:]
	case len(s) >= 9 && s[:9] == "deferred ":
		f.Status, word, text = Deferred, s[:8], s[9:]
	default:
		word, text, _ = strings.Cut(s, " ")
		if word == "" {
			return false
		}
		f.Status = statusOf(word)
	}
	f.StatusWord = word
	if text != "" && text[0] == '(' {
		text = text[1:]
	}
	if n := len(text); n > 0 && text[n-1] == ')' {
		text = text[:n-1]
	}
	f.Description = text
	f.Reply, f.Code = serverReply(text)
	if f.Enhanced == "" && len(f.Reply) > 4 {
		f.Enhanced = enhancedCode(f.Reply[4:])
	}
	if f.Status == Sent {
		f.Next = nextHop(text)
	}
	return true
}

func statusOf(word string) Status {
	switch word {
	case "sent":
		return Sent
	case "bounced":
		return Bounced
	case "deferred", "SOFTBOUNCE":
		return Deferred
	}
	return Other
}

// nextHop gives the ID behind the last "queued as" or "forwarded as". A far server may say so too,
// with an ID of its own or an invented one: whether the ID lives here is the agent's to check.
func nextHop(text string) QueueID {
	const mark = "ed as "
	i := lastIndex(text, mark)
	if i < 0 || !strings.HasSuffix(text[:i], "queu") && !strings.HasSuffix(text[:i], "forward") {
		return ""
	}
	return wholeQueueID(text[i+len(mark):])
}

// serverReply finds the words of a server inside a description, and their code:
//
//	250 2.0.0 OK
//	host mx.example[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command)
//	host mx.example[192.0.2.1] refused to talk to me: 554 5.7.1 no
//
// each also behind "delivery temporarily suspended: ". The lines of a long reply stand behind one
// another, each with its code.
func serverReply(text string) (reply string, code int) {
	if code = replyCode(text); code != 0 {
		return text, code
	}
	text = strings.TrimPrefix(text, "delivery temporarily suspended: ")
	text, ok := strings.CutPrefix(text, "host ")
	if !ok {
		return "", 0
	}
	_, text, _ = strings.Cut(text, " ")
	if reply, ok = strings.CutPrefix(text, "refused to talk to me: "); ok {
		return reply, replyCode(reply)
	}
	if reply, ok = strings.CutPrefix(text, "said: "); !ok {
		return "", 0
	}
	if i := strings.LastIndexByte(reply, '('); i > 0 && strings.HasPrefix(reply[i-1:], " (in reply to ") {
		reply = reply[:i-1]
	}
	return reply, replyCode(reply)
}
