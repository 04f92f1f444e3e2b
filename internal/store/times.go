package store

import (
	"math"
	"time"

	"github.com/waypost-mail/waypost"
)

// Timed is a kind of counters by time: what plots finer than a day are drawn
// from. They are written in the transaction of what they count, and are kept
// for a while only. The numbers are stored.
type Timed int16

// The kinds, each with what TimeRow.Key is.
const (
	// TimedMinute counts events by minute and provider, not by sub-account: a
	// waypost.Stat but those of opens, clicks and unsubscriptions.
	TimedMinute Timed = 1
	// TimedHour counts events by hour: StatProcessed, StatDelivered,
	// StatUniqueOpened, StatUniqueClicked.
	TimedHour Timed = 2
	// TimedReply counts exchanges with a provider by hour, not by sub-account:
	// 2, 4 or 5, the first digit of the reply; 0 when there was none.
	TimedReply Timed = 3
	// TimedRelay counts the exchanges that ended in a 2yz reply by hour, not by
	// sub-account: the bucket of waypost.RelayTimes.
	TimedRelay Timed = 4
	// TimedDelivery counts deliveries by hour: the bucket of
	// waypost.DeliveryTimes.
	TimedDelivery Timed = 5
	// TimedDepth is what waited at a minute, by account only: DepthMessages,
	// DepthOverdue.
	TimedDepth Timed = 6
	// TimedPool counts messages that a provider took (StatSent) by hour and
	// provider, not by sub-account: the id of the message's pool.
	TimedPool Timed = 7
)

// The keys of TimedDepth.
const (
	DepthMessages = 0 // how many wait
	DepthOverdue  = 1 // seconds that the earliest of them is overdue
)

// Step is the time that one row of a kind stands for.
func (t Timed) Step() time.Duration {
	if t == TimedMinute || t == TimedDepth {
		return time.Minute
	}
	return time.Hour
}

// TimeQuery selects counters by time of an account. Zero fields select all.
type TimeQuery struct {
	Account    int64
	SubAccount int64 // not looked at by kinds that are not kept by sub-account
	Provider   int64 // not looked at by TimedDepth
	Kind       Timed
	From, To   time.Time // steps that begin in [From, To); both are cut to whole minutes
	Keys       []int     // only these
	ByProvider bool      // a row for each provider, too
}

// TimeRow is one counter.
type TimeRow struct {
	At       time.Time // UTC, the beginning of the step
	Provider int64     // 0 unless it was asked for
	Key      int
	N        int64
}

// TimeCount is a row that something counted moves.
type TimeCount struct {
	Kind                 Timed
	SubAccount, Provider int64
	Minute               int64 // since 1970: the beginning of the step
	Key                  int
}

func timeCount(kind Timed, at time.Time, sub, provider int64, key int) TimeCount {
	return TimeCount{kind, sub, provider, minuteOf(at.Truncate(kind.Step())), key}
}

// minuteOf counts minutes from 1970, downwards before it, too.
func minuteOf(at time.Time) int64 {
	s := at.Unix()
	m := s / 60
	if s%60 < 0 {
		m--
	}
	return m
}

// Minutes gives the bounds of a query as minutes since 1970.
func (q *TimeQuery) Minutes() (from, to int64) { return minuteOf(q.From), minuteOf(q.To) }

// BySubAccount tells whether the kind is kept by sub-account.
func (t Timed) BySubAccount() bool { return t == TimedHour || t == TimedDelivery }

// eventStat tells by what a counter of events is kept.
func eventStat(s waypost.Stat) (minute, hour bool) {
	switch s {
	case waypost.StatProcessed, waypost.StatDelivered:
		return true, true
	case waypost.StatSent, waypost.StatDropped, waypost.StatSMTPDropped, waypost.StatHardBounced, waypost.StatSoftBounced, waypost.StatSpam:
		return true, false
	case waypost.StatUniqueOpened, waypost.StatUniqueClicked:
		return false, true
	case waypost.StatNone, waypost.StatOpened, waypost.StatClicked, waypost.StatUnsubscribed:
	}
	return false, false
}

// EventTimes calls count for each row that an event moves.
func EventTimes(e *waypost.Event, count func(TimeCount)) {
	for _, s := range e.Stats() {
		minute, hour := eventStat(s)
		if minute {
			count(timeCount(TimedMinute, e.At, 0, e.Provider, int(s)))
		}
		if hour {
			count(timeCount(TimedHour, e.At, e.SubAccount, e.Provider, int(s)))
		}
		if s == waypost.StatSent && e.Facets.Pool > 0 && e.Facets.Pool <= math.MaxInt32 { // what a key can be in every engine
			count(timeCount(TimedPool, e.At, 0, e.Provider, int(e.Facets.Pool)))
		}
		if s == waypost.StatDelivered {
			count(timeCount(TimedDelivery, e.At, e.SubAccount, e.Provider, waypost.DeliveryTimes.Bucket(e.At.Sub(e.Message.Time()))))
		}
	}
}

// ExchangeTimes calls count for each row that an exchange moves.
func ExchangeTimes(x *Exchange, count func(TimeCount)) {
	class := x.Code / 100
	if class != 2 && class != 4 && class != 5 {
		class = 0
	}
	count(timeCount(TimedReply, x.At, 0, x.Provider, class))
	if class == 2 {
		count(timeCount(TimedRelay, x.At, 0, x.Provider, waypost.RelayTimes.Bucket(x.Took)))
	}
}

// Depth sums lanes up: how many messages wait, and by how much the earliest of
// them is overdue, 0 when it is not.
func Depth(lanes []LaneDepth, now time.Time) (messages int, overdue time.Duration) {
	for _, l := range lanes {
		messages += l.Messages
		overdue = max(overdue, now.Sub(l.Due))
	}
	return messages, overdue
}
