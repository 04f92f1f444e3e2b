package waypost

import "time"

// Person is somebody who may use the dashboard.
type Person struct {
	ID        int64
	Account   int64
	Email     string // folded by FoldEmail, unique
	Name      string
	Role      Role
	Password  string // argon2id in its encoded form, "" for single sign-on alone
	Created   time.Time
	LastLogin time.Time // zero: never
}

// Role says what a person may do. The words are stored.
type Role string

// The roles.
const (
	RoleOwner    Role = "owner"    // everything, people and keys too
	RoleOperator Role = "operator" // everything but people, keys and settings
	RoleViewer   Role = "viewer"   // sees all but the content of messages; changes nothing
)
