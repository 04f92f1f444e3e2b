package webhook_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
	"github.com/waypost-mail/waypost/internal/webhook"
)

// BenchmarkRelayBesideDeadEndpoint relays without a webhook, with two whose
// receivers take every event, and with two that are dead: one accepts and never
// answers, one refuses. The sides take turns in one run, and medians are given;
// slower% is what the dead ones cost beside none: the rows of their deliveries.
func BenchmarkRelayBesideDeadEndpoint(b *testing.B) {
	hang := receiver(b, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is the end of the connection noticed
		<-r.Context().Done()
	})
	b.Cleanup(hang.CloseClientConnections)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	refusing := "http://" + l.Addr().String()
	_ = l.Close()
	good := receiver(b, func(http.ResponseWriter, *http.Request) {})
	var none, live, dead []float64
	for b.Loop() {
		none = append(none, relayRate(b))
		live = append(live, relayRate(b, good.URL+"/1", good.URL+"/2"))
		dead = append(dead, relayRate(b, hang.URL, refusing))
	}
	median := func(v []float64) float64 {
		slices.Sort(v)
		return v[len(v)/2]
	}
	b.ReportMetric(median(none), "none-messages/s")
	b.ReportMetric(median(live), "live-messages/s")
	b.ReportMetric(median(dead), "dead-messages/s")
	b.ReportMetric(100*(1-median(dead)/median(none)), "slower%")
	b.ReportMetric(0, "ns/op") // all sides together: no figure of interest
}

// relayRate relays with webhooks that want every event, and gives messages a
// second.
func relayRate(b *testing.B, urls ...string) float64 {
	b.Helper()
	const calls, each = 15, 100
	h := newHouse(b, func(c *webhook.Config, _ *webhook.SenderConfig) { c.Poll, c.Rest = 0, 0 }) // as in production
	for _, u := range urls {
		h.hook(u, waypost.WantProcessed|waypost.WantSent, ownKey)
	}
	ok := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	judge, err := bounce.NewJudge()
	ok(err)
	mta := smtptest.New(b, smtptest.Script{})
	now := time.Now().Truncate(time.Millisecond)
	p := waypost.Provider{
		Account: h.account, Name: "mta", Host: mta.Host(), Port: mta.Port(), Security: "none", Auth: "none", MaxPerHour: 1_000_000, Burst: true,
		Created: now, Updated: now,
	}
	pool := waypost.Pool{Account: h.account, Name: "mta", Strategy: waypost.StrategyVolumePercentage, Created: now}
	ok(h.store.CreateProvider(b.Context(), &p, &waypost.APIKey{Kind: waypost.KeyIngestion, Account: h.account, Created: now}, &pool))
	key, err := dkim.GenerateRSA()
	ok(err)
	d := waypost.SenderDomain{
		Account: h.account, SubAccount: h.sub, Name: "example.com", Selector: waypost.DKIMSelector, Key: senderdomain.SealKey(h.box, key),
		Records: []waypost.DNSRecord{{Kind: waypost.RecordReturnPath, Verified: true}}, Created: now, NextCheck: now.Add(time.Hour),
	}
	ok(h.store.CreateDomain(b.Context(), &d))
	log := slog.New(slog.DiscardHandler)
	q := queue.New(queue.Config{Store: h.store, Door: ingest.New(h.store, judge), Box: h.box, Log: log, AllowPrivate: true})
	sub, err := h.store.SubAccount(b.Context(), h.account, h.sub)
	ok(err)
	ctx, cancel := context.WithCancel(context.Background())
	var end sync.WaitGroup
	end.Go(func() { ok(q.Run(ctx)) })
	defer func() { cancel(); end.Wait() }()
	stop := h.run()
	defer stop()
	began := time.Now()
	for c := range calls {
		s := queue.Submission{SubAccount: sub, Content: waypost.Content{From: waypost.Address{Email: "a@example.com"}, Subject: "s", Text: "hello"}}
		for i := range each {
			s.To = append(s.To, queue.Recipient{Address: waypost.Address{Email: fmt.Sprintf("u%d.%d@example.org", c, i)}})
		}
		_, err := q.Enqueue(b.Context(), &s)
		ok(err)
	}
	h.until("all is relayed", func() bool { return len(mta.Messages()) == calls*each })
	rate := calls * each / time.Since(began).Seconds()
	return rate
}
