package waypost

import (
	"fmt"
	"strconv"
	"strings"
)

// SubmissionDomain is the domain of user names of SMTP submission unless
// another is configured (sendpost.md, d.5).
const SubmissionDomain = "sendpost.io"

// SubmissionUser is who submits mail: a credential of a sub-account.
type SubmissionUser struct {
	Name       string // the identifier
	SubAccount int64
}

// Username is the name to log in with below a domain:
// {identifier}@{subaccount_id}.{domain}.
func (u SubmissionUser) Username(domain string) string {
	return fmt.Sprintf("%s@%d.%s", u.Name, u.SubAccount, domain)
}

// ParseSubmissionUser reads a user name in the form of
// [SubmissionUser.Username], below the domain given or [SubmissionDomain], or
// without any domain: {identifier}@{subaccount_id}.
func ParseSubmissionUser(s, domain string) (SubmissionUser, bool) {
	at := strings.LastIndexByte(s, '@')
	if at < 0 || len(s) > MaxEmail {
		return SubmissionUser{}, false
	}
	number, rest, _ := strings.Cut(s[at+1:], ".")
	id, err := strconv.ParseInt(number, 10, 32)
	if err != nil || id <= 0 || number[0] == '+' {
		return SubmissionUser{}, false
	}
	if rest != "" && !strings.EqualFold(rest, domain) && !strings.EqualFold(rest, SubmissionDomain) {
		return SubmissionUser{}, false
	}
	u := SubmissionUser{Name: strings.ToLower(s[:at]), SubAccount: id}
	return u, CheckSubmissionName(u.Name) == nil
}

// CheckSubmissionName refuses what cannot be an identifier: 1 to 64 lower-case
// letters, digits, dots, hyphens and underscores.
func CheckSubmissionName(s string) error {
	if len(s) < 1 || len(s) > 64 {
		return fmt.Errorf("must have 1 to 64 characters")
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '_' {
			return fmt.Errorf("may have lower-case letters, digits, dots, hyphens and underscores alone")
		}
	}
	return nil
}
