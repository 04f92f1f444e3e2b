package api

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// How often servers answered with each SMTP code: of the account, and of a part
// of it by the paths that older clients know (sendpost.md, a.1). An IP in them
// is the one that stands for your servers, and a provider is one of these, by
// its name or id, or who hosts the recipients: a mailbox category.

// CodeStat counts the replies of one SMTP code.
type CodeStat struct {
	Code        int    `json:"smtpCode"`
	Description string `json:"smtpDescription"`
	Count       int64  `json:"count"`
}

type codeQuery struct {
	Days
	SubAccount int64  `query:"subAccountId" doc:"of this sub-account alone"`
	Provider   int64  `query:"tpspId" doc:"of this provider alone"`
	Mailbox    string `query:"mailboxCategory" maxLength:"40" doc:"of recipients of this category alone, such as gmail"`
}

// CodesOf is the query of a part: the IP or the sub-account that stands first
// in the path.
type CodesOf struct {
	ID int64 `path:"id" minimum:"1"`
	Days
}

type codesOfBoth struct {
	CodesOf
	Other int64 `path:"other" minimum:"1"`
}

type codesOfProvider struct {
	CodesOf
	Provider string `path:"provider" maxLength:"100" doc:"name or id of one of your servers, or a mailbox category such as gmail"`
}

func (a *API) codeRoutes() {
	const all, often = "/account/smtp/stat", "How often each SMTP code was answered"
	get := func(path, of string) huma.Operation {
		return statistic(all+path, often+of+", over at most 366 days", waypost.KeyAccount)
	}
	register(a, get("", ""), nil, a.codeStats)
	const ip, sub = "/ip/{id}", "/subaccount/{id}"
	register(a, get(ip+"/aggregate", " to the IP that stands for your servers"), nil, func(ctx context.Context, in *CodesOf) ([]CodeStat, error) {
		return a.codesOf(ctx, &in.Days, in.ID, nil, "")
	})
	register(a, get(sub+"/aggregate", " for a sub-account"), nil, func(ctx context.Context, in *CodesOf) ([]CodeStat, error) {
		return a.codesOf(ctx, &in.Days, waypost.PseudoIP, &in.ID, "")
	})
	register(a, get(ip+"/subaccount/{other}/aggregate", " for a sub-account"), nil, func(ctx context.Context, in *codesOfBoth) ([]CodeStat, error) {
		return a.codesOf(ctx, &in.Days, in.ID, &in.Other, "")
	})
	register(a, get(sub+"/ip/{other}/aggregate", " for a sub-account"), nil, func(ctx context.Context, in *codesOfBoth) ([]CodeStat, error) {
		return a.codesOf(ctx, &in.Days, in.Other, &in.ID, "")
	})
	register(a, get(ip+"/provider/{provider}/aggregate", " by one of your servers, or for a mailbox category"), nil, func(ctx context.Context, in *codesOfProvider) ([]CodeStat, error) {
		return a.codesOf(ctx, &in.Days, in.ID, nil, in.Provider)
	})
	register(a, get(sub+"/provider/{provider}/aggregate", " for a sub-account by one of your servers, or for a mailbox category"), nil, func(ctx context.Context, in *codesOfProvider) ([]CodeStat, error) {
		return a.codesOf(ctx, &in.Days, waypost.PseudoIP, &in.ID, in.Provider)
	})
}

// codesOf counts for a part of the account. A sub-account that the path names is
// one of the account's; "" as the provider is all of them.
func (a *API) codesOf(ctx context.Context, days *Days, ip int64, subAccount *int64, provider string) ([]CodeStat, error) {
	if ip != waypost.PseudoIP {
		return nil, notFound("IP", ip)
	}
	in := codeQuery{Days: *days}
	if subAccount != nil {
		if _, err := a.ownSubAccount(ctx, *subAccount); err != nil {
			return nil, err
		}
		in.SubAccount = *subAccount
	}
	if provider != "" {
		p, err := a.providerNamed(ctx, caller(ctx).Account, provider)
		_, category := waypost.ParseMailbox(provider)
		switch {
		case err != nil:
			return nil, err
		case p.ID != 0: // a server that has the name of a category is meant first
		case category:
			in.Mailbox = provider
		case keyID(provider) < 1:
			return nil, notFound("provider", strconv.Quote(provider))
		default:
			if p, err = a.provider(ctx, keyID(provider)); err != nil {
				return nil, err
			}
		}
		in.Provider = p.ID
	}
	return a.codeStats(ctx, &in)
}

func (a *API) codeStats(ctx context.Context, in *codeQuery) ([]CodeStat, error) {
	q, before := store.StatQuery{By: store.StatByCode, SubAccount: in.SubAccount, Provider: in.Provider}, ""
	if in.Mailbox != "" {
		if _, ok := waypost.ParseMailbox(in.Mailbox); !ok {
			return nil, badRange("mailboxCategory", "must be a mailbox category, such as gmail")
		}
		q.By, before = store.StatByMailboxCode, in.Mailbox+"/"
	}
	rows, err := a.sums(ctx, &in.Days, q)
	if err != nil {
		return nil, err
	}
	out := []CodeStat{}
	for _, r := range rows {
		key, ok := strings.CutPrefix(r.Key, before)
		if !ok {
			continue
		}
		code := int(keyID(key))
		one := CodeStat{Code: code, Description: codeWords(code)}
		for _, n := range r.Counts { // an event counts under one of these, or is an open and has no code
			one.Count += n
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b CodeStat) int { return a.Code - b.Code })
	return out, nil
}

// codes say what a server means by an SMTP code (RFC 5321, section 4.2; RFC
// 4954; RFC 7504).
var codes = map[int]string{
	250: "Taken", 251: "Taken, to be forwarded elsewhere", 252: "Taken without knowing whether the mailbox exists",
	421: "The server hangs up for now", 450: "The mailbox cannot be used for now", 451: "The server met an error of its own",
	452: "The server or the mailbox has no room for now", 454: "Login or TLS does not work for now", 455: "The server cannot do what was asked for now",
	500: "The server does not know the command", 501: "The server cannot read what follows the command", 502: "The server does not do this command",
	503: "The command came out of turn", 504: "The server does not do this variant of the command", 521: "The host takes no mail at all",
	530: "The server wants a login, or TLS, first", 534: "The server wants a stronger way to log in", 535: "User name or password is wrong",
	550: "Refused: no such mailbox, or against a policy", 551: "The mailbox is elsewhere", 552: "Too large, or the mailbox is full",
	553: "The address is not allowed here", 554: "Refused", 555: "The server does not know an option that was asked for",
	556: "The domain takes no mail at all",
}

func codeWords(code int) string {
	if words, ok := codes[code]; ok {
		return words
	}
	switch code / 100 {
	case 2:
		return "Success"
	case 4:
		return "Temporary failure"
	case 5:
		return "Permanent failure"
	}
	return strings.TrimSpace("Reply " + strconv.Itoa(code))
}
