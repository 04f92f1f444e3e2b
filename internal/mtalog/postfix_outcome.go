package mtalog

import "strings"

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
		if s, ok = strings.CutPrefix(s, ", "); !ok {
			return false
		}
		eq := strings.IndexByte(s, '=')
		if eq < 1 || eq > 32 {
			return false
		}
		key := s[:eq]
		s = s[eq+1:]
		switch key {
		case "status":
			f.Kind = Outcome
			return f.readStatus(s)
		case "orig_to":
			if f.OrigTo, s, ok = cutAddress(s); !ok {
				return false
			}
			continue
		}
		end := fieldEnd(s)
		switch key {
		case "relay":
			f.readRelay(s[:end])
		case "dsn":
			f.Enhanced = s[:end]
		}
		s = s[end:]
	}
}

// fieldEnd gives the length of the value that s begins with, up to the next ", " or to the end.
func fieldEnd(s string) int {
	for at := 0; ; at++ {
		i := strings.IndexByte(s[at:], ',')
		if i < 0 {
			return len(s)
		}
		if at += i; at+1 < len(s) && s[at+1] == ' ' {
			return at
		}
	}
}

// readRelay reads `host[ip]:port`; other forms ("none", "virtual", a socket) stay whole.
func (f *Fact) readRelay(s string) {
	f.Relay = s
	open := strings.IndexByte(s, '[')
	if open < 1 {
		return
	}
	shut := strings.IndexByte(s[open:], ']')
	if shut < 0 {
		return
	}
	f.RelayHost = s[:open]
	if ip := s[open+1 : open+shut]; !strings.Contains(ip, "/") {
		f.RelayIP = ip
	}
	if port, ok := strings.CutPrefix(s[open+shut+1:], ":"); ok {
		if n, rest, ok := number(port); ok && rest == "" && n < 1<<16 {
			f.RelayPort = int(n)
		}
	}
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
