package waypost

import "time"

// Template is a stored content of an account: what a send call names by
// template or templateId (sendpost.md, a.1 and d.4). Its parts are in the merge
// language, checked when it is stored.
type Template struct {
	ID      int64
	Account int64
	Name    string // unique in the account
	Subject string
	HTML    string
	Text    string
	Design  string // the customer's editor's own form; kept, never used
	Created time.Time
	Updated time.Time
}
