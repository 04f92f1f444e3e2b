package agent

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// The bounds of an item, in bytes. Postfix cuts its lines at 2,000.
const (
	maxItemText = 4000
	maxItemWord = 1000 // an address or a relay
)

// recipientOf prefers the address the platform submitted over what an alias
// made of it.
func recipientOf(f *mtalog.Fact) string {
	if f.OrigTo != "" {
		return clip(f.OrigTo, maxItemWord)
	}
	return clip(f.Recipient, maxItemWord)
}

// fillItem makes it what f says; it has neither of its ids yet.
func fillItem(it *waypost.ReportItem, f *mtalog.Fact, word string) {
	it.EventID, it.MessageID, it.EventType = "", "", word
	it.Recipient = recipientOf(f)
	it.Timestamp.Time = f.Time
	it.SMTPCode, it.EnhancedCode = f.Code, clip(f.Enhanced, maxItemWord)
	it.SMTPDescription = clip(f.Description, maxItemText)
	it.QueueID = waypost.QueueID(f.Queue)
	it.Relay = clip(f.Relay, maxItemWord)
}

// clip cuts a text to n bytes, not inside a letter.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// cloneItem gives an item in memory of its own.
func cloneItem(it waypost.ReportItem) waypost.ReportItem {
	for _, s := range []*string{&it.Recipient, &it.EnhancedCode, &it.SMTPDescription, &it.Relay} {
		*s = strings.Clone(*s)
	}
	it.QueueID = waypost.QueueID(strings.Clone(string(it.QueueID)))
	return it
}

// Clone gives the event as the item that is sent, in memory of its own.
func (e *Event) Clone() waypost.ReportItem {
	it := cloneItem(e.Item)
	it.MessageID = e.UUID.String()
	var id [32]byte
	first, second := eventID(&e.UUID, &it)
	putHex(id[:], first)
	putHex(id[16:], second)
	it.EventID = string(id[:])
	return it
}

// eventID names an event so that the server recognises a repetition (D-32):
// the same line gives the same id however often it is read, by this release
// or another. It is 128 bits, written in hexadecimal, mixed from the message's
// random id, recipient, type, queue id and the time of the line.
func eventID(u *waypost.UUID, it *waypost.ReportItem) (uint64, uint64) {
	h := newDigest(u).text(it.Recipient).text(it.EventType).text(string(it.QueueID))
	return h.word(uint64(it.Timestamp.UnixMicro())).sum()
}

// digest is a hash of 128 bits: two lanes, each a chain of 64 by 64 bit
// multiplications whose halves are folded, over eight bytes at a time. It is
// no defence against someone who may choose every input; here nobody may. Its
// methods give what follows, so that it stays in the processor's registers.
type digest struct{ a, b uint64 }

const (
	oddA = 0xa0761d6478bd642f
	oddB = 0xe7037ed1a0b428db
)

func fold(x, y uint64) uint64 {
	high, low := bits.Mul64(x, y)
	return high ^ low
}

func newDigest(u *waypost.UUID) digest {
	h := digest{a: oddB, b: oddA}
	return h.word(binary.LittleEndian.Uint64(u[0:])).word(binary.LittleEndian.Uint64(u[8:]))
}

func (h digest) word(x uint64) digest {
	return digest{
		a: fold(h.a^x, oddA) + bits.RotateLeft64(x, 32),
		b: fold(h.b^bits.RotateLeft64(x, 17), oddB) + x,
	}
}

// text adds a text and its length, so that no two lists of texts run together
// to the same bytes. Zeros follow the last bytes up to a whole word.
func (h digest) text(s string) digest {
	h = h.word(uint64(len(s)))
	for at := 0; at < len(s)-7; at += 8 {
		h = h.word(word(s[at : at+8]))
	}
	last := uint64(0)
	if len(s) >= 8 {
		last = word(s[len(s)-8:]) >> (64 - len(s)%8*8)
	} else {
		for i := range len(s) {
			last |= uint64(s[i]) << (8 * i)
		}
	}
	return h.word(last)
}

func (h digest) sum() (uint64, uint64) {
	a, b := h.a, h.b
	return fold(a^oddB, b^oddA), fold(bits.RotateLeft64(a, 32)^oddA, b^oddB)
}

// putHex writes the sixteen digits of x.
func putHex(b []byte, x uint64) {
	binary.BigEndian.PutUint64(b, hexDigits(uint32(x>>32)))
	binary.BigEndian.PutUint64(b[8:], hexDigits(uint32(x)))
}

// hexDigits gives the eight digits of x, the first as the highest byte.
func hexDigits(x uint32) uint64 {
	const each = 0x0101010101010101
	v := uint64(x)
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v | v<<4) & 0x0f0f0f0f0f0f0f0f
	letter := (v + 6*each) >> 4 & each // 1 for ten and more
	return v + '0'*each + letter*('a'-10-'0')
}

// reasonOf hashes what makes two deferrals the same for a reader: the codes
// and the words, without words that hold a digit, as those name connections,
// times and queue ids. It is never 0.
func reasonOf(enhanced string, code int, text string) uint64 {
	h := newDigest(&waypost.UUID{}).text(enhanced).word(uint64(code))
	text = strings.TrimPrefix(text, "delivery temporarily suspended: ")
	for start, digit, i := 0, false, 0; i <= len(text); i++ {
		if i < len(text) && text[i] != ' ' {
			digit = digit || text[i]-'0' < 10
			continue
		}
		if !digit {
			h = h.text(text[start:i])
		}
		start, digit = i+1, false
	}
	reason, _ := h.sum()
	return max(reason, 1)
}
