package seed

import (
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// moment is a time of a day at which people write, before now.
func (c *Scene) moment(day time.Time) time.Time {
	midnight := day.UTC().Truncate(24 * time.Hour)
	hour := 7 + (c.dice.IntN(7)+c.dice.IntN(8))%15
	if c.dice.IntN(8) == 0 {
		hour = c.dice.IntN(24)
	}
	at := midnight.Add(time.Duration(hour)*time.Hour + time.Duration(c.dice.IntN(3600))*time.Second)
	if latest := c.now.Add(-70 * time.Minute); at.After(latest) { // the last hour has a story of its own
		at = latest.Add(-time.Duration(c.dice.IntN(180)) * time.Minute)
	}
	return at
}

// waits is how long a delivery took: mostly seconds, some minutes, few hours.
func (c *Scene) waits() time.Duration {
	switch roll := c.dice.IntN(100); {
	case roll < 70:
		return time.Duration(1200+c.dice.IntN(6000)) * time.Millisecond
	case roll < 90:
		return time.Duration(8+c.dice.IntN(50)) * time.Second
	case roll < 97:
		return time.Duration(60+c.dice.IntN(700)) * time.Second
	}
	return time.Duration(20+c.dice.IntN(200)) * time.Minute
}

// exchange is one with a provider that took a message, or answered otherwise.
func (c *Scene) exchange(provider int64, at time.Time, code int) *store.Exchange {
	took := time.Duration(40+c.dice.IntN(120)) * time.Millisecond
	if c.dice.IntN(12) == 0 {
		took *= 9
	}
	return &store.Exchange{Provider: provider, At: at, Took: took, Code: code}
}

// read lets people open some of what was delivered, and follow its links; one
// of many calls it spam.
func (c *Scene) read(m *waypost.Message, at time.Time) (out []waypost.Event) {
	if c.delivered++; c.delivered%2500 == 1200 { // below the line at which people are warned, whatever the dice say
		out = append(out, event(m, waypost.CSSpamReport, at.Add(time.Minute)))
	}
	for _, v := range []struct {
		kind waypost.EventType
		of   int // of a hundred
		wait int // minutes at most
	}{{waypost.CSOpen, 38, 400}, {waypost.CSClick, 30, 20}} {
		if at = at.Add(time.Duration(1+c.dice.IntN(v.wait)) * time.Minute); c.dice.IntN(100) >= v.of || at.After(c.now) {
			return out
		}
		e := event(m, v.kind, at)
		e.Source, e.Visit = waypost.SourceTrack, &waypost.Visit{IP: "192.0.2.77", UserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)", First: true}
		if v.kind == waypost.CSClick {
			e.Visit.URL, e.Visit.Link = "https://acme-shop.example/orders/1", 1
		}
		out = append(out, e)
	}
	return out
}

// refusals are what receivers answer to mail that they do not take.
var refusals = []struct {
	hard           bool
	code           int
	enhanced, text string
	reason         waypost.Reason
}{
	{true, 550, "5.1.1", "5.1.1 The email account that you tried to reach does not exist", "mailbox_unknown"},
	{true, 550, "5.1.1", "5.1.1 User unknown in virtual mailbox table", "mailbox_unknown"},
	{true, 550, "5.2.1", "5.2.1 The email account that you tried to reach is disabled", "disabled"},
	{true, 550, "5.1.2", "5.1.2 Host or domain name not found", "domain_unknown"},
	{false, 452, "4.2.2", "4.2.2 The recipient's inbox is out of storage space", "mailbox_full"},
	{false, 452, "4.2.2", "4.2.2 The recipient's inbox is out of storage space", "mailbox_full"},
	{false, 421, "4.7.28", "4.7.28 Our system has detected an unusual rate of unsolicited mail", "rate_limited"},
	{false, 550, "5.7.1", "5.7.1 Message rejected as spam", "spam"},
	{false, 554, "5.7.1", "5.7.1 Service unavailable; client host blocked", "blocked"},
}

// bounced gives a bounce the words of a refusal of its kind, the n-th or one
// after it.
func bounced(e *waypost.Event, n int) {
	for refusals[n].hard != (e.Type == waypost.CSHardBounced) {
		n = (n + 1) % len(refusals)
	}
	r := &refusals[n]
	e.Code, e.Enhanced, e.Text, e.Reason = r.code, r.enhanced, r.text, r.reason
}

// day relays a few messages in each of the last hours but the latest, some of
// them at the second attempt, and notes how much waited, so that the plots of
// providers and of the queue have a day.
func (c *Scene) day(providers []int) {
	for back := 23; back >= 2; back-- {
		at := c.now.Add(-time.Duration(back) * time.Hour)
		content := c.content(fmt.Sprintf(subjects[1], 30_000+back), at)
		a := store.Acceptance{Content: content}
		lanes := map[waypost.Lane]bool{}
		for range 5 + c.dice.IntN(5) {
			m := c.message(&content, providers[c.dice.IntN(len(providers))], at)
			m.Mailbox = waypost.MailboxDefault // few lanes: a scene is made for every test
			lane := waypost.Lane{Provider: m.Provider, Mailbox: m.Mailbox}
			lanes[lane] = true
			a.Messages = append(a.Messages, m)
			a.Events = append(a.Events, event(&m, waypost.CSProcessed, at))
			a.Queue = append(a.Queue, store.Waiting{Lane: lane, Message: m.ID, Due: at})
		}
		c.do("day", func() error { return c.s.Accept(c.ctx, &a) })
		c.depth(at.Add(time.Duration(1+c.dice.IntN(50)) * time.Second))
		for lane := range lanes {
			if back%4 == 0 {
				c.refuse(lane, at)
			}
			c.relay(lane, at.Add(2*time.Minute))
		}
		for minute := 15; minute < 60; minute += 15 {
			c.depth(at.Add(time.Duration(minute) * time.Minute))
		}
	}
}

func (c *Scene) depth(at time.Time) {
	c.do("depth", func() error { return c.s.SampleDepth(c.ctx, at) })
}

// refuse settles the first message of a lane as refused for now.
func (c *Scene) refuse(lane waypost.Lane, at time.Time) {
	c.do("refusal", func() error {
		claimed, err := c.s.Claim(c.ctx, store.Claim{Lane: lane, Now: at, Max: 1, LeaseUntil: at.Add(time.Hour), Burst: true, PerHour: 1_000_000})
		if err != nil || len(claimed.Entries) == 0 {
			return err
		}
		e := &claimed.Entries[0]
		attempt := waypost.Attempt{Message: e.Message.ID, N: 1, Provider: lane.Provider, At: at.Add(time.Second), Took: 300 * time.Millisecond, Result: waypost.AttemptTransient, Stage: "rcpt", Code: 450, Enhanced: "4.7.1", Text: "4.7.1 Greylisted, try again later"}
		return c.s.Settle(c.ctx, &store.Settlement{Entry: e.Entry, Message: e.Message, Retry: at.Add(time.Minute), Attempt: &attempt, Exchange: c.exchange(lane.Provider, attempt.At, 450)})
	})
}

// state is what an agent said of itself in a report of some age: one that is
// late had fallen behind before.
func state(at time.Time, age time.Duration) waypost.AgentState {
	s := waypost.AgentState{
		Status: "ok", Log: "/var/log/mail.log", Position: 48_212_774, LastLine: waypost.Timestamp{Time: at.Add(-3 * time.Second).Truncate(time.Millisecond)},
		Unmatched: 3, Sample: []string{"4bXk2L0kzPz9rxy", "4bXk7Q2Yf8z1aCd"},
	}
	if age > time.Minute {
		s.Status, s.Reasons = "degraded", []string{"the last request failed and is repeated"}
		s.LagBytes, s.Buffered, s.Unmatched = 18_400_000, 412, 61
	}
	return s
}
