package waypost

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// ReturnPath is the envelope sender of every message that Waypost relays:
// bounces+{uuid}+{sub-account}@sp-bounce.{domain}. The address says by itself
// which message bounced (variable envelope return path), and the queue manager
// of every mail server logs it.
type ReturnPath struct {
	UUID       UUID
	SubAccount int64
	Domain     string // the bounce host, sp-bounce.{sender domain}
}

// BounceLabel is the label put before the sender domain to make the host of
// its return paths (sendpost.md, d.1).
const BounceLabel = "sp-bounce"

// ErrReturnPath is returned for an address that is no return path of ours.
var ErrReturnPath = errors.New("not a return path of the form bounces+{uuid}+{sub-account}@{host}")

// String gives the address, without angle brackets.
func (r ReturnPath) String() string {
	return "bounces+" + r.UUID.String() + "+" + strconv.FormatInt(r.SubAccount, 10) + "@" + r.Domain
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

const returnPathMark = "bounces+"

// findReturnPath fills r without its domain and gives what follows it.
func findReturnPath(sender string, r *ReturnPath) (rest string, ok bool) {
	if strings.HasPrefix(sender, returnPathMark) { // as it mostly is
		if rest, ok = cutReturnPath(sender, r); ok {
			return rest, true
		}
	}
	for plus := -1; ; {
		i := strings.IndexByte(sender[plus+1:], '+') // rare, unlike the letters before it
		if i < 0 {
			return "", false
		}
		plus += 1 + i
		at := plus + 1 - len(returnPathMark)
		if at < 0 {
			continue
		}
		if rest, ok = cutReturnPath(sender[at:], r); ok {
			return rest, true
		}
	}
}

// cutReturnPath reads bounces+{uuid}+{sub-account} from the start of s.
func cutReturnPath(s string, r *ReturnPath) (rest string, ok bool) {
	const mark = returnPathMark
	if len(s) < len(mark)+36+2 || s[len(mark)+36] != '+' || s[:len(mark)] != mark && !strings.EqualFold(s[:len(mark)], mark) {
		return "", false
	}
	if !r.UUID.parse(s[len(mark) : len(mark)+36]) {
		return "", false
	}
	digits := s[len(mark)+37:]
	id, n := int64(0), 0
	for ; n < len(digits) && digits[n] >= '0' && digits[n] <= '9'; n++ {
		if id = 10*id + int64(digits[n]-'0'); id > math.MaxInt32 {
			return "", false
		}
	}
	r.SubAccount = id
	return digits[n:], id > 0
}
