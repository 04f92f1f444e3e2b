package simulator

import (
	"fmt"
	"strings"
	"sync"

	gosmtp "github.com/emersion/go-smtp"
)

// reply is what a recipient's server says of one attempt.
type reply struct {
	code     int
	enhanced gosmtp.EnhancedCode
	text     string
}

// word is the status that Postfix logs for the reply.
func (r reply) word() string {
	switch {
	case r.code < 400:
		return "sent"
	case r.code < 500:
		return "deferred"
	}
	return "bounced"
}

func (r reply) dsn() string {
	return fmt.Sprintf("%d.%d.%d", r.enhanced[0], r.enhanced[1], r.enhanced[2])
}

func (r reply) String() string { return fmt.Sprintf("%d %s %s", r.code, r.dsn(), r.text) }

func (r reply) smtp() *gosmtp.SMTPError {
	return &gosmtp.SMTPError{Code: r.code, EnhancedCode: r.enhanced, Message: r.text}
}

// The local parts with an outcome of their own.
const (
	localHardBounce = "hardbounce"
	localSoftBounce = "softbounce"
	localDeferred   = "deferred"
	localRefused    = "refused"
	localReader     = "reader" // delivered, and the mailbox is read
)

// answer is what the recipient's server says at RCPT to an attempt, counted
// from 1; code 250 when it takes the message.
func answer(recipient string, attempt int) reply {
	switch local := localPart(recipient); {
	case local == localHardBounce:
		return reply{550, gosmtp.EnhancedCode{5, 1, 1}, "<" + recipient + ">: Recipient address rejected: User unknown"}
	case local == localSoftBounce:
		return reply{552, gosmtp.EnhancedCode{5, 2, 2}, "<" + recipient + ">: Mailbox full, quota exceeded"}
	case local == localDeferred && attempt == 1:
		return reply{451, gosmtp.EnhancedCode{4, 7, 1}, "<" + recipient + ">: Greylisted, try again later"}
	}
	return reply{250, gosmtp.EnhancedCode{2, 0, 0}, "Ok"}
}

// notNow is why the mail server itself refuses the first attempts to hand it
// mail for refused@.
var notNow = reply{451, gosmtp.EnhancedCode{4, 3, 2}, "System not accepting mail now"}

// refusal is notNow in the words in which Postfix puts it to the client.
func refusal(recipient string) reply {
	r := notNow
	r.text = "<" + recipient + ">: Recipient address rejected: " + r.text
	return r
}

// localPart is what decides: in lower case, without a plus sign and what
// follows it.
func localPart(recipient string) string {
	local, _, _ := strings.Cut(recipient, "@")
	local, _, _ = strings.Cut(local, "+")
	return strings.ToLower(local)
}

// tally counts attempts by sender and recipient. A return path is of one
// message only, so the two name a message. It forgets everything when full.
type tally struct {
	mu sync.Mutex
	n  map[[2]string]int
}

const tallyMost = 10_000

// next counts one more attempt and gives its number, from 1.
func (t *tally) next(sender, recipient string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil || len(t.n) >= tallyMost {
		t.n = map[[2]string]int{}
	}
	k := [2]string{sender, recipient}
	t.n[k]++
	return t.n[k]
}
