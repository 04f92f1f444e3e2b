package store

import (
	"crypto/sha256"
	"strings"

	"github.com/waypost-mail/waypost"
)

// MessageIDKey is the stored form of a Message-ID for look-ups: 16 bytes of its
// hash, as an id may be long and is the customer's to choose.
func MessageIDKey(id waypost.MessageID) []byte {
	sum := sha256.Sum256([]byte(strings.Trim(strings.TrimSpace(string(id)), "<>")))
	return sum[:16]
}

// OwnMessageID gives the key of the Message-ID that a content's call brought,
// nil when it brought none.
func OwnMessageID(c *waypost.Content) []byte {
	for _, h := range c.Headers {
		if strings.EqualFold(h.Name, "Message-ID") {
			return MessageIDKey(waypost.MessageID(h.Value))
		}
	}
	return nil
}
