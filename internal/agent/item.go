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

func itemOf(f *mtalog.Fact, word string) waypost.ReportItem {
	return waypost.ReportItem{
		EventType: word, Recipient: recipientOf(f), Timestamp: waypost.Timestamp{Time: f.Time},
		SMTPCode: f.Code, EnhancedCode: clip(f.Enhanced, maxItemWord), SMTPDescription: clip(f.Description, maxItemText),
		QueueID: waypost.QueueID(f.Queue), Relay: clip(f.Relay, maxItemWord),
	}
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
	it.EventID = string(appendEventID(nil, &e.UUID, &it))
	return it
}

// appendEventID names an event so that the server recognises a repetition
// (D-32): the same line gives the same id however often it is read, by this
// release or another. It is 128 bits in hexadecimal, mixed from the message's
// random id, recipient, type, queue id and the time of the line.
func appendEventID(b []byte, u *waypost.UUID, it *waypost.ReportItem) []byte {
	h := newDigest(u)
	h.text(it.Recipient)
	h.text(it.EventType)
	h.text(string(it.QueueID))
	h.word(uint64(it.Timestamp.UnixMicro()))
	first, second := h.sum()
	return appendHex(appendHex(b, first), second)
}

// digest is a hash of 128 bits: two lanes, each a chain of 64 by 64 bit
// multiplications whose halves are folded, over eight bytes at a time. It is
// no defence against someone who may choose every input; here nobody may.
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
	h.word(binary.LittleEndian.Uint64(u[0:]))
	h.word(binary.LittleEndian.Uint64(u[8:]))
	return h
}

func (h *digest) word(x uint64) {
	h.a = fold(h.a^x, oddA) + bits.RotateLeft64(x, 32)
	h.b = fold(h.b^bits.RotateLeft64(x, 17), oddB) + x
}

// text adds a text and its length, so that no two lists of texts run together
// to the same bytes.
func (h *digest) text(s string) {
	h.word(uint64(len(s)))
	for ; len(s) >= 8; s = s[8:] {
		h.word(uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56)
	}
	last := uint64(0)
	for i := range len(s) {
		last |= uint64(s[i]) << (8 * i)
	}
	h.word(last)
}

func (h *digest) sum() (uint64, uint64) {
	a, b := h.a, h.b
	return fold(a^oddB, b^oddA), fold(bits.RotateLeft64(a, 32)^oddA, b^oddB)
}

func appendHex(b []byte, x uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[x>>shift&15])
	}
	return b
}

// reasonOf hashes what makes two deferrals the same for a reader: the codes
// and the words, without words that hold a digit, as those name connections,
// times and queue ids.
func reasonOf(f *mtalog.Fact) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	add := func(s string) {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * prime
		}
		h = (h ^ ' ') * prime
	}
	add(f.Enhanced)
	h = (h ^ uint64(f.Code)) * prime
	text := strings.TrimPrefix(f.Description, "delivery temporarily suspended: ")
	for word := range strings.SplitSeq(text, " ") {
		if !strings.ContainsAny(word, "0123456789") {
			add(word)
		}
	}
	return h
}
