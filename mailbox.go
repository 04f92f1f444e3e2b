package waypost

// Mailbox is a mailbox category: who hosts the recipient. There are 27 of
// them (sendpost.md, e.2); the numbers are stored.
type Mailbox int16

// MailboxDefault is the category of every recipient whose host is none of the others.
const MailboxDefault Mailbox = 11

// mailboxNames is in the order of the documents, which is also the order of
// the numbers that a pool's metadata uses for the first twelve.
var mailboxNames = [...]string{
	"gmail", "yahoo", "aol", "microsoft", "comcast", "yandex", "gmx", "mailru",
	"icloud", "zoho", "qq", "default", "att", "office365", "googleworkspace",
	"proofpoint", "mimecast", "barracuda", "ciscoironport", "rackspace",
	"zohobusiness", "amazonworkmail", "symantec", "fortinet", "sophos",
	"trendmicro", "checkpoint",
}

// Mailboxes is the number of categories; they are 0 to Mailboxes-1.
const Mailboxes = Mailbox(len(mailboxNames))

// String gives the public name.
func (m Mailbox) String() string {
	if m < 0 || m >= Mailboxes {
		return mailboxNames[MailboxDefault]
	}
	return mailboxNames[m]
}

// ParseMailbox finds a category by its public name.
func ParseMailbox(name string) (Mailbox, bool) {
	for i, n := range mailboxNames {
		if n == name {
			return Mailbox(i), true
		}
	}
	return MailboxDefault, false
}
