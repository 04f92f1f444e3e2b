package senderdomain

import (
	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/secret"
)

// keyPlace is the place that DKIM keys are sealed for.
const keyPlace = "dkim key"

// SealKey seals a DKIM key for storage.
func SealKey(box *secret.Box, key dkim.Key) waypost.Sealed {
	return box.Seal(key.Marshal(), keyPlace)
}

// OpenKey reads what SealKey sealed. Errors hold nothing of the key.
func OpenKey(box *secret.Box, sealed waypost.Sealed) (dkim.Key, error) {
	der, err := box.Open(sealed, keyPlace)
	if err != nil {
		return dkim.Key{}, err
	}
	return dkim.ParseKey(der)
}
