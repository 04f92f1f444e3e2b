package mtalog

import "strings"

// entryWords are the beginnings readEntry knows.
var entryWords = [...]string{
	"uid=", "sender non-delivery", "info: header ", "warning: header ",
	"X-Send", "x-send", "reject: ", "discard: ", "milter-reject: ", "milter-discard: ",
	"hold: header ", "filter: header ", "prepend: header ", "redirect: header ", "bcc: header ",
}

// entryWord reports whether readEntry has business with body, before anything is copied.
func entryWord(body string) bool {
	for _, w := range entryWords {
		if strings.HasPrefix(body, w) {
			return true
		}
	}
	return false
}

// readEntry reads the rarer lines of a queue ID: arrival, headers, notifications, rejections.
func (f *Fact) readEntry(s string) bool {
	switch s[0] {
	case 'u':
		return f.readPickup(s)
	case 's':
		if id, ok := strings.CutPrefix(s, "sender non-delivery notification: "); ok {
			f.Kind = Notification
			f.Next = QueueID(id[:queueIDLen(id)])
			return f.Next != ""
		}
	case 'X', 'x':
		return f.readHeader(s)
	}
	if action, rest, ok := strings.Cut(s, ": header "); ok && len(action) < 10 {
		switch action {
		case "info", "warning", "hold", "filter", "prepend", "redirect", "bcc":
			return f.readHeader(rest)
		}
	}
	return f.readReject(s)
}

// readMessageID reads what follows `message-id=`.
func (f *Fact) readMessageID(s string) bool {
	f.Kind = MessageID
	f.MessageID = strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">")
	return f.MessageID != ""
}

// readClient reads `client=host[ip], orig_queue_id=OLD, ...`; without a comma there is nothing to
// look for.
func (f *Fact) readClient(s string) bool {
	f.Kind = Fresh
	if at := strings.IndexByte(s, ','); at >= 0 {
		f.Prev = queueIDAfter(repair(s[at:]), ", orig_queue_id=")
	}
	return true
}

// readPickup reads `uid=0 from=<a> orig_id=OLD`; orig_id stands behind a requeue.
func (f *Fact) readPickup(s string) bool {
	s, ok := strings.CutPrefix(s, "uid=")
	if !ok {
		return false
	}
	_, s, ok = strings.Cut(s, " from=")
	if !ok {
		return false
	}
	if f.Sender, s, ok = cutAddress(s); !ok {
		return false
	}
	f.Kind = Fresh
	f.Prev = queueIDAfter(s, " orig_id=")
	return true
}

// readHeader reads `X-Sendpost-Message-UUID: value ...`, as header_checks logs it or a milter of
// one's own, which may write = for the colon. Other headers are none of ours.
func (f *Fact) readHeader(s string) bool {
	n := len(UUIDHeader)
	if len(s) <= n || !strings.EqualFold(s[:n], UUIDHeader) || (s[n] != ':' && s[n] != '=') {
		return false
	}
	value, _, _ := strings.Cut(strings.TrimLeft(s[n+1:], " "), " ")
	f.Kind, f.Header, f.HeaderValue = Header, s[:n], value
	return value != ""
}

// readReject reads `reject: RCPT from host[ip]: 550 5.1.1 text; from=<a> to=<b> proto=ESMTP`, also
// discard and the milter- forms of both. Description is the part before "; from=<".
func (f *Fact) readReject(s string) bool {
	action, s, ok := strings.Cut(s, ": ")
	if !ok {
		return false
	}
	switch strings.TrimPrefix(action, "milter-") {
	case "reject", "discard":
	default:
		return false
	}
	f.Kind, f.StatusWord, f.Description = Reject, action, s
	if i := envelopeStart(s); i >= 0 {
		f.Description = s[:i]
		f.readEnvelope(s[i+len("; from="):])
	}
	if shut := strings.IndexByte(f.Description, ']'); shut >= 0 {
		_, f.Reply, _ = strings.Cut(f.Description[shut:], ": ")
	}
	rest := f.Reply
	if f.Code = replyCode(rest); f.Code != 0 && len(rest) > 4 {
		rest = rest[4:]
	}
	f.Enhanced = enhancedCode(rest)
	return true
}

// envelopeStart finds "; from=<" outside any address in s; -1 when there is none.
func envelopeStart(s string) int {
	const mark = "; from="
	for i := 0; i < len(s); i++ {
		if s[i] != '<' {
			continue
		}
		if strings.HasSuffix(s[:i], mark) {
			return i - len(mark)
		}
		if _, rest, ok := cutAddress(s[i:]); ok {
			i = len(s) - len(rest) - 1
		}
	}
	return -1
}

// readEnvelope reads `<a> to=<b> ...`; postscreen puts commas between.
func (f *Fact) readEnvelope(s string) {
	var ok bool
	if f.Sender, s, ok = cutAddress(s); !ok {
		return
	}
	s = strings.TrimPrefix(strings.TrimPrefix(s, ","), " ")
	if s, ok = strings.CutPrefix(s, "to="); ok {
		f.Recipient, _, _ = cutAddress(s)
	}
}
