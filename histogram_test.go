package waypost

import (
	"testing"
	"time"
)

func TestHistogramBucket(t *testing.T) {
	h := Histogram{time.Second, time.Minute}
	for d, want := range map[time.Duration]int{
		-time.Hour: 0, 0: 0, time.Second: 0, time.Second + 1: 1, time.Minute: 1, time.Minute + 1: 2, 1 << 62: 2,
	} {
		if got := h.Bucket(d); got != want {
			t.Errorf("%s is in bucket %d, not %d", d, got, want)
		}
	}
	if h.Buckets() != 3 {
		t.Errorf("%d buckets", h.Buckets())
	}
}

func TestHistogramQuantile(t *testing.T) {
	h := Histogram{time.Second, 2 * time.Second, 4 * time.Second}
	for _, tt := range []struct {
		counts []int64
		share  float64
		want   time.Duration
		known  bool
	}{
		{nil, 0.5, 0, false},
		{[]int64{0, 0, 0, 0}, 0.5, 0, false},
		{[]int64{10, 0, 0, 0}, 0.5, 500 * time.Millisecond, true},
		{[]int64{0, 10, 0, 0}, 1, 2 * time.Second, true},
		{[]int64{5, 5, 0, 0}, 0.75, 1500 * time.Millisecond, true},
		{[]int64{5, 5, 0, 0}, 0, 0, true},
		{[]int64{0, 0, 0, 3}, 0.5, 4 * time.Second, true}, // longer than any bound
		{[]int64{-2, 4, 0, 0}, 0.5, 1500 * time.Millisecond, true},
		{[]int64{0, 0, 2}, 0.5, 3 * time.Second, true}, // fewer counts than buckets
	} {
		if got, known := h.Quantile(tt.counts, tt.share); got != tt.want || known != tt.known {
			t.Errorf("quantile %v of %v is %s, %v; want %s, %v", tt.share, tt.counts, got, known, tt.want, tt.known)
		}
	}
}
