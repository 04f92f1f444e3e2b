package webhook_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
)

// BenchmarkDeliver sends events to a receiver on this machine: deliveries a
// second, from the claim to the stored outcome.
func BenchmarkDeliver(b *testing.B) {
	const each = 2000
	h := newHouse(b, nil)
	server := receiver(b, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	hook := h.hook(server.URL, waypost.WantProcessed, ownKey)
	var took time.Duration
	total := int64(0)
	for b.Loop() {
		b.StopTimer()
		for range each / 500 {
			h.accept(500, "")
		}
		total += each
		b.StartTimer()
		began := time.Now()
		stop := h.run()
		h.until("all are delivered", func() bool { return h.read(hook.ID).Delivered == total })
		stop()
		took += time.Since(began)
	}
	b.ReportMetric(float64(total)/took.Seconds(), "deliveries/s")
}
