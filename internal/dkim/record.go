package dkim

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	// maxRecords and maxRecordLength (bytes) bound what CheckRecord looks at.
	maxRecords, maxRecordLength = 32, 8 << 10
)

// What CheckRecord finds wrong, for errors.Is.
var (
	// ErrRecordMissing: no TXT record at the name.
	ErrRecordMissing = errors.New("DKIM record not found")
	// ErrRecordSeveral: more than one TXT record where only the key may be
	// (RFC 6376 section 3.6.2.2).
	ErrRecordSeveral = errors.New("several TXT records at the DKIM name")
	// ErrRecordMalformed: a record that receivers cannot read or must ignore.
	ErrRecordMalformed = errors.New("DKIM record is not usable")
	// ErrRecordRevoked: p= is empty (RFC 6376 section 3.6.1).
	ErrRecordRevoked = errors.New("DKIM key is revoked")
	// ErrRecordWrongKey: a well-formed record of another key.
	ErrRecordWrongKey = errors.New("DKIM record holds another key")
)

// Record returns the TXT value to publish for k, in the vendor's shape
// (sendpost.md d.2). An RSA-2048 record has 425 bytes, more than one
// 255-byte TXT string: zone files need it in two strings. The zero Key gives
// "".
func (k Key) Record() string {
	if k.p == nil {
		return ""
	}
	return "v=DKIM1;k=" + string(k.p.alg) + ";s=email;h=sha256;p=" + k.publicBase64()
}

// CheckRecord judges the TXT records found at a selector's name: nil when
// receivers will find the same public key there as in want, the record asked
// for in the form of [Key.Record]. found holds one value per record, the
// strings of a record joined. Errors wrap one of the ErrRecord values and say
// what to change; they quote at most a few dozen bytes of what was found.
func CheckRecord(found []string, want string) error {
	key, err := parsePublic(want)
	if err != nil {
		return fmt.Errorf("check DKIM record: nothing to compare with: %w", err)
	}
	switch {
	case len(found) == 0:
		return fmt.Errorf("%w: add the TXT record at your DNS provider", ErrRecordMissing)
	case len(found) > maxRecords:
		return fmt.Errorf("%w: %d; leave only the DKIM key there", ErrRecordSeveral, len(found))
	case len(found) > 1:
		return checkSeveral(found, key)
	}
	return checkOne(found[0], key)
}

// public is what a record asked for says: the k= and p= tags.
type public struct {
	alg Algorithm
	p   string // base64 without blanks
}

func parsePublic(record string) (public, error) {
	tags, err := parseTags(record)
	if err != nil {
		return public{}, err
	}
	p, _ := tags.get("p")
	if p = removeSpace(p); p == "" {
		return public{}, errors.New("it has no p= tag")
	}
	k, _ := tags.get("k")
	return public{Algorithm(cmp.Or(k, string(RSA))), p}, nil
}

func checkSeveral(found []string, want public) error {
	advice := "none of them is the expected key; replace them by the one record shown"
	if slices.ContainsFunc(found, func(txt string) bool { return checkOne(txt, want) == nil }) {
		advice = "one of them is the expected key; delete the others"
	}
	return fmt.Errorf("%w: %d where only one may be; %s", ErrRecordSeveral, len(found), advice)
}

func checkOne(txt string, want public) error {
	malformed := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrRecordMalformed, fmt.Sprintf(format, args...))
	}
	if len(txt) > maxRecordLength {
		return malformed("it is %d bytes long; publish the record shown", len(txt))
	}
	if strings.ContainsAny(txt, `"\`) {
		return malformed("the value contains quotation marks or backslashes; enter it without them (found %.40q)", txt)
	}
	tags, err := parseTags(txt)
	if err != nil {
		return malformed("%v; publish the record shown", err)
	}
	if v, ok := tags.get("v"); ok && (v != "DKIM1" || tags[0].name != "v") {
		return malformed("v= must come first and be DKIM1; publish the record shown (found %.40q)", txt)
	}
	p, ok := tags.get("p")
	if !ok {
		return malformed("the p= tag with the key is missing; this may be another kind of record; publish the one shown (found %.40q)", txt)
	}
	if p = removeSpace(p); p == "" {
		return fmt.Errorf("%w: p= is empty; publish the record shown", ErrRecordRevoked)
	}
	if k, _ := tags.get("k"); Algorithm(cmp.Or(k, string(RSA))) != want.alg {
		return fmt.Errorf("%w: its type is k=%.20q, expected k=%s; publish the record shown", ErrRecordWrongKey, cmp.Or(k, string(RSA)), want.alg)
	}
	if h, ok := tags.get("h"); ok && !listHas(h, "sha256") {
		return malformed("h=%.40q does not allow sha256; publish the record shown", h)
	}
	if s, ok := tags.get("s"); ok && !listHas(s, "email") && !listHas(s, "*") {
		return malformed("s=%.40q does not allow email; publish the record shown", s)
	}
	return comparePublic(p, want)
}

// comparePublic compares the p= value, without blanks, with the key.
func comparePublic(p string, want public) error {
	if p == want.p {
		return nil
	}
	if len(p) < len(want.p) && strings.HasPrefix(want.p, p) {
		return fmt.Errorf("%w: the key is cut off after %d of %d characters; enter the whole value, where the provider asks for it as several strings of at most 255 each",
			ErrRecordMalformed, len(p), len(want.p))
	}
	der, err := base64.StdEncoding.DecodeString(p)
	if err != nil {
		return fmt.Errorf("%w: p= is not base64; publish the record shown", ErrRecordMalformed)
	}
	if want.alg == Ed25519 {
		if len(der) != ed25519.PublicKeySize {
			return fmt.Errorf("%w: p= holds %d bytes, an Ed25519 key has %d; publish the record shown", ErrRecordMalformed, len(der), ed25519.PublicKeySize)
		}
		return fmt.Errorf("%w: p= differs from the expected key; publish the record shown", ErrRecordWrongKey)
	}
	return compareRSA(der, want)
}

// compareRSA accepts both encodings in use: SubjectPublicKeyInfo and the
// RSAPublicKey of RFC 6376's text (erratum 3017).
func compareRSA(der []byte, want public) error {
	found := parseRSA(der)
	if found == nil {
		return fmt.Errorf("%w: p= is not an RSA public key; it was changed or cut when entered; publish the record shown", ErrRecordMalformed)
	}
	der, _ = base64.StdEncoding.DecodeString(want.p)
	if asked := parseRSA(der); asked == nil || !found.Equal(asked) {
		return fmt.Errorf("%w: p= differs from the expected key; publish the record shown", ErrRecordWrongKey)
	}
	return nil
}

// parseRSA reads a public key, nil when it is none.
func parseRSA(der []byte) *rsa.PublicKey {
	if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
		return key
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil
	}
	k, _ := key.(*rsa.PublicKey)
	return k
}

type tag struct{ name, value string }

type tagList []tag

func (l tagList) get(name string) (string, bool) {
	for _, t := range l {
		if t.name == name {
			return t.value, true
		}
	}
	return "", false
}

// parseTags reads a tag list (RFC 6376 section 3.2): names are case-sensitive
// and unique, the last semicolon is optional.
func parseTags(s string) (tagList, error) {
	var list tagList
	for part := range strings.SplitSeq(s, ";") {
		part = strings.Trim(part, " \t\r\n")
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.TrimRight(name, " \t\r\n")
		if !ok || !isTagName(name) {
			return nil, fmt.Errorf("%.40q is not a tag of the form name=value", part)
		}
		if _, twice := list.get(name); twice {
			return nil, fmt.Errorf("the tag %.20q occurs twice", name)
		}
		if len(list) == maxRecords {
			return nil, fmt.Errorf("more than %d tags", maxRecords)
		}
		list = append(list, tag{name, strings.TrimLeft(value, " \t\r\n")})
	}
	return list, nil
}

func isTagName(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if letter := 'a' <= c && c <= 'z'; !letter && (i == 0 || s[i] != '_' && (s[i] < '0' || s[i] > '9')) {
			return false
		}
	}
	return s != ""
}

// listHas looks for a word in a colon-separated list.
func listHas(list, word string) bool {
	for part := range strings.SplitSeq(list, ":") {
		if strings.Trim(part, " \t\r\n") == word {
			return true
		}
	}
	return false
}

func removeSpace(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	return strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "").Replace(s)
}
