package postgres

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres/pgtest"
)

const callers = 64

// body is 2 KB of text that compresses about as mail does.
func body() string {
	b := make([]byte, 768)
	_, _ = rand.Read(b)
	return base64.StdEncoding.EncodeToString(b) + filler
}

const filler = `<table width="600" cellpadding="0" cellspacing="0" border="0"><tr><td style="font-family:Arial,sans-serif;font-size:14px">` +
	`Dear customer, this is what is new in our shop this week. Have a look at what we chose for you, and write to us when you have a question.` +
	`</td></tr><tr><td style="font-family:Arial,sans-serif;font-size:14px">You get this mail because you asked for it.</td></tr></table>` +
	`<table width="600" cellpadding="0" cellspacing="0" border="0"><tr><td style="font-family:Arial,sans-serif;font-size:14px">` +
	`Dear customer, this is what is new in our shop this week. Have a look at what we chose for you, and write to us when you have a question.` +
	`</td></tr><tr><td style="font-family:Arial,sans-serif;font-size:14px">You get this mail because you asked for it.</td></tr></table>`

// parallel runs do from many callers until b.N messages are done; do answers
// how many it did.
func parallel(b *testing.B, do func(ctx context.Context) (int, error)) {
	var done atomic.Int64
	errs := make(chan error, callers)
	for range callers {
		go func() {
			for done.Load() < int64(b.N) {
				n, err := do(b.Context())
				if err != nil {
					errs <- err
					return
				}
				done.Add(int64(n))
			}
			errs <- nil
		}()
	}
	for range callers {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(done.Load())/b.Elapsed().Seconds(), "messages/s")
}

func accept(d *DB, n int) func(context.Context) (int, error) {
	return func(ctx context.Context) (int, error) { return n, d.Accept(ctx, call(n, body())) }
}

func BenchmarkAcceptOwn(b *testing.B) {
	d := open(b, pgtest.Start(b))
	b.ResetTimer()
	parallel(b, accept(d, 1))
}

func BenchmarkAcceptShared(b *testing.B) {
	d := open(b, pgtest.Start(b))
	b.ResetTimer()
	parallel(b, accept(d, 1000))
}

// cycle keeps about 2,000 messages queued by calls of n recipients, and claims
// and finishes them 64 at a time. Two callers claim at once, as the dispatcher
// of a lane does; the rest accepts and settles.
func cycle(b *testing.B, n int) {
	d := open(b, pgtest.Start(b))
	var queued atomic.Int64
	dispatch := make(chan struct{}, 2)
	b.ResetTimer()
	parallel(b, func(ctx context.Context) (int, error) {
		if queued.Add(int64(n)) <= 2000+int64(n) {
			return 0, d.Accept(ctx, call(n, body()))
		}
		queued.Add(int64(-n))
		dispatch <- struct{}{}
		got, err := d.Claim(ctx, store.Claim{Lane: lane, Now: now, Max: 64, LeaseUntil: now.Add(time.Hour)})
		<-dispatch
		if err != nil {
			return 0, err
		}
		queued.Add(int64(-len(got.Entries)))
		errs := make(chan error, len(got.Entries))
		for _, c := range got.Entries {
			go func() { errs <- sent(b, d, c) }()
		}
		for range got.Entries {
			if err := <-errs; err != nil {
				return 0, err
			}
		}
		return len(got.Entries), nil
	})
}

func BenchmarkCycleOwn(b *testing.B)    { cycle(b, 1) }
func BenchmarkCycleShared(b *testing.B) { cycle(b, 1000) }
