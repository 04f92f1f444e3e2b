package waypost

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ReturnPath is the envelope sender of every message that Waypost relays:
// bounces+{uuid}+{sub-account}@sp-bounce.{domain}, or with another separator in
// both places. The address says by itself which message bounced (variable
// envelope return path), and the queue manager of every mail server logs it.
type ReturnPath struct {
	UUID       UUID
	SubAccount int64
	Domain     string    // the bounce host, sp-bounce.{sender domain}
	Separator  Separator // before UUID and sub-account; zero: +
}

// Separator stands in a return path in place of the plus sign, which some mail
// servers refuse or take for a delimiter of their own. The zero Separator is the
// plus sign. Addresses are read in every form, whatever they are written in.
type Separator byte

// ParseSeparator reads "+", "=" or "-"; "" is the plus sign.
func ParseSeparator(s string) (Separator, error) {
	switch s {
	case "", "+":
		return 0, nil
	case "=", "-":
		return Separator(s[0]), nil
	}
	return 0, fmt.Errorf("%q is none of the separators + = -", s)
}

// String gives the character.
func (s Separator) String() string {
	if s == 0 {
		return "+"
	}
	return string(rune(s))
}

// BounceLabel is the label put before the sender domain to make the host of
// its return paths (sendpost.md, d.1).
const BounceLabel = "sp-bounce"

// ErrReturnPath is returned for an address that is no return path of ours.
var ErrReturnPath = errors.New("not a return path of the form bounces+{uuid}+{sub-account}@{host}")

// String gives the address, without angle brackets.
func (r ReturnPath) String() string {
	sep := r.Separator.String()
	return returnPathMark + sep + r.UUID.String() + sep + strconv.FormatInt(r.SubAccount, 10) + "@" + r.Domain
}

// ParseReturnPath reads an address that is exactly a return path. Case does
// not matter: some mail servers fold the local part.
func ParseReturnPath(address string) (ReturnPath, error) {
	var r ReturnPath
	rest, ok := cutReturnPath(address, &r)
	if !ok || !strings.HasPrefix(rest, "@") || CheckDomain(rest[1:]) != nil {
		return ReturnPath{}, ErrReturnPath
	}
	r.Domain = strings.ToLower(rest[1:])
	return r, nil
}

// FindReturnPath looks for a return path anywhere inside an envelope sender,
// because a mail server on the way may wrap it (SRS) or append to it. Domain
// is whatever follows the @ directly, and empty when something else follows.
func FindReturnPath(sender string) (ReturnPath, bool) {
	var r ReturnPath
	rest, ok := findReturnPath(sender, &r)
	if !ok {
		return ReturnPath{}, false
	}
	if strings.HasPrefix(rest, "@") {
		r.Domain = strings.ToLower(rest[1:])
	}
	return r, true
}

// FindReturnPathUUID is FindReturnPath for a caller that reads a log and needs
// the message alone.
func FindReturnPathUUID(sender string) (UUID, bool) {
	var r ReturnPath
	if _, ok := findReturnPath(sender, &r); !ok {
		return UUID{}, false
	}
	return r.UUID, true
}

const returnPathMark = "bounces"

// shortestReturnPath is the length of a return path up to the first digit of
// its sub-account.
const shortestReturnPath = len(returnPathMark) + len("+018f3c7e-1111-7222-8333-000000000000+1")

// findReturnPath fills r without its domain and gives what follows it.
func findReturnPath(sender string, r *ReturnPath) (rest string, ok bool) {
	if len(sender) < shortestReturnPath { // as recipients mostly are
		return "", false
	}
	if strings.HasPrefix(sender, returnPathMark) { // as it mostly is
		if rest, ok = cutReturnPath(sender, r); ok {
			return rest, true
		}
	}
	for sep := -1; ; {
		i := strings.IndexAny(sender[sep+1:], "+=-") // rarer than the letters before it
		if i < 0 {
			return "", false
		}
		sep += 1 + i
		at := sep - len(returnPathMark)
		if at < 0 {
			continue
		}
		if rest, ok = cutReturnPath(sender[at:], r); ok {
			return rest, true
		}
	}
}

// cutReturnPath reads bounces+{uuid}+{sub-account} from the start of s, with the
// same separator in both places.
func cutReturnPath(s string, r *ReturnPath) (rest string, ok bool) {
	const mark = returnPathMark
	if len(s) < shortestReturnPath || s[:len(mark)] != mark && !strings.EqualFold(s[:len(mark)], mark) {
		return "", false
	}
	sep, s := s[len(mark)], s[len(mark)+1:]
	if sep != '+' && sep != '=' && sep != '-' || s[36] != sep || !r.UUID.parse(s[:36]) {
		return "", false
	}
	if r.Separator = Separator(sep); sep == '+' {
		r.Separator = 0
	}
	digits := s[37:]
	id, n := int64(0), 0
	for ; n < len(digits) && digits[n] >= '0' && digits[n] <= '9'; n++ {
		if id = 10*id + int64(digits[n]-'0'); id > math.MaxInt32 {
			return "", false
		}
	}
	r.SubAccount = id
	return digits[n:], id > 0
}
