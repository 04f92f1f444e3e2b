package mtalog

import (
	"bytes"
	"time"
)

// prefix is a log line taken apart: everything before the text, and the text.
type prefix struct {
	stamp []byte
	host  []byte // may be empty
	tag   []byte // with the process number until bareTag
	text  []byte
}

// cutPrefix takes apart a line in any of the forms that syslog daemons write: traditional
// (RFC 3164, with or without priority; also what Postfix's postlogd writes), RFC 3339 and RFC 5424.
func cutPrefix(line []byte) (p prefix, ok bool) {
	if len(line) > 0 && line[0] == '<' {
		end := bytes.IndexByte(line[:min(len(line), 6)], '>')
		if end < 2 {
			return p, false
		}
		line = line[end+1:]
		if len(line) > 2 && line[0] == '1' && line[1] == ' ' {
			return cutRFC5424(line[2:])
		}
	}
	if len(line) < 20 {
		return p, false
	}
	n := fixedStamp(line)
	end := bytes.IndexByte(line[n:], ' ')
	if end < 0 {
		return p, false
	}
	p.stamp = line[:n+end]
	return p, p.cutTag(line[n+end+1:])
}

// fixedStamp is the length of a stamp without fraction and zone, by its look.
func fixedStamp(line []byte) int {
	if line[4] == '-' {
		return 19
	}
	return 15
}

// cutTag reads `host tag[pid]: text`; the host may be missing, and so may the number.
func (p *prefix) cutTag(b []byte) bool {
	end := bytes.IndexByte(b, ' ')
	if end < 1 {
		return false
	}
	if b[end-1] != ':' {
		p.host = b[:end]
		b = skipBlanks(b[end+1:])
		if end = bytes.IndexByte(b, ' '); end < 1 || b[end-1] != ':' {
			return false
		}
	}
	p.text = skipBlanks(b[end+1:])
	p.tag = b[:end-1]
	return len(p.tag) > 0
}

// bareTag drops the process number from the tag; false is a tag that is none.
func (p *prefix) bareTag() bool {
	if n := len(p.tag); n > 0 && p.tag[n-1] == ']' {
		for i := n - 2; ; i-- {
			if i < 0 {
				return false
			}
			if p.tag[i] == '[' {
				p.tag = p.tag[:i]
				break
			}
		}
	}
	return len(p.tag) > 0
}

// cutRFC5424 reads `time host app procid msgid structured-data text` (RFC 5424 section 6).
func cutRFC5424(b []byte) (p prefix, ok bool) {
	var field [5][]byte
	for i := range field {
		sp := bytes.IndexByte(b, ' ')
		if sp < 1 {
			return p, false
		}
		field[i], b = b[:sp], b[sp+1:]
	}
	p.stamp, p.tag = field[0], field[2]
	if host := field[1]; string(host) != "-" {
		p.host = host
	}
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	} else if b, ok = skipStructuredData(b); !ok {
		return p, false
	}
	b = skipBlanks(b)
	p.text = bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF"))
	return p, true
}

// skipStructuredData skips `[id name="value"]...`, where a value may hold an escaped ] or ".
func skipStructuredData(b []byte) ([]byte, bool) {
	quoted, inside := false, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"' && inside:
			quoted = !quoted
		case c == '[' && !quoted:
			inside = true
		case c == ']' && !quoted:
			inside = false
		case !inside:
			return b[i:], c == ' ' && i > 0
		}
	}
	return nil, false
}

// clock turns stamps into times and remembers the last second, as lines come in bursts.
type clock struct {
	loc      *time.Location
	now      func() time.Time
	lastText [15]byte // traditional
	lastTime time.Time
	isoText  [19]byte // RFC 3339 without fraction and zone
	isoZone  string
	isoTime  time.Time
}

// parse reads a stamp in traditional or RFC 3339 form.
func (c *clock) parse(b []byte) (time.Time, bool) {
	if len(b) >= 19 && b[4] == '-' {
		nanos, zone := fraction(b[19:])
		if string(b[:19]) != string(c.isoText[:]) || string(zone) != c.isoZone {
			t, ok := c.iso(b[:19], zone)
			if !ok {
				return t, false
			}
			c.isoTime, c.isoZone = t, string(zone)
			copy(c.isoText[:], b)
		}
		return c.isoTime.Add(time.Duration(nanos)), true
	}
	if len(b) < 15 {
		return time.Time{}, false
	}
	if string(b[:15]) != string(c.lastText[:]) {
		t, ok := c.traditional(b)
		if !ok {
			return t, false
		}
		c.lastTime = t
		copy(c.lastText[:], b)
	}
	if len(b) == 15 {
		return c.lastTime, true
	}
	nanos, rest := fraction(b[15:])
	if len(rest) > 0 {
		return time.Time{}, false
	}
	return c.lastTime.Add(time.Duration(nanos)), true
}

const monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"

// traditional reads "Nov  4 04:02:53" and finds its year: the latest that puts it at most a day
// after now. A 29 February goes back to a leap year.
func (c *clock) traditional(b []byte) (t time.Time, ok bool) {
	month := 0
	for i := 0; i < len(monthNames); i += 3 {
		if string(b[:3]) == monthNames[i:i+3] {
			month = i/3 + 1
		}
	}
	day := digits(b[5:6])
	if b[4] != ' ' {
		day = digits(b[4:6])
	}
	h, m, s := digits(b[7:9]), digits(b[10:12]), digits(b[13:15])
	if month == 0 || day < 1 || day > 31 || !clockTime(h, m, s) ||
		b[3] != ' ' || b[6] != ' ' || b[9] != ':' || b[12] != ':' {
		return t, false
	}
	limit := c.now().Add(24 * time.Hour)
	for y := limit.In(c.loc).Year(); y > limit.Year()-10; y-- {
		t = time.Date(y, time.Month(month), day, h, m, s, 0, c.loc)
		if int(t.Month()) == month && !t.After(limit) {
			return t.UTC(), true
		}
	}
	return t, false
}

// iso reads "2026-11-24T04:05:32" and a zone: the T may be a space, the zone may be missing, its
// colon too.
func (c *clock) iso(b, zone []byte) (t time.Time, ok bool) {
	y, mon, day := digits(b[0:4]), digits(b[5:7]), digits(b[8:10])
	h, m, s := digits(b[11:13]), digits(b[14:16]), digits(b[17:19])
	if y < 1970 || mon < 1 || mon > 12 || day < 1 || day > 31 || !clockTime(h, m, s) ||
		b[7] != '-' || (b[10] != 'T' && b[10] != ' ') || b[13] != ':' || b[16] != ':' {
		return t, false
	}
	if len(zone) == 0 {
		return time.Date(y, time.Month(mon), day, h, m, s, 0, c.loc).UTC(), true
	}
	offset, ok := zoneOffset(zone)
	if !ok {
		return t, false
	}
	t = time.Date(y, time.Month(mon), day, h, m, s, 0, time.UTC)
	return t.Add(-time.Duration(offset) * time.Minute), true
}

// zoneOffset reads Z, +hh:mm or +hhmm in minutes east.
func zoneOffset(b []byte) (minutes int, ok bool) {
	if len(b) == 1 && (b[0] == 'Z' || b[0] == 'z') {
		return 0, true
	}
	if len(b) != 5 && (len(b) != 6 || b[3] != ':') {
		return 0, false
	}
	h, m := digits(b[1:3]), digits(b[len(b)-2:])
	if h < 0 || h > 23 || m < 0 || m > 59 {
		return 0, false
	}
	switch b[0] {
	case '+':
		return h*60 + m, true
	case '-':
		return -h*60 - m, true
	}
	return 0, false
}

// fraction reads ".809367" in nanoseconds and gives what follows.
func fraction(b []byte) (nanos int, rest []byte) {
	if len(b) == 0 || b[0] != '.' {
		return 0, b
	}
	scale, i := 100_000_000, 1
	for ; i < len(b) && '0' <= b[i] && b[i] <= '9'; i++ {
		nanos += int(b[i]-'0') * scale
		scale /= 10
	}
	return nanos, b[i:]
}

func clockTime(h, m, s int) bool {
	return h >= 0 && h < 24 && m >= 0 && m < 60 && s >= 0 && s < 61
}

// digits reads b as a decimal number; -1 when a byte is not a digit.
func digits(b []byte) int {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}
