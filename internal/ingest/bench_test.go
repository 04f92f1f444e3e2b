package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
)

// bench makes a door over a store with n messages that have left the queue for
// the reason given, or wait in it without one.
func bench(b testing.TB, n int, drop waypost.Reason) (*ingest.Door, []waypost.Message) {
	b.Helper()
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "waypost.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	judge, err := bounce.NewJudge()
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now().Truncate(time.Millisecond)
	in := store.Installation{Account: waypost.Account{Name: "a", Created: now}, SubAccount: waypost.SubAccount{Name: "s", Default: true, Created: now}}
	if err := s.Install(b.Context(), &in); err != nil {
		b.Fatal(err)
	}
	door := ingest.New(s, judge)
	var all []waypost.Message
	for len(all) < n {
		content := waypost.Content{ID: waypost.NewUUID(now), Account: in.Account.ID, SubAccount: in.SubAccount.ID, Text: "hello"}
		var drafts []ingest.Draft
		for range min(1000, n-len(all)) {
			m := waypost.Message{
				ID: waypost.NewUUID(now), Account: in.Account.ID, SubAccount: in.SubAccount.ID, Content: content.ID,
				Recipient: "ann@example.com", To: waypost.Address{Email: "ann@example.com"}, Provider: 1, SubmittedAt: now,
			}
			all = append(all, m)
			drafts = append(drafts, ingest.Draft{Message: m, Drop: drop})
		}
		if err := door.Accept(b.Context(), content, drafts, now); err != nil {
			b.Fatal(err)
		}
	}
	return door, all
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBounce is the whole pipeline behind the SMTP session: look-up at
// RCPT, read, judge, store durably with event, counters and suppression. It
// reports mails per CPU second of the process.
func BenchmarkBounce(b *testing.B) {
	door, all := bench(b, b.N, "")
	b.SetParallelism(32)
	next := make(chan waypost.Message, b.N)
	for _, m := range all {
		next <- m
	}
	b.ResetTimer()
	before := cpu()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m := <-next
			path := waypost.ReturnPath{UUID: m.ID, SubAccount: m.SubAccount, Domain: "sp-bounce.example.com"}.String()
			to, err := door.Addressee(context.Background(), path, time.Now())
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := door.Bounce(context.Background(), to, hardDSN(path, m.Recipient), time.Now()); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/(cpu()-before).Seconds(), "mails/cpu-s")
}

// FuzzSession throws bytes at the listener: it answers, closes, and never
// stores a report for a message that was not named at RCPT.
func FuzzSession(f *testing.F) {
	door, all := bench(f, 1, "")
	var lc net.ListenConfig
	l, err := lc.Listen(f.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	s, err := ingest.NewSMTP(ingest.SMTPConfig{Door: door, Host: "bounce.example", Log: slog.New(slog.DiscardHandler), PerIPMinute: 1 << 30, RolesPerHour: 1 << 30})
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l) }()
	f.Cleanup(func() { cancel(); <-done })
	path := waypost.ReturnPath{UUID: all[0].ID, SubAccount: all[0].SubAccount, Domain: "sp-bounce.example.com"}.String()
	begin := "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<" + path + ">\r\n"
	f.Add([]byte("QUIT\r\n"))
	f.Add([]byte(begin + "DATA\r\n" + string(hardDSN(path, "ann@example.com")) + ".\r\nQUIT\r\n"))
	f.Add([]byte(begin + "DATA\r\nx\n.\nMAIL FROM:<>\r\n"))
	f.Add([]byte(begin + "BDAT 3\r\nabcBDAT 0 LAST\r\nRSET\r\n"))
	f.Add([]byte("EHLO x\r\nSTARTTLS\r\n\x16\x03\x01"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		var d net.Dialer
		c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(generous))
		go func() {
			_, _ = c.Write(sent)
			_ = c.(*net.TCPConn).CloseWrite()
		}()
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the session neither answered nor closed")
		}
	})
}

// BenchmarkReport stores reports of 500 events, of four agents at once, each
// event of a message of its own and durable when the report is answered. It
// gives events for each second, and for each CPU second of the process.
func BenchmarkReport(b *testing.B) {
	const batch, agents, most = 500, 4, 20_000
	n := min(max(b.N, 1)*batch, most)
	door, all := bench(b, n, waypost.DropCancelled)
	now := time.Now().Truncate(time.Millisecond)
	next := make(chan int)
	var work sync.WaitGroup
	began, used := time.Now(), cpu()
	b.ResetTimer()
	for range agents {
		work.Go(func() {
			for round := range next {
				items := make([]waypost.ReportItem, batch)
				for i := range items {
					m := &all[(round*batch+i)%len(all)]
					items[i] = waypost.ReportItem{
						EventID: fmt.Sprintf("%d-%d", round, i), MessageID: m.ID.String(), EventType: waypost.ReportDelivered, Recipient: m.Recipient,
						SMTPCode: 250, EnhancedCode: "2.0.0", SMTPDescription: "250 2.0.0 OK queued", QueueID: waypost.QueueID(fmt.Sprintf("4QXx%dz%d", round, i)), Relay: "mx.example.com[192.0.2.9]:25",
					}
				}
				results, err := door.Report(b.Context(), 1, items, now)
				if err != nil || len(results) != batch || results[0].Status == waypost.ReportRejected {
					b.Error(results[:min(len(results), 1)], err)
				}
			}
		})
	}
	for round := range b.N {
		next <- round
	}
	close(next)
	work.Wait()
	b.StopTimer()
	events := float64(b.N * batch)
	b.ReportMetric(events/time.Since(began).Seconds(), "events/s")
	b.ReportMetric(events/(cpu()-used).Seconds(), "events/cpu-s")
}
