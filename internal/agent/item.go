package agent

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
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

// eventID names an event so that the server recognises a repetition (D-32):
// the same line gives the same id however often it is read.
func eventID(u waypost.UUID, it *waypost.ReportItem) string {
	var room [256]byte
	b := append(room[:0], u[:]...)
	b = append(append(b, it.Recipient...), 0)
	b = append(append(b, it.EventType...), 0)
	b = append(append(b, it.QueueID...), 0)
	b = binary.BigEndian.AppendUint64(b, uint64(it.Timestamp.UnixMicro()))
	sum := sha256.Sum256(b)
	var text [32]byte
	hex.Encode(text[:], sum[:16])
	return string(text[:])
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
