package submission_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/gate"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
	"github.com/waypost-mail/waypost/internal/submission"
)

// house is submission over a real store; nothing relays.
type house struct {
	*testing.T
	store              store.Store
	account, sub       int64
	user, password     string
	starttls, implicit string // addresses
	server             *submission.Server
}

func newHouse(t *testing.T, change func(*submission.Config)) *house {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waypost.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	box, err := secret.OpenOrCreate(filepath.Join(t.TempDir(), "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	judge, err := bounce.NewJudge()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	in := store.Installation{Account: waypost.Account{Name: "a", Created: now}, SubAccount: waypost.SubAccount{Name: "s", Default: true, Created: now}}
	h := &house{T: t, store: s, password: secret.NewKey("wpm")}
	h.ok(s.Install(t.Context(), &in))
	h.account, h.sub = in.Account.ID, in.SubAccount.ID
	key := waypost.APIKey{Kind: waypost.KeySubmission, Account: h.account, SubAccount: h.sub, Name: "printer", Hash: secret.HashKey(h.password), Created: now}
	h.ok(s.CreateKey(t.Context(), &key))
	h.user = waypost.SubmissionUser{Name: "printer", SubAccount: h.sub}.Username(waypost.SubmissionDomain)
	p := waypost.Provider{Account: h.account, Name: "mine", Host: "mail.example.net", Port: 25, Security: "none", Auth: "none", MaxPerHour: 100, Created: now, Updated: now}
	pool := waypost.Pool{Account: h.account, Name: "mine", Strategy: waypost.StrategyVolumePercentage, Created: now}
	h.ok(s.CreateProvider(t.Context(), &p, &waypost.APIKey{Kind: waypost.KeyIngestion, Hash: [32]byte{7}, Created: now}, &pool))
	signs, err := dkim.GenerateEd25519()
	h.ok(err)
	for name, sealed := range map[string][]byte{"example.com": senderdomain.SealKey(box, signs), "keyless.example": nil} {
		h.ok(s.CreateDomain(t.Context(), &waypost.SenderDomain{
			Account: h.account, SubAccount: h.sub, Name: name, Selector: waypost.DKIMSelector, Key: sealed, Created: now, NextCheck: now.Add(time.Hour),
			Records: []waypost.DNSRecord{{Kind: waypost.RecordReturnPath, Verified: true}},
		}))
	}
	log := slog.New(slog.DiscardHandler)
	c := submission.Config{Store: s, Host: "submit.example.com", Log: log, Grace: 5 * time.Second}
	c.Queue = queue.New(queue.Config{Store: s, Door: ingest.New(s, judge), Box: box, Log: log})
	if change != nil {
		change(&c)
	}
	h.server = submission.New(c)
	h.listen()
	return h
}

func (h *house) listen() {
	h.Helper()
	secure, err := gate.SelfSigned("localhost")
	h.ok(err)
	ctx, cancel := context.WithCancel(context.Background())
	var end sync.WaitGroup
	for _, l := range []struct {
		at       *string
		implicit bool
	}{{&h.starttls, false}, {&h.implicit, true}} {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		h.ok(err)
		*l.at = listener.Addr().String()
		end.Go(func() {
			if err := h.server.Run(ctx, listener, secure, l.implicit); err != nil {
				h.Error(err)
			}
		})
	}
	h.Cleanup(func() { cancel(); end.Wait() })
}

func (h *house) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// dial connects with STARTTLS and logs in.
func (h *house) dial() *gosmtp.Client {
	h.Helper()
	c, err := gosmtp.DialStartTLS(h.starttls, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // its own certificate
	h.ok(err)
	h.Cleanup(func() { _ = c.Close() })
	h.ok(c.Auth(sasl.NewPlainClient("", h.user, h.password)))
	return c
}

// messages lists what was taken, oldest first.
func (h *house) messages() []waypost.Message {
	h.Helper()
	all, err := h.store.ListMessages(h.Context(), store.MessageQuery{Account: h.account, Limit: 1000})
	h.ok(err)
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all
}

func (h *house) content(m *waypost.Message) waypost.Content {
	h.Helper()
	c, err := h.store.Content(h.Context(), m.Content)
	h.ok(err)
	return c
}
