package waypost

import "time"

// Account owns providers and pools, and has one or more sub-accounts.
type Account struct {
	ID      int64
	Name    string
	Created time.Time
}

// SubAccount sends mail: it owns sender domains, suppressions and messages.
type SubAccount struct {
	ID      int64
	Account int64
	Name    string
	Default bool  // made by init, cannot be deleted (D-10)
	Blocked bool  // accepts no mail
	Pool    int64 // default pool of calls that name none; 0: the account's only one
	Created time.Time

	BlockedAt   time.Time // zero unless Blocked
	BlockReason string
	Checks      RecipientChecks
}

// RecipientChecks are what a sub-account wants refused beyond what cannot be
// mailed at all. Stored as bits.
type RecipientChecks int16

// The checks.
const (
	CheckRoles      RecipientChecks = 1 << iota // drop role addresses such as postmaster@
	CheckNullMX                                 // drop recipients whose domain takes no mail (RFC 7505)
	CheckDuplicates                             // drop a recipient named twice in one call
)

// KeyKind says which endpoints an API key opens; a kind opens only its own
// (D-9).
type KeyKind int16

// The kinds of key. The numbers are stored.
const (
	KeyAccount    KeyKind = 1 // X-Account-ApiKey
	KeySubAccount KeyKind = 2 // X-SubAccount-ApiKey
	KeyIngestion  KeyKind = 3 // X-SP-Event-ApiKey: one provider's event reports
	KeyDashboard  KeyKind = 4 // the administrator's first password, made by init
	KeySubmission KeyKind = 5 // password of an SMTP submission credential; its Name is the user's identifier
)

// APIKey is what is kept of a key: never the key itself.
type APIKey struct {
	ID         int64
	Kind       KeyKind
	Account    int64
	SubAccount int64    // for KeySubAccount, else 0
	Provider   int64    // for KeyIngestion, else 0
	Hash       [32]byte // SHA-256 of the key
	Hint       string   // first and last characters, for people to recognise it
	Created    time.Time
	Expires    time.Time // zero: never

	Name     string    // for people; of KeySubmission the identifier, unique in its sub-account
	Scopes   []string  // what it may do, see the API; none: everything of its kind
	Networks []string  // CIDR prefixes it may be used from; none: everywhere
	PerHour  int       // requests in an hour, 0: the installation's default
	LastUsed time.Time // to about a minute; zero: never
}

// Live tells whether the key opens anything at the time given.
func (k *APIKey) Live(now time.Time) bool { return k.Expires.IsZero() || now.Before(k.Expires) }

// Sealed is a secret that must be used again, encrypted under the
// installation's key file. It prints as nothing.
type Sealed []byte

// String hides the value.
func (Sealed) String() string { return "[sealed]" }

// GoString hides the value from %#v.
func (Sealed) GoString() string { return "[sealed]" }
