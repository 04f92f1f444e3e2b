package sso

import (
	"errors"
	"fmt"
	"strings"

	"github.com/waypost-mail/waypost"
)

// Identity is who logged in, as the issuer vouches for it.
type Identity struct {
	Subject string   // the issuer's name for the person
	Email   string   // verified by the issuer, folded by waypost.FoldEmail
	Name    string   // for people, "" when not told
	Groups  []string // at most maxGroups
}

const (
	maxGroups = 1000
	maxName   = 100 // bytes, as of a person here
)

// readIdentity reads the claims of a verified token.
func readIdentity(subject string, claims map[string]any, groupsClaim string) (Identity, error) {
	id := Identity{Subject: subject}
	if subject == "" || len(subject) > 255 {
		return id, errors.New("the ID token names nobody")
	}
	email, _ := claims["email"].(string)
	if !verified(claims["email_verified"]) || email == "" {
		return id, ErrUnverified
	}
	id.Email = waypost.FoldEmail(email)
	if err := waypost.CheckEmail(id.Email); err != nil {
		return id, fmt.Errorf("the issuer gives an e-mail address that is none: %w", err)
	}
	id.Name, _ = claims["name"].(string)
	if id.Name = strings.TrimSpace(sanitize(id.Name)); len(id.Name) > maxName {
		id.Name = strings.ToValidUTF8(id.Name[:maxName], "")
	}
	id.Groups = readGroups(claims[groupsClaim])
	return id, nil
}

// verified reads email_verified: some issuers write the word.
func verified(v any) bool { return v == true || v == "true" }

// readGroups reads a list of names, or one name.
func readGroups(v any) []string {
	switch v := v.(type) {
	case string:
		if v != "" {
			return []string{v}
		}
	case []any:
		var out []string
		for _, g := range v {
			if name, ok := g.(string); ok && name != "" && len(out) < maxGroups {
				out = append(out, name)
			}
		}
		return out
	}
	return nil
}

// sanitize takes control characters and broken text out of what an issuer says.
func sanitize(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}
