package mtalog

import (
	"math/bits"
	"strings"
)

// readOutcome reads `to=<a>, orig_to=<b>, relay=r, ..., dsn=2.0.0, status=sent (text)`. The fields
// before status= are Postfix's own; behind it everything is text, whatever it looks like. Any
// process may log such a line.
func (f *Fact) readOutcome(s string) bool {
	s, ok := strings.CutPrefix(s, "to=")
	if !ok {
		return false
	}
	if f.Recipient, s, ok = cutAddress(s); !ok {
		return false
	}
	for {
		if len(s) < 4 || s[0] != ',' || s[1] != ' ' {
			return false
		}
		s = s[2:]
		switch { // by their letters: these stand in every line
		case s[0] == 's' && strings.HasPrefix(s, "status="):
			f.Kind = Outcome
			return f.readStatus(s[len("status="):])
		case s[0] == 'r' && strings.HasPrefix(s, "relay="):
			s = f.readRelay(s[len("relay="):])
		case s[0] == 'd' && strings.HasPrefix(s, "dsn="):
			end := fieldEnd(s)
			f.Enhanced, s = s[len("dsn="):end], s[end:]
		case s[0] == 'o' && strings.HasPrefix(s, "orig_to="):
			if f.OrigTo, s, ok = cutAddress(s[len("orig_to="):]); !ok {
				return false
			}
		case s[0] == 'd' && (strings.HasPrefix(s, "delay=") || strings.HasPrefix(s, "delays=")):
			s = s[fieldEnd(s):]
		default: // conn_use and what else there may be
			if eq := strings.IndexByte(s[:min(len(s), maxFieldName+1)], '='); eq < 1 {
				return false
			}
			s = s[fieldEnd(s):]
		}
	}
}

const maxFieldName = 32

// fieldEnd gives the length of the field that s begins with, up to the next ", " or to the end.
// Eight bytes at a time, as these fields are short.
func fieldEnd(s string) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	at := 0
	for ; at+8 < len(s); at += 8 {
		x := word(s[at:]) ^ ','*ones
		comma := (x - ones) &^ x & tops
		for ; comma != 0; comma &= comma - 1 {
			if i := at + bits.TrailingZeros64(comma)/8; s[i] == ',' && s[i+1] == ' ' {
				return i
			}
		}
	}
	for ; at < len(s); at++ {
		if s[at] == ',' && at+1 < len(s) && s[at+1] == ' ' {
			return at
		}
	}
	return len(s)
}

// readRelay reads `host[ip]:port`; other forms ("none", "virtual", a socket) stay whole. It gives
// what follows.
func (f *Fact) readRelay(s string) (rest string) {
	end := fieldEnd(s)
	s, rest = s[:end], s[end:]
	f.Relay = s
	open := strings.IndexByte(s, '[')
	if open < 1 {
		return rest
	}
	shut, path := open+1, false
	for ; shut < len(s) && s[shut] != ']'; shut++ {
		path = path || s[shut] == '/'
	}
	if shut == len(s) {
		return rest
	}
	f.RelayHost = s[:open]
	if !path {
		f.RelayIP = s[open+1 : shut]
	}
	if shut+2 < len(s) && s[shut+1] == ':' {
		if n, more, ok := number(s[shut+2:]); ok && more == "" && n < 1<<16 {
			f.RelayPort = int(n)
		}
	}
	return rest
}

// readStatus reads `sent (text)`. A line that Postfix cut at 2,000 bytes has no closing
// parenthesis. SOFTBOUNCE is a bounce that soft_bounce=yes turned into a deferral.
func (f *Fact) readStatus(s string) bool {
	word, text, _ := strings.Cut(s, " ")
	switch word {
	case "":
		return false
	case "sent":
		f.Status = Sent
	case "bounced":
		f.Status = Bounced
	case "deferred", "SOFTBOUNCE":
		f.Status = Deferred
	default:
		f.Status = Other
	}
	f.StatusWord = word
	text, _ = strings.CutPrefix(text, "(")
	text, _ = strings.CutSuffix(text, ")")
	f.Description = text
	f.Reply = serverReply(text)
	f.Code = replyCode(f.Reply)
	if f.Enhanced == "" && len(f.Reply) > 4 {
		f.Enhanced = enhancedCode(f.Reply[4:])
	}
	if f.Status == Sent {
		f.Next = nextHop(text)
	}
	return true
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

// serverReply finds the words of a server inside a description:
//
//	250 2.0.0 OK
//	host mx.example[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command)
//	host mx.example[192.0.2.1] refused to talk to me: 554 5.7.1 no
//
// each also behind "delivery temporarily suspended: ". The lines of a long reply stand behind one
// another, each with its code.
func serverReply(text string) string {
	if replyCode(text) != 0 {
		return text
	}
	text = strings.TrimPrefix(text, "delivery temporarily suspended: ")
	text, ok := strings.CutPrefix(text, "host ")
	if !ok {
		return ""
	}
	_, text, _ = strings.Cut(text, " ")
	if reply, ok := strings.CutPrefix(text, "refused to talk to me: "); ok {
		return reply
	}
	reply, ok := strings.CutPrefix(text, "said: ")
	if !ok {
		return ""
	}
	if i := strings.LastIndexByte(reply, '('); i > 0 && strings.HasPrefix(reply[i-1:], " (in reply to ") {
		reply = reply[:i-1]
	}
	return reply
}
