package mtalog

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"
	"time"
)

// postfix reads the log of Postfix 2.3 and later, of any instance and with any syslog_name. It
// remembers how the last line began that said something, as the next one mostly begins alike.
type postfix struct {
	clock    clock
	tags     tags
	leads    leads
	host     string
	stampLen int
	begin    beginning // stamp and host, each with its blank; none when the stamp has a fraction
	at       time.Time
}

func newPostfix(o Options) *postfix {
	return &postfix{clock: clock{loc: o.Location, now: o.Now}}
}

// Parse implements Parser.
func (p *postfix) Parse(line []byte, f *Fact) bool {
	if len(line) > MaxLine {
		return false
	}
	if n := p.begin.cut(line); n > 0 {
		if l, length := p.leads.cut(line[n:]); length > 0 {
			if !p.say(l.tag, line[n+length:], f) {
				return false
			}
			f.Time, f.Host = p.at, p.host
			return true
		}
	}
	pre, ok := p.likeLast(line)
	if !ok {
		if pre, ok = cutPrefix(line); !ok {
			return false
		}
	}
	return p.parse(line, &pre, f)
}

// parse reads a line that was taken apart.
func (p *postfix) parse(line []byte, pre *prefix, f *Fact) bool {
	text := trimText(pre.text)
	if speaks(text) == 0 {
		return false
	}
	at, ok := p.clock.parse(pre.stamp)
	lead := pre.tag
	if !ok || !pre.bareTag() {
		return false
	}
	t := p.tags.get(pre.tag)
	if !p.say(t, text, f) {
		return false
	}
	if string(pre.host) != p.host {
		p.host = clean(pre.host)
	}
	p.leads.keep(lead, t)
	p.stampLen, p.at, p.begin = len(pre.stamp), at, beginning{}
	if p.stampLen == 15 && len(pre.host) > 0 && line[0] != '<' {
		p.begin.keep(line[:15+1+len(pre.host)+1])
	}
	f.Time, f.Host = at, p.host
	return true
}

// likeLast takes apart a line whose stamp and host are as long and as the last one's, which saves
// looking for their ends. It is cutPrefix's short way and answers false wherever that must decide.
func (p *postfix) likeLast(line []byte) (pre prefix, ok bool) {
	n := p.stampLen
	at := n + 1 + len(p.host)
	if n < 15 || p.host == "" || len(line) < at+2 || line[n] != ' ' || line[at] != ' ' ||
		string(line[n+1:at]) != p.host || line[0] == '<' {
		return pre, false
	}
	if fixed := fixedStamp(line); n < fixed || n > fixed && bytes.IndexByte(line[fixed:n], ' ') >= 0 {
		return pre, false
	}
	b := line[at+1:]
	end := bytes.IndexByte(b, ' ')
	if end < 1 || b[end-1] != ':' {
		return pre, false
	}
	return prefix{stamp: line[:n], host: line[n+1 : at], tag: b[:end-1], text: skipBlanks(b[end+1:])}, true
}

// ParseMessage implements Parser.
func (p *postfix) ParseMessage(name string, t time.Time, text []byte, f *Fact) bool {
	if len(text) > MaxLine || len(name) > MaxLine {
		return false
	}
	if !p.say(p.tags.get([]byte(name)), text, f) {
		return false
	}
	f.Host, f.Time = "", t.UTC()
	return true
}

// say reads the text of a line of tag t. Nearly all texts about messages begin with a short queue ID
// that ends within 14 bytes; the others take the long way.
func (p *postfix) say(t *tag, text []byte, f *Fact) bool {
	if len(text) < 16 || text[len(text)-1] <= ' ' {
		return p.sayOddly(t, text, f)
	}
	x := (*[16]byte)(text)
	var n int
	if bad := notHex(binary.LittleEndian.Uint64(x[:8])); bad != 0 {
		n = bits.TrailingZeros64(bad) / 8
	} else {
		n = 8 + bits.TrailingZeros64(notHex(binary.LittleEndian.Uint64(x[8:])))/8
	}
	if n < 6 || n > 13 || x[n] != ':' || x[n+1] != ' ' {
		return p.sayOddly(t, text, f)
	}
	s := share(text)
	return p.read(t, s[:n], s[n+2:], f)
}

// sayOddly is say for every text.
func (p *postfix) sayOddly(t *tag, text []byte, f *Fact) bool {
	text = trimText(skipBlanks(text))
	n := speaks(text)
	if n == 0 {
		return false
	}
	s := share(text)
	return p.read(t, s[:n], s[n+2:], f)
}

// trimText drops trailing blanks and unwraps `message repeated N times: [ text]` around an outcome.
func trimText(b []byte) []byte {
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\r' || b[len(b)-1] == '\n') {
		b = b[:len(b)-1]
	}
	if len(b) > 16 && string(b[:16]) == "message repeated" && bytes.Contains(b, []byte(" to=<")) {
		if i := bytes.Index(b, []byte(": [")); i >= 0 && i < 40 && b[len(b)-1] == ']' {
			return skipBlanks(b[i+3 : len(b)-1])
		}
	}
	return b
}

// noQueue stands where a message was refused before it had a queue ID.
const noQueue = "NOQUEUE"

// speaks gives the length of the queue ID, or of noQueue, that text begins with, so that most
// lines end here: 0 when there is none or nothing behind it.
func speaks(text []byte) int {
	n := queueIDLen(text)
	if n == 0 && len(text) > len(noQueue) && string(text[:len(noQueue)]) == noQueue {
		n = len(noQueue)
	}
	if n+2 >= len(text) || text[n] != ':' || text[n+1] != ' ' {
		return 0
	}
	return n
}

// read gives the fact of a body that speaks about a queue ID or noQueue. Of the fact
// it leaves Time and Host to the caller. The first letter decides most, so that a line of no
// interest ends before the fact is touched.
func (p *postfix) read(t *tag, id, body string, f *Fact) bool {
	if id == noQueue {
		if !entryWord(body) {
			return false
		}
		f.begin(t, "")
		return f.readReject(repair(body))
	}
	switch body[0] {
	case 't':
		f.begin(t, id)
		ok, plain := inspect(body)
		if !ok {
			body, plain = clean([]byte(body)), false
		}
		f.Plain = plain
		return f.readOutcome(body)
	case 'f':
		if t.manager {
			f.begin(t, id)
			return f.readSender(body)
		}
	case 'c':
		if len(body) >= 7 && body[:7] == "client=" {
			f.begin(t, id)
			return f.readClient(body)
		}
	case 'm':
		if len(body) > 11 && body[:11] == "message-id=" {
			f.begin(t, id)
			return f.readMessageID(repair(body[11:]))
		}
	case 'r':
		if body == "removed" || body == "requeued" {
			f.begin(t, id)
			return f.readGone(body[2] == 'm')
		}
	}
	if !entryWord(body) {
		return false
	}
	f.begin(t, id)
	return f.readEntry(repair(body))
}

// begin makes f a fact of a line of tag t about a queue ID, which says nothing yet.
func (f *Fact) begin(t *tag, id string) {
	f.reset()
	f.Tag, f.Instance, f.Process = t.whole, t.instance, t.process
	f.Queue = QueueID(id)
}

// reset clears what this parser's last line may have set, but for Time and Host. The kinds that
// come with every message set little, and clearing all of a fact takes longer than reading them.
func (f *Fact) reset() {
	if k := f.Kind; k != Fresh && k != MessageID && k != Sender && k != Removed {
		*f = Fact{}
		return
	}
	f.Kind, f.Queue, f.Prev, f.MessageID = None, "", "", ""
	f.Sender, f.Size, f.NRcpt = "", 0, 0
}

// readGone reads `removed` and `requeued`. Both postsuper and the queue manager say removed; in a
// log that lost the process it counts as the queue manager's.
func (f *Fact) readGone(removed bool) bool {
	switch {
	case !removed:
		f.Kind = Requeued
	case f.Process == "postsuper":
		f.Kind = Deleted
	default:
		f.Kind = Removed
	}
	return true
}

// readSender reads `from=<a>, size=1, nrcpt=1 (queue active)` and
// `from=<a>, status=expired, returned to sender`.
func (f *Fact) readSender(s string) bool {
	if len(s) < 5 || s[:5] != "from=" {
		return false
	}
	var ok bool
	if f.Sender, s, ok = cutAddress(s[5:]); !ok {
		return false
	}
	f.Sender = repair(f.Sender) // of the rest nothing is kept but numbers and words known here
	if word, isStatus := strings.CutPrefix(s, ", status="); isStatus {
		word, _, _ = strings.Cut(word, ",")
		f.Kind, f.StatusWord = Expired, word
		return word == "expired" || word == "force-expired"
	}
	if len(s) < 7 || s[:7] != ", size=" {
		return false
	}
	f.Kind = Sender
	if f.Size, s, ok = number(s[7:]); !ok {
		return false
	}
	if len(s) < 8 || s[:8] != ", nrcpt=" {
		return false
	}
	n, _, ok := number(s[8:])
	f.NRcpt = int(min(n, 1<<30))
	return ok
}

// Letters of queue IDs: short ones are upper-case hexadecimal, long ones are written with 52
// letters and digits, vowels left out (enable_long_queue_ids).
const (
	shortID = 1 << iota
	longID
)

var idLetters = func() (t [256]uint8) {
	for _, c := range "0123456789ABCDEF" {
		t[c] |= shortID
	}
	for _, c := range "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz" {
		t[c] |= longID
	}
	return t
}()

// queueIDLen gives the length of the queue ID at the start of b, 0 when there is none. A short ID
// has five digits of microseconds and at least one of inode, a long one at least twelve letters.
func queueIDLen[T string | []byte](b T) int {
	kind, n := uint8(shortID|longID), 0
	for n < len(b) && n <= MaxQueueID && kind&idLetters[b[n]] != 0 {
		kind &= idLetters[b[n]]
		n++
	}
	if n < 6 || n > MaxQueueID || (kind&shortID == 0 && n < 10) {
		return 0
	}
	return n
}

// notHex sets the top bit of the lowest byte of x that is no upper-case hexadecimal digit; what it
// says of the bytes above that one is void.
func notHex(x uint64) uint64 {
	digit := (x + (0x80-'0')*ones) &^ (x + (0x80-'9'-1)*ones)
	letter := (x + (0x80-'A')*ones) &^ (x + (0x80-'F'-1)*ones)
	return (^(digit | letter) | x) & tops
}

// queueIDAfter gives the queue ID that follows the last mark in s; "" when none does.
func queueIDAfter(s, mark string) QueueID {
	i := lastIndex(s, mark)
	if i < 0 {
		return ""
	}
	return wholeQueueID(s[i+len(mark):])
}

// wholeQueueID gives the queue ID that s begins with when no letter follows it.
func wholeQueueID(s string) QueueID {
	n := queueIDLen(s)
	if n < len(s) && !strings.ContainsRune(" ,;.)", rune(s[n])) {
		return ""
	}
	return QueueID(s[:n])
}
