package waypost

import (
	"math"
	"sort"
	"time"
)

// Histogram divides durations into buckets. Each bound is the end of a bucket
// and belongs to it; what is longer than the last one is in a bucket of its
// own. Numbers of buckets are stored: bounds are only ever added at the end.
type Histogram []time.Duration

// RelayTimes is by how long a provider took over a message, composing it and
// waiting for a session included.
var RelayTimes = Histogram{
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute,
}

// DeliveryTimes is by the time from a message's acceptance here until the
// recipient's server took it.
var DeliveryTimes = Histogram{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute,
	15 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// Buckets is the number of buckets.
func (h Histogram) Buckets() int { return len(h) + 1 }

// Bucket is the number of the bucket of a duration, from 0.
func (h Histogram) Bucket(d time.Duration) int {
	return sort.Search(len(h), func(i int) bool { return d <= h[i] })
}

// Quantile tells below which duration a share of what was counted lies, such as
// 0.95, taking each bucket's to be spread evenly over it. What is beyond the
// last bound counts as the last bound. It answers false when nothing was
// counted.
func (h Histogram) Quantile(counts []int64, share float64) (time.Duration, bool) {
	total := int64(0)
	for _, n := range counts {
		total += max(n, 0)
	}
	if total == 0 || len(h) == 0 {
		return 0, false
	}
	want, sum := share*float64(total), 0.0
	for i, n := range counts {
		if n <= 0 {
			continue
		}
		if sum+float64(n) < want {
			sum += float64(n)
			continue
		}
		if i >= len(h) {
			break
		}
		low := time.Duration(0)
		if i > 0 {
			low = h[i-1]
		}
		part := math.Max(0, want-sum) / float64(n)
		return low + time.Duration(part*float64(h[i]-low)), true
	}
	return h[len(h)-1], true
}
