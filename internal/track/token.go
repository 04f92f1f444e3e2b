package track

import (
	"bytes"
	stdflate "compress/flate"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/flate"

	"github.com/waypost-mail/waypost"
)

// Kind is what a token is for. The numbers are part of the tokens.
type Kind uint8

// The kinds.
const (
	Open        Kind = 1
	Click       Kind = 2
	Unsubscribe Kind = 3
)

// Token is what a tracking URL says.
type Token struct {
	Kind    Kind
	Message waypost.UUID
	Relayed time.Time // when the message was made for its relay, in whole seconds after the UUID's
	Link    int       // of a click: its place in the message, from 1
	Links   int       // of a click: how many links the same part of the message has
	URL     string    // of a click: where to go, at most MaxURL bytes
}

// MaxURL bounds the URL of a click, in bytes.
const MaxURL = 8 << 10

// ErrToken is returned for what is no token of this installation: forged, cut,
// changed, or made under keys that are gone.
var ErrToken = errors.New("not a token of this installation")

// A token is base64url without padding of
//
//	version and key  2 bytes
//	kind and flags   1 byte
//	UUID             16 bytes
//	delay            uvarint, seconds from the UUID's time to the relay
//	link, links      uvarint each, of a click
//	URL              of a click
//	MAC              16 bytes of HMAC-SHA-256 over all before it
const (
	tokenVersion = 1
	macSize      = 16
	headSize     = 3 + 16
	maxRaw       = headSize + 3*binary.MaxVarintLen32 + MaxURL + macSize

	flagHTTPS   = 0x10 // "https://" stands before the URL
	flagDeflate = 0x20 // the URL is compressed
	kindMask    = 0x0f

	maxNumber = 1 << 30 // of seconds and of links

	https = "https://"
	// worthDeflate is the length from which compressing a URL is tried: below
	// it hardly ever pays.
	worthDeflate = 200
)

// maxToken is the length of the longest token.
var maxToken = encoding.EncodedLen(maxRaw)

// encoding refuses a token with stray bits at its end, so that each token has
// one spelling.
var encoding = base64.RawURLEncoding.Strict()

// Keys sign and check tokens. They are safe for concurrent use.
type Keys struct {
	first byte
	macs  map[byte]*sync.Pool // of *signer
}

// signer is a hash under a key with room for what it works on.
type signer struct {
	hash      hash.Hash
	sum       [sha256.Size]byte
	raw, text []byte
}

// NewKeys takes the keys by number; the first signs, all check. It panics
// unless first is among them.
func NewKeys(first byte, keys map[byte][]byte) *Keys {
	k := &Keys{first: first, macs: map[byte]*sync.Pool{}}
	for n, key := range keys {
		key = bytes.Clone(key)
		k.macs[n] = &sync.Pool{New: func() any { return &signer{hash: hmac.New(sha256.New, key)} }}
	}
	if k.macs[first] == nil {
		panic(fmt.Sprintf("BUG: tracking key %d is not among the keys", first))
	}
	return k
}

// mac is the MAC of b, valid until the next call.
func (s *signer) mac(b []byte) []byte {
	s.hash.Reset()
	s.hash.Write(b)
	return s.hash.Sum(s.sum[:0])[:macSize]
}

// Append appends the token to dst, in characters that a URL takes as they are.
// The URL must not be longer than MaxURL.
func (k *Keys) Append(dst []byte, t *Token) []byte {
	pool := k.macs[k.first]
	sign := pool.Get().(*signer)
	defer pool.Put(sign)
	raw := append(sign.raw[:0], tokenVersion, k.first, byte(t.Kind))
	raw = append(raw, t.Message[:]...)
	delay := t.Relayed.Sub(t.Message.Time()) / time.Second
	raw = binary.AppendUvarint(raw, uint64(min(max(delay, 0), maxNumber)))
	if t.Kind == Click {
		raw = binary.AppendUvarint(raw, uint64(t.Link))
		raw = binary.AppendUvarint(raw, uint64(t.Links))
		var flags byte
		raw, flags = appendLink(raw, t.URL)
		raw[2] |= flags
	}
	raw = append(raw, sign.mac(raw)...)
	sign.raw = raw
	return encoding.AppendEncode(dst, raw)
}

// Open reads a token. The error is ErrToken.
func (k *Keys) Open(token string) (Token, error) {
	if len(token) > maxToken || strings.ContainsAny(token, "\r\n") { // which the decoder would pass over
		return Token{}, ErrToken
	}
	pool := k.macs[k.first] // the room of any will do
	room := pool.Get().(*signer)
	defer pool.Put(room)
	room.text = append(room.text[:0], token...)
	room.raw = slices.Grow(room.raw[:0], len(token))[:encoding.DecodedLen(len(token))]
	raw := room.raw
	n, err := encoding.Decode(raw, room.text)
	if err != nil || n < headSize+1+macSize || raw[0] != tokenVersion {
		return Token{}, ErrToken
	}
	keys := k.macs[raw[1]]
	if keys == nil {
		return Token{}, ErrToken
	}
	body, mac := raw[:n-macSize], raw[n-macSize:n]
	sign := keys.Get().(*signer)
	defer keys.Put(sign)
	if !hmac.Equal(mac, sign.mac(body)) {
		return Token{}, ErrToken
	}
	return parseToken(body)
}

// parseToken reads a body that was signed here.
func parseToken(body []byte) (Token, error) {
	t := Token{Kind: Kind(body[2] & kindMask)}
	copy(t.Message[:], body[3:headSize])
	rest := body[headSize:]
	number := func() (int, bool) {
		v, n := binary.Uvarint(rest)
		if n <= 0 || v > maxNumber {
			return 0, false
		}
		rest = rest[n:]
		return int(v), true
	}
	delay, ok := number()
	if !ok || t.Kind < Open || t.Kind > Unsubscribe {
		return Token{}, ErrToken
	}
	t.Relayed = t.Message.Time().Add(time.Duration(delay) * time.Second)
	if t.Kind != Click {
		return t, nil
	}
	var a, b bool
	t.Link, a = number()
	t.Links, b = number()
	if !a || !b {
		return Token{}, ErrToken
	}
	var err error
	t.URL, err = openLink(rest, body[2])
	return t, err
}

// dictionary has what URLs of mails often hold. It is part of version 1.
const dictionary = "/newsletter/unsubscribe/product/account/order/index.html.php?id=&token=&ref=&email=&lang=en&source=&gclid=" +
	"&mc_cid=&mc_eid=%2F%3A%20%3D%26%40utm_id=&utm_term=&utm_content=&utm_campaign=&utm_medium=email&utm_source=newsletter.com/http://https://www."

// buffers are for compressing.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// appendLink appends a URL in its shortest form and tells which that is.
func appendLink(dst []byte, url string) (_ []byte, flags byte) {
	if rest, ok := strings.CutPrefix(url, https); ok {
		url, flags = rest, flagHTTPS
	}
	if len(url) >= worthDeflate {
		buf := buffers.Get().(*bytes.Buffer)
		defer buffers.Put(buf)
		buf.Reset()
		err := flate.StatelessDeflate(buf, []byte(url), true, []byte(dictionary))
		if err == nil && buf.Len() < len(url) {
			return append(dst, buf.Bytes()...), flags | flagDeflate
		}
	}
	return append(dst, url...), flags
}

// openLink undoes appendLink.
func openLink(b []byte, flags byte) (string, error) {
	var url strings.Builder
	if flags&flagHTTPS != 0 {
		url.WriteString(https)
	}
	if flags&flagDeflate == 0 {
		url.Write(b)
	} else {
		r := stdflate.NewReaderDict(bytes.NewReader(b), []byte(dictionary))
		if _, err := io.Copy(&url, io.LimitReader(r, MaxURL+1)); err != nil {
			return "", ErrToken
		}
	}
	if url.Len() > MaxURL {
		return "", ErrToken
	}
	return url.String(), nil
}
