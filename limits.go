package waypost

import "time"

// Bucket counts the messages that a limit let through in one minute.
type Bucket struct {
	Minute int64 // minutes since 1970
	N      int
}

// BucketMinute is the minute that t falls in.
func BucketMinute(t time.Time) int64 { return t.Unix() / 60 }

// OldestBucket is the oldest minute that still counts at the time given. The
// rolling hour is exact to a minute's bucket (D-18): a bucket counts until the
// last message that may be in it is an hour old.
func OldestBucket(now time.Time) int64 { return BucketMinute(now) - 60 }

// Limit bounds the messages of a rolling hour. Spread over the hour, at most
// half of them go in any ten minutes; a burst goes as fast as it can (D-18).
type Limit struct {
	PerHour int // 0 or less: no limit
	Burst   bool
}

// spreadMinutes is the window in which half of the hour's messages may go.
const spreadMinutes = 10

// Allowance tells how many messages a limit still lets through at the time
// given, and when the next one may go if none may now. Buckets may come in any
// order and may repeat a minute; those outside the rolling hour do not count.
// Without a limit free is the largest int.
func Allowance(buckets []Bucket, l Limit, now time.Time) (free int, next time.Time) {
	const unlimited = int(^uint(0) >> 1)
	if l.PerHour <= 0 {
		return unlimited, now
	}
	free, next = within(buckets, l.PerHour, 60, now)
	if l.Burst {
		return free, next
	}
	half, later := within(buckets, (l.PerHour+1)/2, spreadMinutes, now)
	if later.After(next) {
		next = later
	}
	return min(free, half), next
}

// within is the allowance of a rolling window of some minutes.
func within(buckets []Bucket, most int, minutes int64, now time.Time) (free int, next time.Time) {
	oldest := BucketMinute(now) - minutes
	used := 0
	for _, b := range buckets {
		if b.Minute >= oldest {
			used += b.N
		}
	}
	if used < most {
		return most - used, now
	}
	// Full: slots come free as the oldest buckets leave the window.
	over := used - most
	for minute := oldest; ; minute++ {
		for _, b := range buckets {
			if b.Minute == minute {
				over -= b.N
			}
		}
		if over < 0 {
			return 0, time.Unix((minute+minutes+1)*60, 0)
		}
	}
}
