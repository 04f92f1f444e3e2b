// Package bounce reads the mails that come back ([Parse]) and judges what a
// mail server said about a recipient ([Judge]): hard (the mailbox or the domain
// is no more) or soft, why, and by which rule.
//
// The same [Judge] serves reports of the agent, replies of the relay and
// delivery status notifications. It promises three things. It never fails: a
// text that no rule knows is soft with reason unknown, because a wrong hard
// loses a customer for good and a wrong soft costs one more mail. It is
// deterministic: the same reply gives the same verdict in every run. It is
// bounded: a text beyond 16 KB is cut, and the work grows with its length
// only.
//
// The rules are data, in the folder rules, read in the order of D-33:
//
//  1. 1-veto.rules: texts that make a bounce soft whatever the code says, even
//     5.1.1: block lists, reputation, spam, authentication, quota, rate,
//     trouble with the sender's address.
//  2. 2-provider.rules: phrases and tokens of single large providers.
//  3. 3-code.rules: exact enhanced status codes (RFC 3463, RFC 5248), and all
//     temporary replies.
//  4. 4-phrase.rules: phrases in many languages for replies whose code is
//     inexact: missing, with detail 0 such as 5.0.0 or 5.3.0, or 5.7.1.
//
// In a judgement the reply's codes are found ([Reply]), the text is folded,
// one pass over it finds every phrase of every rule, and the first rule in
// file order whose phrases and conditions hold decides.
//
// Whether a reason is hard is a property of the reason ([Hard]), never of a
// rule, so no rule can call a full mailbox hard.
//
// Parse takes a mail apart, looks for a delivery status first and for a
// complaint, then reads the text for people; it gives the recipients with the
// [Reply] to be judged, and every mark of ours by which the bounce can be tied
// to its message. It does not decide whether a report is genuine (D-35).
//
// Of this module the package imports the root package only. It does no I/O but
// reading from the reader given to Parse.
package bounce

import (
	"embed"
	"fmt"

	"github.com/waypost-mail/waypost"
)

//go:embed rules/*.rules
var ruleFiles embed.FS

// ruleOrder is the order of D-33.
var ruleOrder = [...]string{"1-veto", "2-provider", "3-code", "4-phrase"}

// maxText bounds the part of a reply's text that is looked at, in bytes.
const maxText = 16 << 10

// Reply is what a server said about one recipient. Any field may be missing.
//
// Text may begin with the codes themselves, may have several lines, and may be
// a mail server's whole account of it ("host a.example[192.0.2.1] said: 550
// 5.1.1 ... (in reply to RCPT TO command)"). When Enhanced is empty or inexact
// (detail 0), a more exact code inside Text counts instead (D-45).
type Reply struct {
	Code     int    // SMTP reply code, 0 when unknown
	Enhanced string // enhanced status code such as 5.1.1, "" when unknown
	Text     string
}

// Judge decides hard or soft. It holds the compiled rules, never changes after
// [NewJudge] and may be used by many goroutines.
type Judge struct {
	rules   []rule
	phrases []phrase
	auto    automaton
}

// NewJudge compiles the embedded rules. It fails only when a rule file is
// malformed, naming file and line.
func NewJudge() (*Judge, error) {
	var rules []rule
	for _, name := range ruleOrder {
		data, err := ruleFiles.ReadFile("rules/" + name + ".rules")
		if err != nil {
			return nil, fmt.Errorf("read bounce rules %s: %w", name, err)
		}
		more, err := parseRules(name, string(data))
		if err != nil {
			return nil, err
		}
		rules = append(rules, more...)
	}
	return compile(rules)
}

// Judge gives the verdict on a reply. Rule is "default" when no rule knew it.
func (j *Judge) Judge(r Reply) waypost.Verdict {
	if len(r.Text) > maxText {
		r.Text = r.Text[:maxText]
	}
	c := codesOf(r)
	var buf [1024]byte
	text := fold(buf[:0], r.Text)
	hit := j.scan(text)
	for i := range j.rules {
		if rule := &j.rules[i]; rule.holds(hit, c) {
			return waypost.Verdict{Hard: Hard(rule.reason), Reason: rule.reason, Rule: rule.id}
		}
	}
	return waypost.Verdict{Reason: Unknown, Rule: "default"}
}
