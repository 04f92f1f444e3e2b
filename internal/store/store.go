package store

import (
	"context"
	"strconv"
	"time"

	"github.com/waypost-mail/waypost"
)

// Store is everything an engine offers. Callers take the part that they need.
type Store interface {
	Directory
	Domains
	Suppressions
	Queue
	Events
	Reports
	Stats
	Surgery
	Journal
	Templates
	Idempotency
	Webhooks
	People
	Marks

	// Size is how many bytes the database takes on its disk.
	Size(ctx context.Context) (int64, error)
	// Ping tells whether the engine can read and write; for readiness.
	Ping(ctx context.Context) error
	// Close finishes what is in flight and releases the database.
	Close() error
}

// Page is a piece of a list.
type Page struct {
	Limit  int // 1 to 1000
	Offset int
	Search string // case-insensitive part of the name, "" for all
}

// Directory keeps who may do what, and the providers and pools of an account.
// Lists are in the order of creation. Create* fills in the id.
type Directory interface {
	// Install creates the account, its default sub-account and their keys in
	// one transaction, filling in all ids. ErrExists when the installation has
	// an account already.
	Install(ctx context.Context, in *Installation) error
	// Installed tells whether there is an account.
	Installed(ctx context.Context) (bool, error)
	// FirstAccount finds the account that Install made; ErrNotFound before.
	// Its id need not be 1: an engine may leave out numbers.
	FirstAccount(ctx context.Context) (waypost.Account, error)

	// Key finds a live or expired key by its hash; ErrNotFound when none.
	Key(ctx context.Context, hash [32]byte) (waypost.APIKey, error)
	CreateKey(ctx context.Context, k *waypost.APIKey) error
	// Keys lists the keys of an account but those of the dashboard; of one kind
	// unless kind is 0.
	Keys(ctx context.Context, account int64, kind waypost.KeyKind, p Page) ([]waypost.APIKey, error)
	// UpdateKey stores Name, Scopes, Networks, PerHour and Expires.
	UpdateKey(ctx context.Context, k *waypost.APIKey) error
	// DeleteKey ends a key at once. ErrNotFound.
	DeleteKey(ctx context.Context, account, id int64) error
	// TouchKeys notes when keys were used last; ids that are gone are passed over.
	TouchKeys(ctx context.Context, used map[int64]time.Time) error
	// SubmissionKey finds the live or expired KeySubmission key of a
	// sub-account by its identifier (Name).
	SubmissionKey(ctx context.Context, subAccount int64, name string) (waypost.APIKey, error)

	// CreateSubAccount stores a sub-account and its first key. ErrExists when
	// the name is taken in the account.
	CreateSubAccount(ctx context.Context, s *waypost.SubAccount, key *waypost.APIKey) error
	// UpdateSubAccount stores Name, Blocked, BlockedAt, BlockReason and Checks.
	// ErrNotFound, or ErrExists when the new name is taken.
	UpdateSubAccount(ctx context.Context, s *waypost.SubAccount) error
	// DeleteSubAccount removes a sub-account with its keys, sender domains and
	// suppressions. Its messages, events and counters stay. ErrExists for the
	// default one, which cannot be deleted (D-10).
	DeleteSubAccount(ctx context.Context, account, id int64) error
	SubAccount(ctx context.Context, account, id int64) (waypost.SubAccount, error)
	SubAccounts(ctx context.Context, account int64, p Page) ([]waypost.SubAccount, error)

	// CreateProvider stores a provider, its ingestion key and, unless nil, its
	// pool in one transaction. The pool's member is set to the new provider
	// with weight 100 and its Metadata to {"TPSP_<id>":"100"} (D-12); its name
	// gets the first free suffix "-2", "-3" … when taken. ErrExists when the
	// provider's name is taken in the account.
	CreateProvider(ctx context.Context, p *waypost.Provider, key *waypost.APIKey, pool *waypost.Pool) error
	// UpdateProvider stores everything of a provider but its account, id and
	// creation. ErrNotFound, or ErrExists when the new name is taken.
	UpdateProvider(ctx context.Context, p *waypost.Provider) error
	// DeleteProvider removes a provider with its keys, agent and pauses, and
	// takes it out of every pool's members and lists. Its messages stay; those
	// that wait are the caller's to move or drop.
	DeleteProvider(ctx context.Context, account, id int64) error
	CountProviders(ctx context.Context, account int64) (int, error)
	// RotateKey stores a provider's fresh ingestion key and lets the live ones
	// before it expire at oldUntil, or earlier if they would anyway.
	RotateKey(ctx context.Context, account, provider int64, fresh *waypost.APIKey, oldUntil time.Time) error
	Provider(ctx context.Context, account, id int64) (waypost.Provider, error)
	Providers(ctx context.Context, account int64, p Page) ([]waypost.Provider, error)
	// AnyProvider finds a provider of whatever account: for the relay and the
	// ingestion API, which act for the provider itself.
	AnyProvider(ctx context.Context, id int64) (waypost.Provider, error)

	// CreatePool stores a pool. ErrExists when the name is taken in the account.
	CreatePool(ctx context.Context, p *waypost.Pool) error
	// UpdatePool stores everything of a pool but its account, id and creation.
	// ErrNotFound, or ErrExists when the new name is taken.
	UpdatePool(ctx context.Context, p *waypost.Pool) error
	// DeletePool removes a pool, as overflow and default of others too.
	DeletePool(ctx context.Context, account, id int64) error
	// SetDefaultPool makes a pool the default of a sub-account; 0 for none.
	SetDefaultPool(ctx context.Context, account, subAccount, pool int64) error
	// AnyPool finds a pool of whatever account: for the relay.
	AnyPool(ctx context.Context, id int64) (waypost.Pool, error)
	Pool(ctx context.Context, account, id int64) (waypost.Pool, error)
	PoolByName(ctx context.Context, account int64, name string) (waypost.Pool, error)
	Pools(ctx context.Context, account int64, p Page) ([]waypost.Pool, error)

	// AgentSeen notes a report of a provider's agent, replacing the last.
	AgentSeen(ctx context.Context, a waypost.Agent) error
	// Agent is the last report noted; ErrNotFound when there never was one.
	Agent(ctx context.Context, provider int64) (waypost.Agent, error)
}

// Installation is what init creates.
type Installation struct {
	Account    waypost.Account
	SubAccount waypost.SubAccount
	Keys       []*waypost.APIKey // account and sub-account ids are filled in by kind
}

// Domains keeps the sender domains of sub-accounts.
type Domains interface {
	// CreateDomain stores a domain with its records. ErrExists when the
	// sub-account has the name already.
	CreateDomain(ctx context.Context, d *waypost.SenderDomain) error
	Domain(ctx context.Context, subAccount, id int64) (waypost.SenderDomain, error)
	DomainByName(ctx context.Context, subAccount int64, name string) (waypost.SenderDomain, error)
	Domains(ctx context.Context, subAccount int64, p Page) ([]waypost.SenderDomain, error)
	// AnyDomain finds a domain of whatever sub-account: for the relay.
	AnyDomain(ctx context.Context, id int64) (waypost.SenderDomain, error)
	// DomainsDue lists up to limit domains whose NextCheck has come.
	DomainsDue(ctx context.Context, now time.Time, limit int) ([]waypost.SenderDomain, error)
	DeleteDomain(ctx context.Context, subAccount, id int64) error
	CountDomains(ctx context.Context, subAccount int64) (int, error)
	// ChangeDomain reads a domain, lets change alter it and stores all of it
	// but its account, sub-account, id and creation, in one transaction: no
	// other change comes between. It gives what was stored. change must not
	// wait for anything; when it fails, nothing is stored and its error is
	// returned. ErrNotFound, or ErrExists when the new name is taken.
	ChangeDomain(ctx context.Context, subAccount, id int64, change func(*waypost.SenderDomain) error) (waypost.SenderDomain, error)
}

// Suppressions keeps the addresses that a sub-account must not mail. Emails
// are compared as given: callers fold them by [waypost.FoldEmail].
type Suppressions interface {
	// Suppressed finds which of the emails, at most 1,000, are suppressed now.
	Suppressed(ctx context.Context, subAccount int64, emails []string, now time.Time) (map[string]waypost.Suppression, error)
	// Suppress adds addresses and tells how many were new; one that is there
	// already keeps its row.
	Suppress(ctx context.Context, all []waypost.Suppression) (added int, err error)
	// Unsuppress removes addresses, at most 1,000, whatever their reason, and
	// gives the rows that went.
	Unsuppress(ctx context.Context, subAccount int64, emails []string) ([]waypost.Suppression, error)
	// ListSuppressions lists suppressions, newest first.
	ListSuppressions(ctx context.Context, q SuppressionQuery) ([]waypost.Suppression, error)
	// CountSuppressions counts what the query selects, whatever its page, among
	// the newest Look.
	CountSuppressions(ctx context.Context, q SuppressionQuery) (int, error)
	// PruneSuppressions deletes up to limit rows that expired before a time.
	PruneSuppressions(ctx context.Context, before time.Time, limit int) (int, error)
}

// SuppressionQuery selects suppressions of a sub-account. Zero fields select
// all. Expired rows are left out.
type SuppressionQuery struct {
	SubAccount int64
	Reasons    []waypost.SuppressionReason
	Email      string    // exact, folded
	Domain     string    // of the address, exact, folded
	Search     string    // part of the address, in any case; no index helps
	From, To   time.Time // created in [From, To)
	Now        time.Time // what has expired
	Before     int64     // only ids below it: the keyset cursor; 0: from the newest
	Look       int       // how many rows below Before may be looked through, 0: all
	Limit      int       // 1 to 1000
	Offset     int
}

// Templates keeps the stored contents of an account.
type Templates interface {
	// CreateTemplate stores a template. ErrExists when its name is taken.
	CreateTemplate(ctx context.Context, t *waypost.Template) error
	// UpdateTemplate stores everything but account, id and creation.
	// ErrNotFound, or ErrExists when the new name is taken.
	UpdateTemplate(ctx context.Context, t *waypost.Template) error
	DeleteTemplate(ctx context.Context, account, id int64) error
	Template(ctx context.Context, account, id int64) (waypost.Template, error)
	TemplateByName(ctx context.Context, account int64, name string) (waypost.Template, error)
	// Templates lists templates in the order of creation.
	Templates(ctx context.Context, account int64, p Page) ([]waypost.Template, error)
	CountTemplates(ctx context.Context, account int64) (int, error)
}

// Idempotency keeps the answers of send calls that carried an Idempotency-Key
// (D-6). They are stored by [Queue.Accept], in its transaction.
type Idempotency interface {
	// Replay finds the live answer to a key; ErrNotFound when there is none.
	Replay(ctx context.Context, subAccount int64, key string, now time.Time) (Replay, error)
	// PruneReplays deletes up to limit answers that expired before a time.
	PruneReplays(ctx context.Context, before time.Time, limit int) (int, error)
}

// Replay is the stored answer to a send call.
type Replay struct {
	SubAccount int64
	Key        string   // at most 255 bytes
	Request    [32]byte // SHA-256 of the request
	Answer     []byte
	Expires    time.Time
}

// Stats reads the counters.
type Stats interface {
	// DailyStats sums the counters of a sub-account per UTC day, both days
	// inclusive; days without any are left out. A subAccount of 0 means all of
	// the account's.
	DailyStats(ctx context.Context, account, subAccount int64, from, to time.Time) ([]DayStats, error)
	// Breakdown sums the counters by what the query says, in the order of day
	// and key.
	Breakdown(ctx context.Context, q StatQuery) ([]StatRow, error)
	// Times sums the counters by time that the query says, in the order of
	// time and key. Times that nothing was counted for are left out; samples
	// of nothing are not.
	Times(ctx context.Context, q TimeQuery) ([]TimeRow, error)
	// SampleDepth notes for every account how much waits now, see
	// TimedDepth. A second sample of the same minute replaces the first.
	SampleDepth(ctx context.Context, now time.Time) error
	// PruneTimes deletes up to limit counters by time: of kinds that are kept
	// by minute those before minutes, of others those before hours.
	PruneTimes(ctx context.Context, minutes, hours time.Time, limit int) (int, error)
}

// DayStats holds the counters of one UTC day.
type DayStats struct {
	Day    time.Time
	Counts map[waypost.Stat]int64
}

// StatQuery selects counters of an account. Zero fields select all.
type StatQuery struct {
	Account    int64
	SubAccount int64
	Provider   int64     // not looked at by domain and group, which are not kept by provider
	From, To   time.Time // UTC days, both inclusive
	By         StatBy
	Keys       []string // only these, e.g. one group
	PerDay     bool     // a row for each day; else one for the whole range
}

// StatBy is what counters are broken down by.
type StatBy int

// The breakdowns, each with the form of StatRow.Key.
const (
	StatByAll         StatBy = iota // ""
	StatBySubAccount                // id in decimal
	StatByProvider                  // id in decimal; "0" for none
	StatByDomain                    // id of the sender domain in decimal; "0" for none
	StatByMailbox                   // name of the mailbox category
	StatByCode                      // SMTP code in decimal, of events that carry one
	StatByGroup                     // the group
	StatByReason                    // waypost.Reason, of events that carry one: bounces and drops
	StatByMailboxCode               // MailboxCode of events that carry a code; counted since that breakdown exists
)

// MailboxCode is the key of StatByMailboxCode: a mailbox category and an SMTP
// code, such as gmail/550.
func MailboxCode(m waypost.Mailbox, code int) string { return m.String() + "/" + strconv.Itoa(code) }

// StatRow is the counters of one key, on one day or over the range.
type StatRow struct {
	Day    time.Time // zero over the range
	Key    string
	Counts map[waypost.Stat]int64
}

// People keeps who may use the dashboard, and their sessions.
type People interface {
	// CreatePerson stores a person. ErrExists when the address is taken.
	CreatePerson(ctx context.Context, p *waypost.Person) error
	// UpdatePerson stores everything but account, id and creation, and does not
	// look for other owners.
	UpdatePerson(ctx context.Context, p *waypost.Person) error
	// ChangePerson reads a person, lets change alter it and stores everything
	// but account, id and creation, in one transaction: no other change comes
	// between. It gives what was stored. change must not wait for anything, and
	// may be called again when the transaction is tried again; when it fails,
	// nothing is stored and its error is returned. ErrNotFound, ErrExists when
	// the new address is taken, or ErrLastOwner when the account's only owner
	// would be one no more, whatever other nodes do at the same time.
	ChangePerson(ctx context.Context, account, id int64, change func(*waypost.Person) error) (waypost.Person, error)
	// DeletePerson removes a person. ErrNotFound, or ErrLastOwner.
	DeletePerson(ctx context.Context, account, id int64) error
	Person(ctx context.Context, id int64) (waypost.Person, error)
	PersonByEmail(ctx context.Context, email string) (waypost.Person, error)
	// People lists the people of an account in the order of creation.
	People(ctx context.Context, account int64) ([]waypost.Person, error)

	// SaveSession stores a session under the SHA-256 of its token, replacing.
	SaveSession(ctx context.Context, token [32]byte, data []byte, expires time.Time) error
	// RenewSession stores data and end of a session that is there; ErrNotFound
	// when it has ended meanwhile, which it stays.
	RenewSession(ctx context.Context, token [32]byte, data []byte, expires time.Time) error
	// Session finds a live session; ErrNotFound.
	Session(ctx context.Context, token [32]byte, now time.Time) ([]byte, error)
	DeleteSession(ctx context.Context, token [32]byte) error
	PruneSessions(ctx context.Context, before time.Time) error
}

// Marks keeps small records that hold on every node, each under a name of at
// most 255 bytes and until a time: the failures of a login, the tokens of a
// credential, the state of a login that was used up.
type Marks interface {
	// ChangeMark reads a mark, nil when there is none that lives at now, lets
	// change make its next form and say until when that lives, and stores it,
	// in one transaction: no other change comes between. A nil next form
	// forgets the mark. change must not wait for anything, and may be called
	// again when the transaction is tried again; when it fails, nothing is
	// stored and its error is returned.
	ChangeMark(ctx context.Context, name string, now time.Time, change func(old []byte) (next []byte, expires time.Time, err error)) error
	// Mark reads a mark that lives at now; ErrNotFound.
	Mark(ctx context.Context, name string, now time.Time) ([]byte, error)
	// PruneMarks deletes up to limit marks that expired before a time.
	PruneMarks(ctx context.Context, before time.Time, limit int) (int, error)
}
