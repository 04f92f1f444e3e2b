package store

import (
	"context"
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

	// Key finds a live or expired key by its hash; ErrNotFound when none.
	Key(ctx context.Context, hash [32]byte) (waypost.APIKey, error)
	CreateKey(ctx context.Context, k *waypost.APIKey) error

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
	// SaveChecks stores Records, CheckedAt and NextCheck of d. ErrNotFound when
	// it was deleted meanwhile.
	SaveChecks(ctx context.Context, d *waypost.SenderDomain) error
	DeleteDomain(ctx context.Context, subAccount, id int64) error
}

// Suppressions keeps the addresses that a sub-account must not mail. Emails
// are compared as given: callers fold them by [waypost.FoldEmail].
type Suppressions interface {
	// Suppressed finds which of the emails, at most 1,000, are suppressed now.
	Suppressed(ctx context.Context, subAccount int64, emails []string, now time.Time) (map[string]waypost.Suppression, error)
	// Suppress adds addresses; one that is there already keeps its row.
	Suppress(ctx context.Context, all []waypost.Suppression) error
}

// Stats reads the counters.
type Stats interface {
	// DailyStats sums the counters of a sub-account per UTC day, both days
	// inclusive; days without any are left out. A subAccount of 0 means all of
	// the account's.
	DailyStats(ctx context.Context, account, subAccount int64, from, to time.Time) ([]DayStats, error)
}

// DayStats holds the counters of one UTC day.
type DayStats struct {
	Day    time.Time
	Counts map[waypost.Stat]int64
}
