package e2e

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"
)

// The names of the test's world.
const (
	senderName = "news.e2e.example"
	bounceHost = "bounce.e2e.example"
	publicHost = "track.e2e.example"

	cutHost  = "127.0.0.2" // where the sink takes mail for cut.example
	deadHost = "127.0.0.3" // where nobody listens
)

// kind is a sort of recipient: what its mail server says, and what the events
// must be in the end. The local part of an address begins with its name.
type kind struct {
	name   string
	domain string
	share  int // of each 20 recipients

	rcpt, data *smtp.SMTPError // the answers, nil: accepted
	once       bool            // only the first RCPT is refused
	cut        bool            // the first RCPT is answered with a closed connection

	event    int    // the terminal event
	code     int    // its SMTP code, 0: without one
	text     string // in its text
	deferred bool   // the timeline has a deferral
	expires  bool   // the terminal event comes only when Postfix gives up
}

func refuse(code, class, subject, detail int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
}

// stored is the sink's answer to an accepted message.
var stored = refuse(250, 2, 0, 0, "stored in the mailbox")

// kinds are all sorts of recipients of the mixed run.
var kinds = []kind{
	{name: "ok", domain: "people.example", share: 8, event: 60, code: 250, text: stored.Message},
	{
		name: "unknown", domain: "people.example", share: 2, event: 63, code: 550, text: "no mailbox of that name",
		rcpt: refuse(550, 5, 1, 1, "User unknown: no mailbox of that name"),
	},
	{
		name: "full", domain: "people.example", share: 1, event: 64, code: 552, text: "mailbox is full",
		rcpt: refuse(552, 5, 2, 2, "The mailbox is full"),
	},
	{
		name: "grey", domain: "people.example", share: 2, event: 60, code: 250, text: stored.Message, once: true, deferred: true,
		rcpt: refuse(451, 4, 7, 1, "Greylisted, come back in a moment"),
	},
	{
		name: "blocked", domain: "people.example", share: 1, event: 64, code: 550, text: "poor reputation",
		rcpt: refuse(550, 5, 7, 1, "Blocked: sending address has a poor reputation"),
	},
	{
		name: "refused", domain: "people.example", share: 2, event: 64, code: 554, text: "looks like spam",
		data: refuse(554, 5, 7, 1, "Message refused: its content looks like spam"),
	},
	{name: "cut", domain: "cut.example", share: 2, event: 60, code: 250, text: stored.Message, cut: true, deferred: true},
	{
		name: "never", domain: "people.example", share: 1, event: 64, code: 450, text: "mailbox is busy", deferred: true, expires: true,
		rcpt: refuse(450, 4, 2, 0, "The mailbox is busy, always"),
	},
	{name: "dead", domain: "dead.example", share: 1, event: 64, text: "Connection refused", deferred: true, expires: true},
}

// kindOf finds the kind of an address; the zero kind, which is accepted, for
// addresses of no kind: bounces, connection tests.
func kindOf(address string) kind {
	name, _, _ := strings.Cut(address, "-")
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	return kind{}
}

// address makes the n-th address of a kind; mark tells runs apart.
func (k *kind) address(mark string, n int) string {
	return fmt.Sprintf("%s-%s-%d@%s", k.name, mark, n, k.domain)
}

// mixed gives n addresses of all kinds by their shares, n a multiple of 20.
func mixed(mark string, n int) []string {
	var out []string
	for len(out) < n {
		for i := range kinds {
			for range kinds[i].share {
				out = append(out, kinds[i].address(mark, len(out)))
			}
		}
	}
	return out[:n]
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
