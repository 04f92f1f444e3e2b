package api

import (
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// samples are bodies for the reference, for operations whose schema alone
// gives a poor one.
var samples = map[string]string{
	"post-subaccount-email": `{
    "from": {"email": "hello@example.com", "name": "Example"},
    "to": [{"email": "someone@example.org", "customFields": {"first": "Some"}}],
    "subject": "Hello {{first}}",
    "htmlBody": "<p>Hello {{first}}</p>",
    "textBody": "Hello {{first}}",
    "groups": ["welcome"],
    "ippool": "my server"
  }`,
	"post-account-tpsp": `{
    "name": "my server",
    "type": 3,
    "smtpHost": "mail.example.com",
    "smtpPort": 587,
    "smtpSecurity": "starttls",
    "smtpUsername": "user",
    "smtpPassword": "secret",
    "maxRatePerHour": 1000
  }`,
	"post-account-ippool": `{
    "name": "both servers",
    "routingStrategy": 2,
    "routingMetaData": "{\"TPSP_1\":\"75\",\"TPSP_2\":\"25\"}"
  }`,
	"post-account-key": `{
    "name": "shop",
    "kind": "subaccount",
    "subAccountId": 1,
    "scopes": ["send"],
    "networks": ["203.0.113.0/24"]
  }`,
	"post-tpsp-custom-smtp-events": `{
    "agent": {"id": "mail1", "version": "1.0", "hostname": "mail1.example.com", "mta": "postfix"},
    "events": [{"event_id": "1", "message_id": "0195912e-8f4a-7cc0-9d3f-5f2d1a6b7c8d", "event_type": "delivered"}]
  }`,
}

// sampleWords are values for fields, by the end of their names.
var sampleWords = []struct {
	end   string
	value any
}{
	{"email", "someone@example.org"},
	{"recipient", "someone@example.org"},
	{"from", "2026-03-01"},
	{"to", "2026-03-31"},
	{"url", "https://example.com/hook"},
	{"endpoint", "https://example.com/hook"},
	{"publicip", "192.0.2.1"},
	{"by", "mailbox"},
	{"group", "welcome"},
	{"ippool", "my server"},
	{"host", "mail.example.com"},
	{"name", "example.com"},
}

// sample makes a value that a schema allows: the fields that are required, or
// the first few where none is.
func sample(all huma.Registry, name string, s *huma.Schema, depth int) any {
	if s == nil || depth > 4 {
		return nil
	}
	if s.Ref != "" {
		return sample(all, name, all.SchemaFromRef(s.Ref), depth+1)
	}
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	switch s.Type {
	case huma.TypeObject:
		out := map[string]any{}
		for field, p := range s.Properties {
			if slices.Contains(s.Required, field) || len(s.Required) == 0 && depth < 2 {
				out[field] = sample(all, field, p, depth+1)
			}
		}
		return out
	case huma.TypeArray:
		return []any{sample(all, strings.TrimSuffix(name, "s"), s.Items, depth+1)}
	case huma.TypeInteger, huma.TypeNumber:
		return 1
	case huma.TypeBoolean:
		return true
	}
	for _, w := range sampleWords {
		if strings.HasSuffix(strings.ToLower(name), w.end) {
			return w.value
		}
	}
	if name == "id" {
		return "1"
	}
	return "…"
}
