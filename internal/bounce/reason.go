package bounce

import "github.com/waypost-mail/waypost"

// The reasons of a bounce. The first five are hard; everything else is soft.
const (
	MailboxUnknown waypost.Reason = "mailbox_unknown" // no such mailbox
	DomainUnknown  waypost.Reason = "domain_unknown"  // the domain does not exist
	DomainNoMail   waypost.Reason = "domain_no_mail"  // the domain takes no mail (RFC 7505, no MX)
	Moved          waypost.Reason = "moved"           // the mailbox is gone from here
	Disabled       waypost.Reason = "disabled"        // the mailbox exists but is closed

	MailboxFull    waypost.Reason = "mailbox_full"
	TooLarge       waypost.Reason = "too_large"       // message beyond a size limit
	RateLimited    waypost.Reason = "rate_limited"    // too many messages, recipients or connections
	Greylisted     waypost.Reason = "greylisted"      // told to come back later, as a test
	Blocked        waypost.Reason = "blocked"         // block list or reputation of the sending host or domain
	Spam           waypost.Reason = "spam"            // the message looks like spam
	Virus          waypost.Reason = "virus"           // the message looks infected
	Content        waypost.Reason = "content"         // the message's form: headers, MIME, attachments
	Auth           waypost.Reason = "auth"            // SPF, DKIM, DMARC, PTR
	SenderRejected waypost.Reason = "sender_rejected" // trouble with the sender's address
	Policy         waypost.Reason = "policy"          // a rule of the receiver
	LoginRequired  waypost.Reason = "login_required"  // the server wants SMTP AUTH or other credentials
	TLSRequired    waypost.Reason = "tls_required"
	RelayDenied    waypost.Reason = "relay_denied" // the server does not serve this domain
	Filtered       waypost.Reason = "filtered"     // the recipient's own filter
	Network        waypost.Reason = "network"      // connection or DNS trouble
	Loop           waypost.Reason = "loop"         // too many hops
	Expired        waypost.Reason = "expired"      // given up after many attempts
	System         waypost.Reason = "system"       // trouble inside the receiving system
	Protocol       waypost.Reason = "protocol"     // SMTP syntax or sequence
	Unknown        waypost.Reason = "unknown"      // nothing recognised
)

// Hard tells whether a reason means that the address will never work again.
func Hard(r waypost.Reason) bool {
	switch r { //nolint:exhaustive // all others are soft, and a new one is until it is listed
	case MailboxUnknown, DomainUnknown, DomainNoMail, Moved, Disabled:
		return true
	default:
		return false
	}
}

// Reasons lists every reason, the hard ones first.
func Reasons() []waypost.Reason {
	return []waypost.Reason{
		MailboxUnknown, DomainUnknown, DomainNoMail, Moved, Disabled,
		MailboxFull, TooLarge, RateLimited, Greylisted, Blocked, Spam, Virus, Content, Auth,
		SenderRejected, Policy, LoginRequired, TLSRequired, RelayDenied, Filtered,
		Network, Loop, Expired, System, Protocol, Unknown,
	}
}
