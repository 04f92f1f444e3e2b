package smtp

import (
	"bytes"
	"testing"

	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// BenchmarkSend is one message of 2 KB on a reused, pipelined session; client
// and server share the machine.
func BenchmarkSend(b *testing.B) {
	srv := smtptest.New(b, smtptest.Script{Discard: true})
	c := mustDial(b, configFor(srv))
	body := append([]byte("Subject: benchmark\r\n\r\n"), bytes.Repeat([]byte("0123456789 0123456789 0123456789 0123456789 0123\r\n"), 40)...)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Send(b.Context(), testEnv, body); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func BenchmarkReadReply(b *testing.B) {
	line := []byte("250 2.0.0 Ok: queued as 4ABC12345\r\n")
	src := bytes.NewReader(line)
	r := newReplyReader(src)
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(line)
		if _, err := readReply(r); err != nil {
			b.Fatal(err)
		}
	}
}
