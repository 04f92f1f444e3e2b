package sqlite

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var benchLane = waypost.Lane{Provider: 1, Mailbox: waypost.MailboxDefault}

// benchCall is an API call of n recipients that share a body of 2 KB.
func benchCall(r *rand.ChaCha8, n int) *store.Acceptance {
	now := time.Now()
	raw := make([]byte, 1536)
	_, _ = r.Read(raw)
	a := &store.Acceptance{Content: waypost.Content{
		ID: waypost.NewUUID(now), Account: 1, SubAccount: 1, From: waypost.Address{Email: "news@example.com"},
		Subject: "Hello", HTML: base64.StdEncoding.EncodeToString(raw),
	}}
	for i := range n {
		m := waypost.Message{
			ID: waypost.NewUUID(now), Account: 1, SubAccount: 1, Content: a.Content.ID, Recipient: fmt.Sprintf("user%d@example.org", i),
			Provider: benchLane.Provider, Mailbox: benchLane.Mailbox, Domain: 1, Pool: 1, SubmittedAt: now,
		}
		m.To.Email = m.Recipient
		a.Messages = append(a.Messages, m)
		a.Events = append(a.Events, benchEvent(waypost.CSProcessed, &m))
		a.Queue = append(a.Queue, store.Waiting{Lane: benchLane, Message: m.ID, Due: now})
	}
	return a
}

func benchEvent(t waypost.EventType, m *waypost.Message) waypost.Event {
	e := waypost.Event{
		Type: t, Account: 1, SubAccount: 1, Provider: 1, Message: m.ID, Recipient: m.Recipient, At: time.Now(), Source: waypost.SourceAPI,
	}
	if t == waypost.CSSent {
		e.Source, e.Code, e.Enhanced, e.Text, e.Attempt = waypost.SourceRelay, 250, "2.0.0", "Ok: queued as 4bXyZ1", 1
	}
	return e
}

// benchTranscript is that of an attempt on a session that was open.
func benchTranscript() *waypost.Transcript {
	return &waypost.Transcript{
		Attempt: 1, Took: 14 * time.Millisecond, Remote: "192.0.2.7:587", TLS: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Reused: true,
		Steps: []waypost.TranscriptStep{
			{Name: "mail", Code: 250, Text: "2.1.0 Ok", Took: 3 * time.Millisecond},
			{Name: "rcpt", Code: 250, Text: "2.1.5 Ok"},
			{Name: "data", Code: 354, Text: "End data with <CR><LF>.<CR><LF>"},
			{Name: "final", Code: 250, Text: "2.0.0 Ok: queued as 4bXyZ1", Took: 9 * time.Millisecond},
		},
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// perMessage runs f with n messages to do and reports what one costs.
func perMessage(b *testing.B, n int, f func()) {
	b.Helper()
	b.ResetTimer()
	start, used := time.Now(), cpu()
	f()
	took := time.Since(start)
	b.ReportMetric(float64(n)/took.Seconds(), "msgs/s")
	b.ReportMetric(float64((cpu()-used).Microseconds())/float64(n), "cpu-µs/msg")
	b.ReportMetric(0, "ns/op")
}

// parallel runs callers until n calls are made.
func parallel(b *testing.B, callers, n int, f func(*rand.ChaCha8) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			r := rand.NewChaCha8([32]byte{byte(i)})
			for next.Add(1) <= int64(n) {
				if err := f(r); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkFsync is the baseline: what the disk can do with the same batches.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "log"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const group = 64
	batch := make([]byte, group*2048)
	perMessage(b, b.N*group, func() {
		for range b.N {
			_, _ = f.Write(batch)
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// each runs a benchmark with the store empty, for 64 and 256 callers.
func each(b *testing.B, f func(b *testing.B, d *DB, callers int)) {
	for _, callers := range []int{64, 256} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			f(b, open(b, filepath.Join(b.TempDir(), "waypost.db")), callers)
		})
	}
}

func BenchmarkAccept(b *testing.B) {
	each(b, func(b *testing.B, d *DB, callers int) {
		perMessage(b, b.N, func() {
			parallel(b, callers, b.N, func(r *rand.ChaCha8) error { return d.Accept(b.Context(), benchCall(r, 1)) })
		})
	})
}

func BenchmarkAcceptShared(b *testing.B) {
	d := open(b, filepath.Join(b.TempDir(), "waypost.db"))
	perMessage(b, b.N*1000, func() {
		parallel(b, 64, b.N, func(r *rand.ChaCha8) error { return d.Accept(b.Context(), benchCall(r, 1000)) })
	})
}

// BenchmarkCycle accepts, claims and settles: one dispatcher claims when
// something was accepted, and each caller accepts one message and settles one.
func BenchmarkCycle(b *testing.B) {
	each(b, func(b *testing.B, d *DB, callers int) {
		ctx, stop := context.WithCancel(b.Context())
		defer stop()
		claimed, accepted := make(chan store.Claimable, 1024), make(chan struct{}, 1)
		var dispatcher sync.WaitGroup
		dispatcher.Go(func() { dispatch(ctx, d, accepted, claimed) })
		perMessage(b, b.N, func() {
			parallel(b, callers, b.N, func(r *rand.ChaCha8) error {
				if err := d.Accept(ctx, benchCall(r, 1)); err != nil {
					return err
				}
				select {
				case accepted <- struct{}{}:
				default:
				}
				c := <-claimed
				return d.Settle(ctx, &store.Settlement{
					Entry: c.Entry, Message: c.Message, Events: []waypost.Event{benchEvent(waypost.CSSent, &c.Message)}, Transcript: benchTranscript(),
					Exchange: &store.Exchange{Provider: c.Entry.Lane.Provider, At: time.Now(), Took: 80 * time.Millisecond, Code: 250},
				})
			})
		})
		stop()
		dispatcher.Wait()
	})
}

func dispatch(ctx context.Context, d *DB, accepted <-chan struct{}, claimed chan<- store.Claimable) {
	for {
		now := time.Now()
		got, err := d.Claim(ctx, store.Claim{Lane: benchLane, Now: now, Max: 256, LeaseUntil: now.Add(time.Hour)})
		if err != nil {
			return
		}
		for _, c := range got.Entries {
			claimed <- c
		}
		if len(got.Entries) > 0 {
			continue
		}
		select {
		case <-accepted:
		case <-ctx.Done():
			return
		}
	}
}
