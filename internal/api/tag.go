package api

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// tags are the chapters of the document and the reference, by the part of a
// path that says what it is about.
var tags = map[string]string{
	"email": "Sending", "template": "Templates", "domain": "Sender domains", "suppression": "Suppressions",
	"subaccount": "Sub-accounts", "settings": "Sub-accounts", "key": "API keys", "tpsp": "Providers",
	"ippool": "Pools and routing", "route": "Pools and routing", "ip": "IPs", "queue": "Queue", "message": "Messages",
	"recipient": "Messages", "event": "Events", "export": "Events", "bounce": "Bounces", "webhook": "Webhooks",
	"stat": "Statistics", "audit": "Audit log", "smtp": "SMTP submission", "health": "Health", "warnings": "Health", "custom-smtp": "Providers",
}

// chapters is the order of the reference; others follow.
var chapters = []string{
	"Sending", "Templates", "Sender domains", "Suppressions", "Messages", "Events", "Bounces", "Statistics", "Webhooks",
	"Providers", "Pools and routing", "Queue", "IPs", "Sub-accounts", "SMTP submission", "API keys", "Audit log", "Health",
}

// tagOf finds the chapter of a path.
func tagOf(path string) string {
	if strings.Contains(path, "/stat") {
		return "Statistics"
	}
	path = strings.TrimPrefix(path, "/account")
	if !strings.HasPrefix(path, "/subaccount/{") && path != "/subaccount" {
		path = strings.TrimPrefix(path, "/subaccount")
	}
	for part := range strings.SplitSeq(path, "/") {
		if tag, ok := tags[part]; ok {
			return tag
		}
	}
	return "Other"
}

func documentTags() []*huma.Tag {
	var out []*huma.Tag
	for _, name := range chapters {
		out = append(out, &huma.Tag{Name: name})
	}
	return out
}
