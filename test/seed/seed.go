package seed

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/store"
)

// What every scene can be opened with.
const (
	Email    = "ada@example.com"
	Password = "three calm herons"
	// SetupKey is the dashboard password of an installation without people.
	SetupKey = "wpd_seedseedseedseedseedseedseedseedseedseedseedseedseed"
	// SubKey is the API key of the default sub-account.
	SubKey = "wps_seedseedseedseedseedseedseedseedseedseedseedseedseed"
)

// Scene is what was made, for tests to find it again.
type Scene struct {
	Account   waypost.Account
	Sub       waypost.SubAccount
	Providers []waypost.Provider
	Pools     []waypost.Pool
	Domains   []waypost.SenderDomain
	Messages  map[string]waypost.UUID // some of a kind each: "delivered", "bounced", "waiting" …

	s    store.Store
	ctx  context.Context // a scene is made in one call
	now  time.Time
	dice *rand.Rand
	// delivered counts what history delivered.
	delivered int
	// from and groups are those of the next contents: the sender is "" for the
	// usual one.
	from   string
	groups []string
	shared waypost.Pool // by which its members relay what is yet to be relayed
	err    error
}

func begin(ctx context.Context, s store.Store, now time.Time) *Scene {
	return &Scene{s: s, ctx: ctx, now: now.Truncate(time.Millisecond), dice: rand.New(rand.NewPCG(1, 2)), Messages: map[string]waypost.UUID{}}
}

// do notes the first error; what comes after it does nothing.
func (c *Scene) do(what string, f func() error) {
	if c.err == nil {
		if err := f(); err != nil {
			c.err = fmt.Errorf("seed %s: %w", what, err)
		}
	}
}

// New makes an installation in which nothing was done yet, not even a person.
func New(ctx context.Context, s store.Store, now time.Time) (*Scene, error) {
	c := begin(ctx, s, now)
	c.install()
	return c, c.err
}

// Empty makes an installation with an owner and nothing else.
func Empty(ctx context.Context, s store.Store, now time.Time) (*Scene, error) {
	c := begin(ctx, s, now)
	c.install()
	c.people()
	return c, c.err
}

// Busy makes an installation whose mail flows: two weeks of mail, as many
// messages a day as the caller says.
func Busy(ctx context.Context, s store.Store, now time.Time, perDay int) (*Scene, error) {
	c := begin(ctx, s, now)
	c.install()
	c.people()
	c.provider("Frankfurt Postfix", "mx1.fra.example.net", 12_000)
	c.provider("Helsinki Postfix", "mx1.hel.example.net", 8_000)
	c.provider("Relay for newsletters", "bulk.example.net", 40_000)
	c.domain("acme-shop.example", true)
	c.domain("news.acme-shop.example", true)
	for i := range c.Providers {
		c.agent(i, 40*time.Second)
	}
	c.do("default pool", func() error { return s.SetDefaultPool(ctx, c.Account.ID, c.Sub.ID, c.Pools[0].ID) })
	c.history(perDay, [5]int{944, 21, 9, 6, 20})
	c.sharedPool()
	c.day([]int{0, 1, 2})
	c.hour(220, []int{0, 0, 1, 2})
	for minute := 60; minute >= 0; minute -= 15 {
		c.depth(c.now.Add(-time.Duration(minute) * time.Minute))
	}
	c.settings()
	c.stories()
	return c, c.err
}

// Trouble makes an installation in which much is wrong at once: a provider
// down, another paused, an agent silent, one late, a domain without its
// records, and a queue that does not move.
func Trouble(ctx context.Context, s store.Store, now time.Time) (*Scene, error) {
	c := begin(ctx, s, now)
	c.install()
	c.people()
	c.provider("Frankfurt Postfix", "mx1.fra.example.net", 400)
	c.provider("Helsinki Postfix", "mx1.hel.example.net", 8_000)
	c.provider("Backup relay", "backup.example.net", 1_000)
	c.domain("acme-shop.example", true)
	c.domain("new-brand.example", false)
	c.agent(0, 9*time.Hour)
	c.agent(1, 25*time.Minute)
	c.history(900, [5]int{830, 60, 70, 20, 20})
	c.day([]int{0, 1})
	c.hour(60, []int{0, 1})
	c.do("breaker", func() error {
		return s.AddProviderEvent(ctx, &waypost.ProviderEvent{
			Provider: c.Providers[0].ID, At: c.now.Add(-47 * time.Minute), Kind: waypost.BreakerOpened,
			Text: "5 sessions in a row failed; the last: dial tcp 192.0.2.10:587: connection refused",
		})
	})
	c.do("pause", func() error {
		return s.SetPause(ctx, waypost.Pause{Account: c.Account.ID, Provider: c.Providers[2].ID, Mailbox: waypost.AllMailboxes, Reason: "moving to a new address until Monday", At: c.now.Add(-3 * time.Hour)})
	})
	c.stuck(0, 340)
	c.stuck(2, 25)
	for minute := 90; minute >= 0; minute -= 15 {
		c.depth(c.now.Add(-time.Duration(minute) * time.Minute))
	}
	c.stories()
	return c, c.err
}

func (c *Scene) install() {
	in := store.Installation{
		Account: waypost.Account{Name: "Acme", Created: c.now.AddDate(0, -3, 0)}, SubAccount: waypost.SubAccount{Name: "Default", Default: true, Created: c.now.AddDate(0, -3, 0)},
	}
	for kind, plain := range map[waypost.KeyKind]string{
		waypost.KeyAccount: secret.NewKey("wpa"), waypost.KeySubAccount: SubKey, waypost.KeyDashboard: SetupKey,
	} {
		in.Keys = append(in.Keys, &waypost.APIKey{Kind: kind, Hash: secret.HashKey(plain), Hint: secret.Hint(plain), Created: c.now})
	}
	c.do("installation", func() error { return c.s.Install(c.ctx, &in) })
	c.Account, c.Sub = in.Account, in.SubAccount
}

// people makes one person of each role, all with the same password; the hash
// is a weak one, so that tests need not wait for it.
func (c *Scene) people() {
	for _, p := range []waypost.Person{
		{Email: Email, Name: "Ada Example", Role: waypost.RoleOwner},
		{Email: "otto@example.com", Name: "Otto Example", Role: waypost.RoleOperator},
		{Email: "vera@example.com", Name: "Vera Example", Role: waypost.RoleViewer},
	} {
		p.Account, p.Created, p.Password = c.Account.ID, c.now.AddDate(0, -3, 0), hash(Password)
		c.do("person", func() error { return c.s.CreatePerson(c.ctx, &p) })
	}
}

func hash(password string) string {
	salt := []byte("0123456789abcdef")
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=64,t=1,p=1$%s$%s", argon2.Version, b64.EncodeToString(salt),
		b64.EncodeToString(argon2.IDKey([]byte(password), salt, 1, 64, 1, 32)))
}

func (c *Scene) provider(name, host string, perHour int) {
	at := c.now.AddDate(0, -2, 0)
	p := waypost.Provider{
		Account: c.Account.ID, Name: name, Host: host, Port: 587, Security: "starttls", Auth: "auto", Username: "waypost",
		MaxPerHour: perHour, RetryPermanent: true, Created: at, Updated: at,
		Settings: map[waypost.Mailbox]waypost.MailboxLimit{0: {MaxPerHour: perHour / 4}, 3: {MaxPerHour: perHour / 5, MaxConnections: 4}},
	}
	plain := secret.NewKey("wpe")
	key := waypost.APIKey{Kind: waypost.KeyIngestion, Account: c.Account.ID, Hash: secret.HashKey(plain), Hint: secret.Hint(plain), Created: at}
	pool := waypost.Pool{Account: c.Account.ID, Name: name, Strategy: waypost.StrategyVolumePercentage, Created: at}
	c.do("provider", func() error { return c.s.CreateProvider(c.ctx, &p, &key, &pool) })
	c.Providers, c.Pools = append(c.Providers, p), append(c.Pools, pool)
}

func (c *Scene) agent(i int, age time.Duration) {
	p := c.Providers[i]
	c.do("agent", func() error {
		return c.s.AgentSeen(c.ctx, waypost.Agent{Provider: p.ID, ID: "agent-" + p.Host, Version: "1.0.0", Hostname: p.Host, MTA: "postfix", LastSeen: c.now.Add(-age), State: state(c.now.Add(-age), age)})
	})
}

// Sign gives every domain of the scene a key to sign with, sealed by the key
// file of its installation: without one, nothing can be sent from it.
func (c *Scene) Sign(box *secret.Box) error {
	for i := range c.Domains {
		key, err := dkim.GenerateEd25519()
		if err != nil {
			return err
		}
		d := &c.Domains[i]
		*d, err = c.s.ChangeDomain(c.ctx, c.Sub.ID, d.ID, func(d *waypost.SenderDomain) error {
			d.Key = senderdomain.SealKey(box, key)
			return nil
		})
		if err != nil {
			return fmt.Errorf("a key for %s: %w", d.Name, err)
		}
	}
	return nil
}

func (c *Scene) domain(name string, verified bool) {
	at := c.now.AddDate(0, -2, 0)
	d := waypost.SenderDomain{
		Account: c.Account.ID, SubAccount: c.Sub.ID, Name: name, Selector: waypost.DKIMSelector, Created: at, CheckedAt: c.now.Add(-11 * time.Minute), NextCheck: c.now.Add(time.Hour),
		Records: []waypost.DNSRecord{
			{Kind: waypost.RecordDKIM, Host: "sp-dkim._domainkey." + name, Type: "TXT", Value: "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu5oIUrFDWZK7F4thFxpZa2or6jBEX3cSL6b2TJdPkO5iNn9vHNXhNX31nOefN8FksX94YbLJ8NHcFPbaZTW8R2HthYxRaCyqodxlLHibg8aHdfa+bxKeiI/xABRuAM0WG0JEDSyakMFqIO40ghhNeVZ3hd8wyp+GF3TtRBRO0AbWAsQIDAQAB"},
			{Kind: waypost.RecordReturnPath, Host: "bounce." + name, Type: "CNAME", Value: "bounce.waypost.example.net"},
			{Kind: waypost.RecordTrack, Host: "track." + name, Type: "CNAME", Value: "waypost.example.net"},
			{Kind: waypost.RecordDMARC, Host: "_dmarc." + name, Type: "TXT", Value: "v=DMARC1; p=none"},
		},
	}
	for i := range d.Records {
		r := &d.Records[i]
		if r.Verified = verified; verified {
			r.Found = r.Value
			continue
		}
		r.Failures, r.Failure = 4, "there is no such record"
	}
	if !verified {
		d.Records[1].Found, d.Records[1].Failure = "parking.registrar.example", "the CNAME points elsewhere"
	}
	c.do("domain", func() error { return c.s.CreateDomain(c.ctx, &d) })
	c.Domains = append(c.Domains, d)
}
