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

// Allowance tells how many messages a limit of perHour still lets through at
// the time given, and when the next one may go if none may now. Buckets may
// come in any order and may repeat a minute; those outside the rolling hour do
// not count. perHour of 0 or less is no limit: free is the largest int.
func Allowance(buckets []Bucket, perHour int, now time.Time) (free int, next time.Time) {
	const unlimited = int(^uint(0) >> 1)
	if perHour <= 0 {
		return unlimited, now
	}
	oldest := OldestBucket(now)
	used := 0
	for _, b := range buckets {
		if b.Minute >= oldest {
			used += b.N
		}
	}
	if used < perHour {
		return perHour - used, now
	}
	// Full: slots come free as the oldest buckets leave the hour.
	over := used - perHour
	for minute := oldest; ; minute++ {
		for _, b := range buckets {
			if b.Minute == minute {
				over -= b.N
			}
		}
		if over < 0 {
			return 0, time.Unix((minute+61)*60, 0)
		}
	}
}
