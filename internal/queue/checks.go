package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/store"
)

// roles are local parts that belong to a function of a host and to no reader:
// those of RFC 2142, sections 4 and 5, those of programs, and those that say
// that nobody reads them. Functions of a business (info, sales, support) are
// not among them: small ones read their mail there.
var roles = map[string]bool{
	"abuse": true, "noc": true, "security": true, "postmaster": true, "hostmaster": true, "usenet": true, "news": true,
	"webmaster": true, "www": true, "uucp": true, "ftp": true, "root": true, "mailer-daemon": true, "daemon": true,
	"nobody": true, "noreply": true, "no-reply": true, "donotreply": true, "do-not-reply": true, "bounce": true,
	"bounces": true, "devnull": true, "null": true, "spam": true, "majordomo": true, "listserv": true, "sysadmin": true,
}

// role gives the function that an address belongs to, without a detail behind
// "+"; "" when it may be a person's.
func role(email string) string {
	local, _, _ := strings.Cut(waypost.FoldEmail(email), "@")
	local, _, _ = strings.Cut(local, "+")
	if !roles[local] {
		return ""
	}
	return local
}

// check drops the drafts that the sub-account wants refused.
func (q *Queue) check(drafts []ingest.Draft, wanted waypost.RecipientChecks) {
	seen := map[string]bool{}
	for i := range drafts {
		d := &drafts[i]
		if d.Drop != "" {
			continue
		}
		email := waypost.FoldEmail(d.Message.Recipient)
		switch {
		case wanted&waypost.CheckDuplicates != 0 && seen[email]:
			d.Drop, d.Text = waypost.DropDuplicate, "Recipient is named twice in this call; the first message went to it"
		case wanted&waypost.CheckRoles != 0 && role(email) != "":
			d.Drop, d.Text = waypost.DropRole, fmt.Sprintf("Recipient is a role address (%s), which this sub-account does not mail", role(email))
		case wanted&waypost.CheckNullMX != 0 && q.mailboxes.takesNone(email):
			d.Drop, d.Text = waypost.DropNullMX, nullMXText(email)
		}
		seen[email] = true
	}
}

func nullMXText(email string) string {
	return fmt.Sprintf("The domain %s takes no mail: its MX record is null (RFC 7505)", waypost.EmailDomain(email))
}

// nullMX looks again just before relaying: the MX of a domain that was met for
// the first time is known only after its message was accepted. The sub-account
// is read for such domains alone.
func (q *Queue) nullMX(ctx context.Context, m *waypost.Message) (bool, error) {
	if !q.mailboxes.takesNone(m.Recipient) {
		return false, nil
	}
	sub, err := q.cfg.Store.SubAccount(ctx, m.Account, m.SubAccount)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read sub-account %d: %w", m.SubAccount, err)
	}
	return sub.Checks&waypost.CheckNullMX != 0, nil
}
