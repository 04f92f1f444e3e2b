package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/route"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/store"
)

// Submission is one call to send.
type Submission struct {
	SubAccount waypost.SubAccount
	Content    waypost.Content // ids are filled in by Enqueue
	To         []Recipient
	Pool       string // name; "": the account's only pool

	// Replay, unless nil, is stored with the messages; what it answers is what
	// Answer makes of what was accepted (D-6).
	Replay *store.Replay
	Answer func([]Accepted) ([]byte, error)
}

// Recipient is one entry of "to", with the copies that go with it (D-7).
type Recipient struct {
	waypost.Address
	Variables []byte // customFields as JSON, nil without
	Cc, Bcc   []Copy
	Shown     *Shown // nil: the address itself, and Cc
}

// Shown is what the header fields To and Cc say when that is not who gets the
// message: the envelope of SMTP is another matter (RFC 5321, appendix B).
type Shown struct {
	To waypost.Address
	Cc []waypost.Address
}

// Copy is a cc or bcc address.
type Copy struct {
	waypost.Address
	Variables []byte
}

// Accepted is the answer for one entry of "to".
type Accepted struct {
	To      string
	ID      waypost.UUID
	At      time.Time
	Drop    waypost.Reason // not empty: stored, and dropped at once
	Message string         // for people
}

// Refused is a submission that cannot be accepted as it is: nothing was
// stored. Field is the name in the request. Ours says that the request is good
// and something of the installation must be mended.
type Refused struct {
	Field   string
	Message string
	Ours    bool
}

// Error names the field.
func (r *Refused) Error() string { return r.Field + ": " + r.Message }

// MaxMessages bounds the messages of one call, copies included.
const MaxMessages = 10_000

// Enqueue stores a submission and answers for each of its recipients, in
// order. It returns after everything is on disk; s has no large attachments any
// longer then. The error is a *Refused when
// the caller must change something, and store.ErrExists when the key of its
// Replay is live already; nothing is stored then.
func (q *Queue) Enqueue(ctx context.Context, s *Submission) ([]Accepted, error) {
	now := time.Now().Truncate(time.Millisecond)
	files := 0
	for i := range s.Content.Attachments {
		files += len(s.Content.Attachments[i].Data)
	}
	small := files <= largeFiles
	p, err := q.plan(ctx, s, small, now)
	if err != nil {
		return nil, err
	}
	out := make([]Accepted, len(p.mine))
	for i, at := range p.mine {
		d := &p.drafts[at]
		out[i] = Accepted{To: s.To[i].Email, ID: d.Message.ID, At: now, Drop: d.Drop, Message: d.Text}
	}
	if s.Replay != nil {
		if s.Replay.Answer, err = s.Answer(out); err != nil {
			return nil, fmt.Errorf("write the answer: %w", err)
		}
	}
	var encoded []byte
	if !small {
		if encoded, err = store.EncodeContent(&p.content); err != nil {
			return nil, err
		}
		s.Content.Attachments, p.content.Attachments = nil, nil
		debug.FreeOSMemory() // the database is about to have a copy of its own
	}
	if err := q.cfg.Door.AcceptOnce(ctx, p.content, encoded, p.drafts, s.Replay, now); err != nil {
		return nil, err
	}
	if small {
		q.contents.add(p.content.ID, p.prepared)
	}
	woken := map[waypost.Lane]bool{}
	for i := range p.drafts {
		d := &p.drafts[i]
		lane := waypost.Lane{Provider: d.Message.Provider, Mailbox: d.Message.Mailbox}
		if d.Drop == "" && !woken[lane] {
			woken[lane] = true
			q.lanes.note(lane, now)
		}
	}
	return out, nil
}

// largeFiles is from how many bytes of attachments on a content is prepared
// when it is relayed, from the store: encoding them at once would only add to
// the memory of the call.
const largeFiles = 2 << 20

// withoutFiles is a content whose attachments have no bytes: enough to check.
func withoutFiles(c *waypost.Content) *waypost.Content {
	light := *c
	light.Attachments = slices.Clone(c.Attachments)
	for i := range light.Attachments {
		light.Attachments[i].Data = nil
	}
	return &light
}

// planned is a submission that was checked and made into messages.
type planned struct {
	content  waypost.Content
	prepared *compose.Prepared
	domain   *waypost.SenderDomain // nil: no verified return path
	signing  signing               // of the domain
	drafts   []ingest.Draft
	mine     []int // for each entry of "to", the index of its own draft
}

// plan does everything of Enqueue that stores nothing. With whole its content
// is prepared with files of whatever size.
func (q *Queue) plan(ctx context.Context, s *Submission, whole bool, now time.Time) (*planned, error) {
	p := &planned{content: s.Content}
	p.content.ID, p.content.Account, p.content.SubAccount = waypost.NewUUID(now), s.SubAccount.Account, s.SubAccount.ID
	light := &p.content
	if !whole {
		light = withoutFiles(light)
	}
	var err error
	if p.prepared, err = q.compiler.Prepare(light); err != nil {
		return nil, refusedTemplate(err)
	}
	pool, err := q.pool(ctx, &s.SubAccount, s.Pool)
	if err != nil {
		return nil, err
	}
	p.content.Pool = pool.Name
	if p.domain, err = q.senderDomain(ctx, p.content.SubAccount, p.content.From.Email); err != nil {
		return nil, err
	}
	if p.signing, err = q.signingOf(ctx, p.domain); err != nil {
		return nil, err
	}
	p.drafts, p.mine = q.drafts(ctx, s, &p.content, &pool, p.domain, now)
	if len(p.drafts) > MaxMessages {
		return nil, &Refused{Field: "to", Message: fmt.Sprintf("to, cc and bcc make %d messages; one call may make %d", len(p.drafts), MaxMessages)}
	}
	q.check(p.drafts, s.SubAccount.Checks)
	return p, q.suppress(ctx, p.content.SubAccount, p.drafts, now)
}

// signingOf finds the signers of a submission's domain, none without one. Mail
// that nobody could sign would wait, an hour at a time, until somebody looks:
// whoever sends it is told at once.
func (q *Queue) signingOf(ctx context.Context, domain *waypost.SenderDomain) (signing, error) {
	if domain == nil {
		return signing{}, nil
	}
	s, err := q.domains.get(ctx, domain.ID)
	if key, ok := errors.AsType[*unusableKey](err); ok {
		return s, &Refused{Field: "from.email", Message: key.Error(), Ours: true}
	}
	if errors.Is(err, store.ErrNotFound) { // it was deleted just now
		return signing{}, nil
	}
	return s, err
}

func refusedTemplate(err error) error {
	if t, ok := errors.AsType[*compose.TemplateError](err); ok {
		return &Refused{Field: t.Part, Message: fmt.Sprintf("line %d, column %d: %s", t.Line, t.Column, t.Msg)}
	}
	if h, ok := errors.AsType[*compose.HeaderError](err); ok {
		return &Refused{Field: "headers." + h.Name, Message: h.Why}
	}
	return fmt.Errorf("prepare content: %w", err)
}

// pool finds the pool of a submission, with the providers that it stands for
// when it names none.
func (q *Queue) pool(ctx context.Context, sub *waypost.SubAccount, name string) (waypost.Pool, error) {
	p, err := q.namedPool(ctx, sub, name)
	if err != nil {
		return p, err
	}
	return p, q.pools.standIn(ctx, &p)
}

// namedPool finds a pool: by name, the sub-account's default, or the account's
// only one.
func (q *Queue) namedPool(ctx context.Context, sub *waypost.SubAccount, name string) (waypost.Pool, error) {
	account := sub.Account
	if name != "" {
		p, err := q.cfg.Store.PoolByName(ctx, account, name)
		if errors.Is(err, store.ErrNotFound) {
			return p, &Refused{Field: "ippool", Message: fmt.Sprintf("there is no pool named %q; GET /api/v1/account/ippool lists them", name)}
		}
		if err != nil {
			return p, fmt.Errorf("find pool %q: %w", name, err)
		}
		return p, nil
	}
	if sub.Pool != 0 {
		p, err := q.cfg.Store.Pool(ctx, account, sub.Pool)
		if err != nil {
			return p, fmt.Errorf("read the default pool of sub-account %d: %w", sub.ID, err)
		}
		return p, nil
	}
	all, err := q.cfg.Store.Pools(ctx, account, store.Page{Limit: 2})
	switch {
	case err != nil:
		return waypost.Pool{}, fmt.Errorf("list pools: %w", err)
	case len(all) == 0:
		return waypost.Pool{}, &Refused{Field: "ippool", Message: "the account has no pool yet: create a Custom SMTP provider with POST /api/v1/account/tpsp/, which makes one"}
	case len(all) > 1:
		return waypost.Pool{}, &Refused{Field: "ippool", Message: "name the pool to send through: the account has several"}
	}
	return all[0], nil
}

// senderDomain finds the verified domain of a From address; nil when it has no
// verified return path, which drops every message of the call (D-5).
func (q *Queue) senderDomain(ctx context.Context, subAccount int64, from string) (*waypost.SenderDomain, error) {
	d, err := q.cfg.Store.DomainByName(ctx, subAccount, domainOf(from))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("find the sender domain of %s: %w", from, err)
	case !d.Verified(waypost.RecordReturnPath):
		return nil, nil
	}
	return &d, nil
}

// drafts makes the messages of a submission; mine holds, for each entry of
// "to", the index of its own.
func (q *Queue) drafts(ctx context.Context, s *Submission, content *waypost.Content, pool *waypost.Pool, domain *waypost.SenderDomain, now time.Time) (drafts []ingest.Draft, mine []int) {
	drafts = make([]ingest.Draft, 0, len(s.To))
	mine = make([]int, len(s.To))
	add := func(to waypost.Address, cc []waypost.Address, recipient string, variables []byte) {
		email, err := compose.Mailbox(recipient)
		if err == nil {
			recipient = email
			_, err = compose.Mailbox(to.Email) // the header To of a copy
		}
		m := waypost.Message{
			ID: waypost.NewUUID(now), Account: content.Account, SubAccount: content.SubAccount,
			Content: content.ID, Recipient: recipient, To: to, Cc: cc, Variables: variables,
			Pool: pool.ID, Mailbox: waypost.MailboxDefault, SubmittedAt: now,
			Groups: content.Groups, OwnWebhook: content.Webhook != "",
		}
		simulated, here := waypost.Simulate(recipient, q.cfg.SimulatorDomain)
		if !here {
			m.Mailbox = q.mailboxes.of(recipient)
		}
		d := ingest.Draft{Message: m}
		switch {
		case err != nil:
			d.Drop, d.Text = waypost.DropInvalid, err.Error()
			d.Message.Recipient = bounded(recipient)
			d.Message.To.Email = bounded(to.Email)
		case domain == nil:
			d.Drop, d.Text = waypost.DropNoReturnPath, waypost.TextNoReturnPath
		case here && simulated == "":
			d.Drop, d.Text = waypost.DropInvalid, fmt.Sprintf("no mail is sent to %s, which simulates recipients; those there are %s", q.cfg.SimulatorDomain, strings.Join(waypost.SimulatedNames(), ", "))
		case here:
			d.Message.Domain, d.Message.Provider = domain.ID, waypost.SimulatorProvider
		default:
			d.Message.Domain = domain.ID
			d.Message.Provider = q.choose(ctx, pool, route.Target{Message: m.ID, Mailbox: m.Mailbox, Domain: domain.Name}, now)
			if d.Message.Provider == 0 {
				d.Drop, d.Text = waypost.DropProviderGone, fmt.Sprintf("pool %q has no provider to relay through", pool.Name)
			}
		}
		drafts = append(drafts, d)
	}
	for i, to := range s.To {
		mine[i] = len(drafts)
		if to.Shown != nil {
			add(to.Shown.To, to.Shown.Cc, to.Email, to.Variables)
			continue
		}
		var cc []waypost.Address
		for _, c := range to.Cc {
			if _, err := compose.Mailbox(c.Email); err == nil {
				cc = append(cc, c.Address)
			}
		}
		add(to.Address, cc, to.Email, to.Variables)
		drafts[mine[i]].Message.Bcc = blind(to.Bcc)
		for _, copies := range [][]Copy{to.Cc, to.Bcc} {
			for _, c := range copies {
				add(to.Address, cc, c.Email, c.Variables)
			}
		}
	}
	return drafts, mine
}

// blind are the blind copies as the answers about their message show them. A
// copy's own message does not tell of the others: it would hold them 50 times.
func blind(copies []Copy) []waypost.Address {
	var out []waypost.Address
	for _, c := range copies {
		if _, err := compose.Mailbox(c.Email); err == nil {
			out = append(out, c.Address)
		}
	}
	return out
}

// choose picks the provider of a new message (D-16): among the candidates that
// can send now, else in the overflow pool, else among all of them, to wait.
func (q *Queue) choose(ctx context.Context, pool *waypost.Pool, t route.Target, now time.Time) int64 {
	usable := func(id int64) bool { return q.usable(ctx, id, t.Mailbox, now) }
	if id := route.Choose(pool, t, usable); id != 0 {
		return id
	}
	if pool.Overflow != 0 {
		if over, err := q.pools.get(ctx, pool.Overflow); err == nil {
			if id := route.Choose(&over, t, usable); id != 0 {
				return id
			}
		}
	}
	return route.Choose(pool, t, nil)
}

// suppress drops the drafts whose recipient is on the suppression list.
func (q *Queue) suppress(ctx context.Context, subAccount int64, drafts []ingest.Draft, now time.Time) error {
	for chunk := range slices.Chunk(drafts, 1000) {
		emails := make([]string, 0, len(chunk))
		for i := range chunk {
			if chunk[i].Drop == "" {
				emails = append(emails, waypost.FoldEmail(chunk[i].Message.Recipient))
			}
		}
		if len(emails) == 0 {
			continue
		}
		found, err := q.cfg.Store.Suppressed(ctx, subAccount, emails, now)
		if err != nil {
			return fmt.Errorf("look up %d suppressions: %w", len(emails), err)
		}
		for i := range chunk {
			if s, ok := found[waypost.FoldEmail(chunk[i].Message.Recipient)]; ok && chunk[i].Drop == "" {
				chunk[i].Drop, chunk[i].Text = waypost.DropSuppressed, suppressedText(&s)
			}
		}
	}
	return nil
}

// bounded makes an address that was refused fit to store and show.
func bounded(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > waypost.MaxEmail {
		s = strings.ToValidUTF8(s[:waypost.MaxEmail], "")
	}
	return s
}

// domainOf is the name under which the domain of a From address is stored.
func domainOf(from string) string {
	name, err := senderdomain.CheckName(waypost.EmailDomain(from))
	if err != nil {
		return ""
	}
	return name
}
