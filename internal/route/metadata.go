package route

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost-mail/waypost"
)

// Plan is what the routing metadata of a pool means.
type Plan struct {
	Members []waypost.PoolMember
	Lists   map[string][]int64
	NamesIP bool // an IP is named, too or alone
}

// errOnlyIPs: what is named is no provider, and some of it an IP.
var errOnlyIPs = errors.New("names IPs alone")

// ParseMetadata reads routingMetaData, a JSON object whose values are text
// (sendpost.md, e.1), for a strategy and the providers listed beside it.
// Members are named TPSP_<id>; IP_<id> is accepted and passed over, because
// this platform has no sending IPs of its own (D-8). When nothing but IPs is
// named, the plan has no members, and says NamesIP. known tells whether a
// provider exists; one that is named must.
//
// The error says which entry is wrong and what it may be.
func ParseMetadata(strategy waypost.Strategy, metadata string, providers []int64, known func(int64) bool) (Plan, error) {
	if len(metadata) > 64<<10 {
		return Plan{}, errors.New("is longer than 64 KiB")
	}
	entries := map[string]json.RawMessage{}
	if strings.TrimSpace(metadata) != "" {
		if err := json.Unmarshal([]byte(metadata), &entries); err != nil {
			return Plan{}, errors.New(`must be a JSON object written as text, such as {"TPSP_1":"100"}`)
		}
	}
	for _, id := range providers {
		if !known(id) {
			return Plan{}, fmt.Errorf("provider %d does not exist in this account", id)
		}
	}
	var plan Plan
	var err error
	switch strategy {
	case waypost.StrategyRoundRobin:
		plan.Members = even(providers)
	case waypost.StrategyVolumePercentage:
		plan.Members, plan.NamesIP, err = weights(entries, providers, known)
	case waypost.StrategyEmailProvider:
		plan.Lists, plan.NamesIP, err = lists(entries, known, categoryKey)
	case waypost.StrategySendingDomain:
		plan.Lists, plan.NamesIP, err = lists(entries, known, domainKey)
	default:
		return Plan{}, fmt.Errorf("strategy %d is none of 0 round robin, 1 by mailbox provider, 2 by volume, 3 by sender domain", strategy)
	}
	if errors.Is(err, errOnlyIPs) && len(providers) == 0 {
		return Plan{NamesIP: true}, nil
	}
	if errors.Is(err, errOnlyIPs) {
		err = errors.New("names no provider and IPs alone, though tpsps lists providers; name them as TPSP_<id>")
	}
	if err != nil {
		return Plan{}, err
	}
	if plan.Lists != nil {
		plan.Members = even(union(providers, plan.Lists))
	}
	if len(plan.Members) == 0 {
		return Plan{}, errors.New("names no provider; list them in tpsps or as TPSP_<id>")
	}
	return plan, nil
}

func even(providers []int64) []waypost.PoolMember {
	var out []waypost.PoolMember
	for _, id := range providers {
		if !slices.ContainsFunc(out, func(m waypost.PoolMember) bool { return m.Provider == id }) {
			out = append(out, waypost.PoolMember{Provider: id, Weight: 1})
		}
	}
	return out
}

func union(providers []int64, lists map[string][]int64) []int64 {
	all := slices.Clone(providers)
	for _, key := range sortedKeys(lists) {
		all = append(all, lists[key]...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// weights reads {"TPSP_1":"3","TPSP_2":"1"}. A provider that is only listed
// beside it has no share.
func weights(entries map[string]json.RawMessage, providers []int64, known func(int64) bool) (out []waypost.PoolMember, ips bool, err error) {
	sum := 0
	for _, name := range sortedKeys(entries) {
		id, ip, err := memberID(name, known)
		if err != nil {
			return nil, false, err
		}
		text := strings.Trim(string(entries[name]), `"`)
		w, err := strconv.Atoi(text)
		if err != nil || w < 0 || w > 1_000_000 {
			return nil, false, fmt.Errorf("%s: the weight %.20q must be a whole number of 0 to 1,000,000, written as text", name, text)
		}
		if ip {
			ips = true
			continue
		}
		out = append(out, waypost.PoolMember{Provider: id, Weight: w})
		sum += w
	}
	if ips && len(out) == 0 && len(providers) == 0 {
		return nil, true, errOnlyIPs
	}
	for _, id := range providers {
		if !slices.ContainsFunc(out, func(m waypost.PoolMember) bool { return m.Provider == id }) {
			if len(entries) > 0 {
				return nil, false, fmt.Errorf("TPSP_%d is in tpsps but has no weight", id)
			}
			out = append(out, waypost.PoolMember{Provider: id, Weight: 1})
			sum++
		}
	}
	if sum == 0 {
		return nil, false, errors.New("the weights sum to zero, so nothing could be sent; give at least one provider a weight above 0")
	}
	return out, ips, nil
}

// lists reads {"0":"[\"TPSP_1\"]","others":"[\"TPSP_2\"]"}.
func lists(entries map[string]json.RawMessage, known func(int64) bool, key func(string) (string, error)) (out map[string][]int64, ips bool, err error) {
	out = map[string][]int64{}
	var empty error
	for _, name := range sortedKeys(entries) {
		to := waypost.OtherList
		if name != waypost.OtherList {
			if to, err = key(name); err != nil {
				return nil, false, err
			}
		}
		var text string
		var names []string
		if json.Unmarshal(entries[name], &text) != nil || json.Unmarshal([]byte(text), &names) != nil {
			return nil, false, fmt.Errorf(`%s: must be a JSON array written as text, such as "[\"TPSP_1\"]"`, name)
		}
		for _, n := range names {
			id, ip, err := memberID(n, known)
			if err != nil {
				return nil, false, fmt.Errorf("%s: %w", name, err)
			}
			if ips = ips || ip; !ip {
				out[to] = append(out[to], id)
			}
		}
		if len(out[to]) == 0 && empty == nil {
			empty = fmt.Errorf("%s: names no provider", name)
		}
	}
	switch {
	case ips && len(out) == 0:
		return nil, true, errOnlyIPs
	case empty != nil:
		return nil, false, empty
	case len(out[waypost.OtherList]) == 0:
		return nil, false, errors.New(`"others" is missing: name the providers for everything that has no list of its own`)
	}
	return out, ips, nil
}

func memberID(name string, known func(int64) bool) (id int64, ip bool, err error) {
	kind, number, ok := strings.Cut(name, "_")
	id, err = strconv.ParseInt(number, 10, 32)
	if !ok || err != nil || id < 1 || kind != "TPSP" && kind != "IP" {
		return 0, false, fmt.Errorf("%.40q is no member; members are written TPSP_<id>", name)
	}
	if kind == "IP" {
		return 0, true, nil
	}
	if !known(id) {
		return 0, false, fmt.Errorf("%s does not exist in this account", name)
	}
	return id, false, nil
}

// categoryKey turns the number of a mailbox provider (sendpost.md, e.1) into
// the name of its category; names are accepted too.
func categoryKey(name string) (string, error) {
	if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < int(waypost.Mailboxes) {
		return waypost.Mailbox(n).String(), nil
	}
	if box, ok := waypost.ParseMailbox(name); ok {
		return box.String(), nil
	}
	return "", fmt.Errorf("%.40q is no mailbox provider: use 0 Gmail, 1 Yahoo, 2 AOL, 3 Microsoft, 4 Comcast, 5 Yandex, 6 GMX, 7 Mail.ru, 8 iCloud, 9 Zoho, 10 QQ, 11 default, a category's name, or others", name)
}

func domainKey(name string) (string, error) {
	if err := waypost.CheckDomain(name); err != nil {
		return "", fmt.Errorf("%.80q is no sender domain: it %w", name, err)
	}
	return strings.ToLower(name), nil
}
