package bounce

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/waypost-mail/waypost"
)

// maxRecipients bounds the recipients of one report.
const maxRecipients = 64

// block is a group of fields of a delivery status (RFC 3464, section 2.1).
type block = header

// isStatus recognises a delivery status that is not typed as one.
func isStatus(body []byte) bool {
	head := body[:min(len(body), 64<<10)]
	low := bytes.ToLower(unquote(head))
	return lineStarts(low, "final-recipient:") && lineStarts(low, "action:") ||
		lineStarts(low, "reporting-mta:") && lineStarts(low, "status:")
}

// unquote takes the marks off a report that somebody forwarded as a quotation.
func unquote(body []byte) []byte {
	if !bytes.Contains(body, []byte("\n> Final-Recipient")) {
		return body
	}
	return bytes.ReplaceAll(body, []byte("\n> "), []byte("\n"))
}

func lineStarts(low []byte, prefix string) bool {
	return bytes.HasPrefix(low, []byte(prefix)) || bytes.Contains(low, []byte("\n"+prefix))
}

// statusBlocks reads the groups of fields. A blank line ends a group, and so
// does a second Final-Recipient, for want of one.
func statusBlocks(body []byte) []block {
	var blocks []block
	current := make(block)
	last := ""
	for line := range bytes.Lines(unquote(body)) {
		line = bytes.TrimRight(line, "\r\n")
		if len(bytes.TrimSpace(line)) == 0 {
			if len(current) > 0 {
				blocks, current = append(blocks, current), make(block)
			}
			last = ""
		} else if line[0] == ' ' || line[0] == '\t' {
			if last != "" && len(current[last]) < maxField {
				current[last] += " " + string(bytes.TrimSpace(line))
			}
		} else if name, value, ok := bytes.Cut(line, []byte(":")); ok && !bytes.ContainsAny(name, " \t") {
			last = strings.ToLower(string(name))
			if _, dup := current[last]; dup && last == "final-recipient" {
				blocks, current = append(blocks, current), make(block)
			}
			if _, dup := current[last]; !dup && len(current) < maxFields {
				current[last] = string(bytes.TrimSpace(value))
			}
		} else if last != "" && len(current[last]) < maxField {
			current[last] += " " + string(bytes.TrimSpace(line)) // an unfolded continuation
		}
		if len(blocks) > 2*maxRecipients {
			break
		}
	}
	if len(current) > 0 {
		blocks = append(blocks, current)
	}
	return blocks
}

// fromStatus fills a report from its delivery status. It answers false when
// that says nothing of a recipient.
func (p *parser) fromStatus(rep *Report) bool {
	for _, b := range p.status {
		if id := b["original-envelope-id"]; id != "" && rep.EnvelopeID == "" {
			rep.EnvelopeID = clip(id, 100)
		}
		if id := b["x-postfix-queue-id"]; id != "" && rep.QueueID == "" {
			rep.QueueID = waypost.QueueID(clip(id, 64))
		}
		if b["action"] == "" && b["status"] == "" && b["final-recipient"] == "" {
			continue
		}
		a := typed(b["final-recipient"])
		for _, name := range []string{"x-actual-recipient", "original-recipient", "x-original-recipient"} {
			if a == "" || !strings.Contains(a, "@") {
				if other := typed(b[name]); other != "" {
					a = other
				}
			}
		}
		if a == "" || len(rep.Recipients) >= maxRecipients {
			continue
		}
		rep.Recipients = appendRecipient(rep.Recipients, p.statusRecipient(a, b))
	}
	if len(rep.Recipients) == 0 {
		return false
	}
	p.fillTexts(rep.Recipients)
	rep.Kind = KindDelivered
	for _, r := range rep.Recipients {
		if r.Action == "failed" {
			rep.Kind = KindBounce
		} else if r.Action == "delayed" && rep.Kind != KindBounce {
			rep.Kind = KindDelayed
		}
	}
	return true
}

func (p *parser) statusRecipient(a string, b block) Recipient {
	status, _, _ := strings.Cut(strings.TrimSpace(b["status"]), " ")
	diag := b["diagnostic-code"]
	if kind, text, ok := strings.Cut(diag, ";"); ok && !strings.Contains(strings.TrimSpace(kind), " ") {
		diag = strings.TrimSpace(text)
	}
	action := strings.ToLower(b["action"])
	action = strings.Trim(action[:len(action)-len(strings.TrimLeft(action, "abcdefghijklmnopqrstuvwxyz"))], " ")
	switch {
	case strings.HasPrefix(action, "delay"):
		action = "delayed"
	case action == "delivered", action == "relayed", action == "expanded":
	case strings.HasPrefix(action, "fail"), !strings.HasPrefix(status, "2") && !strings.HasPrefix(status, "4"):
		action = "failed"
	case strings.HasPrefix(status, "4"):
		action = "delayed"
	default:
		action = "delivered"
	}
	r := Recipient{Address: a, Action: action, Reply: Reply{Enhanced: status, Text: clip(diag, maxText)}}
	if action == "failed" && status == "4.0.0" {
		r.Reply.Enhanced = "" // given up, so the class says nothing
	}
	return r
}

// fillTexts gives recipients of whom the status says nothing exact what the
// notice says of them.
func (p *parser) fillTexts(list []Recipient) {
	all := make([]string, len(list))
	for i, r := range list {
		all[i] = r.Address
	}
	for i := range list {
		r := &list[i].Reply
		if (r.Enhanced == "" || strings.HasSuffix(r.Enhanced, ".0")) && len(codesOnly.ReplaceAllString(r.Text, "")) < 12 {
			r.Text = clip(strings.TrimSpace(r.Text+" "+p.textAbout(all[i], all)), maxText)
		}
	}
}

var codesOnly = regexp.MustCompile(`(?i)smtp|[\d.;\s#-]`)

func appendRecipient(list []Recipient, r Recipient) []Recipient {
	for i := range list {
		if strings.EqualFold(list[i].Address, r.Address) {
			if list[i].Reply.Text == "" {
				list[i] = r
			}
			return list
		}
	}
	return append(list, r)
}

// typed reads "rfc822; a@example.com".
func typed(s string) string {
	if _, after, ok := strings.Cut(s, ";"); ok {
		s = after
	}
	if a := address(s); a != "" {
		return a
	}
	return strings.Trim(s, " <>\t\"")
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
