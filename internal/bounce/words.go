package bounce

import (
	"mime"

	"github.com/emersion/go-message/charset"
)

// decodeWords decodes the encoded words of a header field (RFC 2047).
func decodeWords(s string) string {
	d := mime.WordDecoder{CharsetReader: charset.Reader}
	if plain, err := d.DecodeHeader(s); err == nil {
		return plain
	}
	return s
}
