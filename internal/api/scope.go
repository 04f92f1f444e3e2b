package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost"
)

// What a key with scopes may do. A key without any may do everything of its
// kind.
const (
	scopeSend   = "send"
	scopeRead   = "read"
	scopeManage = "manage"
	scopeKeys   = "keys"
)

// scopeWords tells what each scope opens, for the document and the reference.
var scopeWords = []struct{ Name, Words string }{
	{scopeSend, "send mail"},
	{scopeRead, "read everything: settings, messages with their contents, events, statistics"},
	{scopeManage, "change settings: sub-accounts, domains, providers, pools, webhooks, suppressions, the queue"},
	{scopeKeys, "make, change and end API keys; a key gives no more than it has"},
}

// scopeOf says which scope an operation asks for.
func scopeOf(method, path string) string {
	switch {
	case strings.HasPrefix(path, "/subaccount/email"):
		return scopeSend
	case strings.HasPrefix(path, "/account/key"):
		return scopeKeys
	case method == http.MethodGet, strings.HasSuffix(path, "/explain"):
		return scopeRead
	}
	return scopeManage
}

// scopeAsked is the scope that an operation was described with.
func scopeAsked(op *huma.Operation, scheme string) string {
	for _, s := range op.Security {
		if words := s[scheme]; len(words) > 0 {
			return words[0]
		}
	}
	return ""
}

// opens tells whether a key has the scope asked for.
func opens(key *waypost.APIKey, scope string) bool {
	return len(key.Scopes) == 0 || scope == "" || slices.Contains(key.Scopes, scope)
}

// denied refuses a good key that may not do this: the request is 403, though
// the table of statuses has no such case, since the key needs no repair.
func denied(message string) *Error {
	e := fail(http.StatusForbidden, message)
	e.Body.Code, e.Body.Type = "permission_denied", "permission_error"
	return e
}
