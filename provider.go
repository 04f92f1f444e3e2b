package waypost

import "time"

// Provider is one of the customer's own mail servers, the smarthost that takes
// our mail for onward delivery. The API calls it a third-party sending
// provider (TPSP) of type 3, Custom SMTP.
type Provider struct {
	ID      int64
	Account int64
	Name    string // unique in the account, 1 to 100 characters

	Host          string
	Port          int
	Security      string // "none", "starttls" or "tls"
	Auth          string // "auto", "plain", "login" or "none"
	Username      string
	Password      Sealed // nil without one
	HELO          string // "": the host name of this machine
	TLSSkipVerify bool   // accept any certificate, and send credentials all the same (D-15)
	PlainAuth     bool   // send credentials without TLS (D-15)

	MaxPerHour     int                      // messages in any rolling hour; default DefaultMaxPerHour
	Burst          bool                     // send as fast as the limits let, instead of spread over the hour (D-18)
	MaxConnections int                      // concurrent sessions of one node; 0: the installation's
	MaxPerSession  int                      // messages on one session; 0: the installation's
	Settings       map[Mailbox]MailboxLimit // limits of single mailbox categories
	RetryPermanent bool                     // retry 5yz replies like 4yz, as SendPost does (D-19)
	Retry          RetrySchedule            // nil: the installation's

	Created time.Time
	Updated time.Time
}

// ProviderCustomSMTP is the public type number of a Custom SMTP provider.
const ProviderCustomSMTP = 3

// PseudoIP is the id of the one IP of an installation: it stands for the
// customers' own mail servers (D-8). DefaultPseudoIP is its address unless
// another is configured, of a block kept for documentation (RFC 5737).
const (
	PseudoIP        = 1
	DefaultPseudoIP = "192.0.2.1"
)

// DefaultMaxPerHour is the documented default rate of a provider (D-11).
const DefaultMaxPerHour = 100

// MaxMailboxPerHour is the highest rate of one mailbox category (D-18).
const MaxMailboxPerHour = 100_000

// MailboxLimit bounds what goes to one mailbox category through one provider.
type MailboxLimit struct {
	MaxPerHour     int // messages in any rolling hour; 0: the provider's limit alone
	MaxConnections int // concurrent sessions; 0: no bound of its own
}

// Agent is what is known of the agent beside a provider's mail server.
type Agent struct {
	Provider int64
	ID       string
	Version  string
	Hostname string
	MTA      string
	LastSeen time.Time // of any report, an empty one included
	State    AgentState
}

// Lane is one slot of the queue and of its limits: a provider times a mailbox
// category. Workers claim from a lane.
type Lane struct {
	Provider int64
	Mailbox  Mailbox
}

// Pool is a named set of providers among which messages are shared out. The
// API calls it an IP pool.
type Pool struct {
	ID       int64
	Account  int64
	Name     string // unique in the account
	Strategy Strategy
	Members  []PoolMember
	Lists    map[string][]int64 // StrategyEmailProvider: by category name; StrategySendingDomain: by domain; "others" for the rest
	Metadata string             // routingMetaData as the customer gave it, a JSON document
	Failover bool               // use another member while a message's own is down (D-16)
	Overflow int64              // pool that takes over when no member can send; 0: none
	Patience time.Duration      // how long every member must be without tokens before overflow; 0: DefaultPatience
	NamesIP  bool               // names the pseudo IP, which counts in a pool without members alone (StandsForAll)
	Warmup   int                // warmupInterval as the customer gave it, in hours; nothing is warmed up
	Created  time.Time
}

// StandsForAll tells whether the pool names the pseudo IP and no provider: then
// it stands for all providers of its account (D-8).
func (p *Pool) StandsForAll() bool { return p.NamesIP && len(p.Members) == 0 }

// DefaultPatience is how long a message waits for its pool's tokens before it
// goes to the overflow pool (D-16).
const DefaultPatience = 5 * time.Minute

// OtherList is the key of Pool.Lists for what has no list of its own.
const OtherList = "others"

// PoolMember is one provider of a pool. Its share is Weight over the sum.
type PoolMember struct {
	Provider int64
	Weight   int
}

// Strategy is how a pool shares out messages (sendpost.md, e.1).
type Strategy int16

// The strategies, with their public numbers.
const (
	StrategyRoundRobin       Strategy = 0
	StrategyEmailProvider    Strategy = 1
	StrategyVolumePercentage Strategy = 2
	StrategySendingDomain    Strategy = 3
)
