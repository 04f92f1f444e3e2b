package seed

import (
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var (
	firstNames = []string{"anna", "ben", "clara", "david", "emma", "felix", "greta", "henry", "ida", "jonas", "karla", "liam", "mara", "noah", "olga", "paul"}
	lastNames  = []string{"becker", "clark", "dubois", "evans", "fischer", "garcia", "hansen", "ivanova", "jones", "kowalski", "larsen", "moreau"}
	mailHosts  = []struct {
		host string
		box  waypost.Mailbox
	}{{"gmail.com", 0}, {"gmail.com", 0}, {"outlook.com", 3}, {"yahoo.com", 1}, {"gmx.net", 6}, {"icloud.com", 8}, {"company.example", waypost.MailboxDefault}}
	subjects = []string{"Your order %d is on its way", "Invoice %d", "Reset your password (%d)", "Your receipt for order %d", "Welcome to Acme, customer %d", "Price alert %d: it fell"}
)

// somebody is a recipient with the category of the mailbox.
func (c *Scene) somebody() (string, waypost.Mailbox) {
	h := mailHosts[c.dice.IntN(len(mailHosts))]
	return fmt.Sprintf("%s.%s%d@%s", firstNames[c.dice.IntN(len(firstNames))], lastNames[c.dice.IntN(len(lastNames))], c.dice.IntN(90)+10, h.host), h.box
}

func (c *Scene) content(subject string, at time.Time) waypost.Content {
	return waypost.Content{
		ID: waypost.NewUUID(at), Account: c.Account.ID, SubAccount: c.Sub.ID, Subject: subject, Groups: c.groups,
		From: waypost.Address{Name: "Acme Shop", Email: orElse(c.from, "orders@"+c.Domains[0].Name)},
		HTML: `<html><body style="font-family:sans-serif;background:#f4f4f7;padding:24px"><div style="max-width:520px;margin:auto;background:#fff;border-radius:8px;padding:24px"><h1 style="font-size:20px;color:#223">Thank you for your order</h1><p>Hello {{name}},</p><p>your parcel left our warehouse this morning. It should arrive within two days.</p><p><a href="https://acme-shop.example/orders/1" style="background:#2457d6;color:#fff;padding:10px 18px;border-radius:6px;text-decoration:none">See your order</a></p><p style="color:#778;font-size:12px">Acme Shop, 1 Example Street, <a href="https://acme-shop.example/terms" data-notrack>terms</a></p></div></body></html>`,
		Text: "Thank you for your order\n\nHello {{name}},\n\nyour parcel left our warehouse this morning.\nIt should arrive within two days.\n\nSee your order: https://acme-shop.example/orders/1\n",
	}
}

// message makes a message of a content.
func (c *Scene) message(content *waypost.Content, provider int, at time.Time) waypost.Message {
	to, box := c.somebody()
	pool := c.Pools[provider].ID
	for _, m := range c.shared.Members {
		if m.Provider == c.Providers[provider].ID {
			pool = c.shared.ID
		}
	}
	return waypost.Message{
		ID: waypost.NewUUID(at), Account: c.Account.ID, SubAccount: c.Sub.ID, Content: content.ID, Recipient: to, To: waypost.Address{Email: to},
		Domain: c.Domains[0].ID, Pool: pool, Provider: c.Providers[provider].ID, Mailbox: box, SubmittedAt: at.Truncate(time.Millisecond),
		Variables: []byte(`{"name":"` + firstNames[c.dice.IntN(len(firstNames))] + `"}`), Groups: content.Groups,
	}
}

func event(m *waypost.Message, t waypost.EventType, at time.Time) waypost.Event {
	e := waypost.Event{
		Type: t, Account: m.Account, SubAccount: m.SubAccount, Provider: m.Provider, Message: m.ID, Recipient: m.Recipient,
		At: at.Truncate(time.Millisecond), Source: waypost.SourceAgent, Facets: m.Facets(),
	}
	switch t { //nolint:exhaustive // the others say nothing more
	case waypost.CSProcessed:
		e.Source = waypost.SourceAPI
	case waypost.CSSent:
		e.Source, e.Code, e.Enhanced, e.Text, e.Attempt, e.Queue = waypost.SourceRelay, 250, "2.0.0", "Ok: queued as "+string(QueueID(m.ID)), 1, QueueID(m.ID)
	case waypost.CSDelivered:
		e.Code, e.Enhanced, e.Text, e.Queue, e.Relay = 250, "2.0.0", "OK  1732435200 a640c23a62f3a-aa4f7c3si1234567", QueueID(m.ID), "mx."+hostOf(m.Recipient)
	case waypost.CSSoftBounced:
		e.Code, e.Enhanced, e.Text, e.Reason, e.Rule, e.Relay = 452, "4.2.2", "4.2.2 The recipient's inbox is out of storage space", "mailbox_full", "generic.quota", "mx."+hostOf(m.Recipient)
	case waypost.CSHardBounced:
		e.Code, e.Enhanced, e.Text, e.Reason, e.Rule, e.Relay = 550, "5.1.1", "5.1.1 The email account that you tried to reach does not exist", "invalid_recipient", "generic.unknown-user", "mx."+hostOf(m.Recipient)
	case waypost.CSDropped:
		e.Source, e.Text, e.Reason = waypost.SourceAPI, "The recipient is on the suppression list: hard bounce", waypost.DropSuppressed
	}
	return e
}

// QueueID is the id that the mail servers of a scene gave a message.
func QueueID(id waypost.UUID) waypost.QueueID {
	return waypost.QueueID(fmt.Sprintf("4b%X", id[9:16]))
}

func hostOf(email string) string {
	for i := range email {
		if email[i] == '@' {
			return email[i+1:]
		}
	}
	return email
}

// history makes two weeks of finished messages. shares are the parts of a
// thousand that are delivered, soft bounced, hard bounced, dropped, and sent
// with no more known of them.
func (c *Scene) history(perDay int, shares [5]int) {
	for back := 13; back >= 0; back-- {
		day := c.now.AddDate(0, 0, -back)
		n := perDay * (70 + c.dice.IntN(60)) / 100
		if w := day.Weekday(); w == time.Saturday || w == time.Sunday {
			n = n * 55 / 100
		}
		if back == 0 {
			n = n * (day.UTC().Hour() + 1) / 24
		}
		var calls []store.Acceptance
		for size := max(1, n/40); n > 0; n -= size {
			calls = append(calls, c.call(min(n, size), day, shares))
		}
		c.together("history", len(calls), func(i int) error { return c.s.Accept(c.ctx, &calls[i]) })
	}
}

// call makes a call of n messages at a moment of a day, with their whole life
// behind them. As from a real call, their ids and that of their content are of
// one millisecond.
func (c *Scene) call(n int, day time.Time, shares [5]int) store.Acceptance {
	at := c.moment(day)
	content := c.content(fmt.Sprintf(subjects[c.dice.IntN(len(subjects))], 10_000+c.dice.IntN(90_000)), at)
	a := store.Acceptance{Content: content}
	for range n {
		m := c.message(&content, c.dice.IntN(len(c.Providers)), at)
		a.Messages = append(a.Messages, m)
		a.Events = append(a.Events, event(&m, waypost.CSProcessed, at))
		roll, kind := c.dice.IntN(1000), 0
		for roll >= shares[kind] {
			roll -= shares[kind]
			kind++
		}
		if kind == 3 {
			a.Events = append(a.Events, event(&m, waypost.CSDropped, at))
			continue
		}
		a.Events = append(a.Events, event(&m, waypost.CSSent, at.Add(time.Second)))
		if kind < 3 {
			t := []waypost.EventType{waypost.CSDelivered, waypost.CSSoftBounced, waypost.CSHardBounced}[kind]
			end := at.Add(c.waits())
			if end.After(c.now) {
				end = at.Add(4 * time.Second)
			}
			e := event(&m, t, end)
			if t.Bounce() {
				bounced(&e, c.dice.IntN(len(refusals)))
			}
			a.Events = append(a.Events, e)
			if kind == 0 {
				a.Events = append(a.Events, c.read(&m, end)...)
			}
			c.Messages[t.String()] = m.ID
		}
	}
	return a
}

// hour relays messages in the last hour through the queue, so that limits and
// minutes show it.
func (c *Scene) hour(n int, providers []int) {
	for minute := 58; minute >= 0; minute -= 2 {
		at := c.now.Add(-time.Duration(minute) * time.Minute)
		content := c.content(fmt.Sprintf(subjects[0], 20_000+minute), at)
		a := store.Acceptance{Content: content}
		lanes := map[waypost.Lane]bool{}
		for range max(1, n/30*(60+c.dice.IntN(80))/100) {
			m := c.message(&content, providers[c.dice.IntN(len(providers))], at)
			lane := waypost.Lane{Provider: m.Provider, Mailbox: m.Mailbox}
			lanes[lane] = true
			a.Messages = append(a.Messages, m)
			a.Events = append(a.Events, event(&m, waypost.CSProcessed, at))
			a.Queue = append(a.Queue, store.Waiting{Lane: lane, Message: m.ID, Due: at})
		}
		c.do("hour", func() error { return c.s.Accept(c.ctx, &a) })
		for lane := range lanes {
			c.relay(lane, at)
		}
	}
}

// relay claims what is due in a lane and settles it as sent and delivered.
func (c *Scene) relay(lane waypost.Lane, at time.Time) {
	c.do("relay", func() error {
		claimed, err := c.s.Claim(c.ctx, store.Claim{Lane: lane, Now: at, Max: 1000, LeaseUntil: at.Add(time.Hour), Burst: true, PerHour: 1_000_000})
		if err != nil {
			return err
		}
		var facts []store.Fact
		for i := range claimed.Entries {
			e := &claimed.Entries[i]
			if err := c.s.Settle(c.ctx, &store.Settlement{Entry: e.Entry, Message: e.Message, Exchange: c.exchange(lane.Provider, at.Add(time.Second), 250), Events: []waypost.Event{event(&e.Message, waypost.CSSent, at.Add(time.Second))}, Transcript: saidSent(1)}); err != nil {
				return err
			}
			end := event(&e.Message, waypost.CSDelivered, at.Add(3*time.Second))
			if roll := c.dice.IntN(60); roll < 2 {
				end = event(&e.Message, []waypost.EventType{waypost.CSSoftBounced, waypost.CSHardBounced}[roll], at.Add(3*time.Second))
				bounced(&end, c.dice.IntN(len(refusals)))
			}
			facts = append(facts, store.Fact{Event: end, Once: "end"})
		}
		if len(facts) == 0 {
			return nil
		}
		_, err = c.s.Record(c.ctx, facts)
		return err
	})
}

// stuck lets messages wait for a provider, each after attempts that failed.
func (c *Scene) stuck(provider, n int) {
	at := c.now.Add(-95 * time.Minute)
	content := c.content("Your order 4711 is on its way", at)
	a := store.Acceptance{Content: content}
	lanes := map[waypost.Lane]bool{}
	for range n {
		m := c.message(&content, provider, at)
		lane := waypost.Lane{Provider: m.Provider, Mailbox: m.Mailbox}
		lanes[lane] = true
		a.Messages = append(a.Messages, m)
		a.Events = append(a.Events, event(&m, waypost.CSProcessed, at))
		a.Queue = append(a.Queue, store.Waiting{Lane: lane, Message: m.ID, Due: at})
		c.Messages["waiting"] = m.ID
	}
	c.do("queue", func() error { return c.s.Accept(c.ctx, &a) })
	for lane := range lanes {
		c.fail(lane, at)
	}
}

func (c *Scene) fail(lane waypost.Lane, at time.Time) {
	c.do("failed attempts", func() error {
		claimed, err := c.s.Claim(c.ctx, store.Claim{Lane: lane, Now: at, Max: 1000, LeaseUntil: at.Add(time.Hour), Burst: true})
		if err != nil {
			return err
		}
		for i := range claimed.Entries {
			e := &claimed.Entries[i]
			attempt := waypost.Attempt{
				Message: e.Message.ID, N: 1, Provider: lane.Provider, At: at.Add(2 * time.Second), Took: 1800 * time.Millisecond, Result: waypost.AttemptTransient,
				Stage: "connect", Text: "dial tcp 192.0.2.10:587: connection refused",
			}
			retry := c.now.Add(-35*time.Minute + time.Duration(c.dice.IntN(50))*time.Minute)
			if e.Message.ID == c.Messages["waiting"] {
				retry = c.now.Add(20 * time.Minute) // not due, so that one may try it now
			}
			if err := c.s.Settle(c.ctx, &store.Settlement{Entry: e.Entry, Message: e.Message, Retry: retry, Attempt: &attempt, Exchange: c.exchange(lane.Provider, attempt.At, 0)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// stories makes one message of each fate that is worth a page.
func (c *Scene) stories() {
	at := c.now.Add(-3 * time.Hour)
	content := c.content("Your order 31415 is on its way", at)
	content.TrackOpens, content.TrackClicks = true, true
	m := c.message(&content, 1, at)
	lane := waypost.Lane{Provider: m.Provider, Mailbox: m.Mailbox}
	c.do("story", func() error {
		return c.s.Accept(c.ctx, &store.Acceptance{Content: content, Messages: []waypost.Message{m}, Events: []waypost.Event{event(&m, waypost.CSProcessed, at)}, Queue: []store.Waiting{{Lane: lane, Message: m.ID, Due: at}}})
	})
	c.do("first attempt", func() error {
		claimed, err := c.s.Claim(c.ctx, store.Claim{Lane: lane, Now: at, Max: 1, LeaseUntil: at.Add(time.Hour), Burst: true})
		if err != nil || len(claimed.Entries) == 0 {
			return err
		}
		attempt := waypost.Attempt{Message: m.ID, N: 1, Provider: m.Provider, At: at.Add(900 * time.Millisecond), Took: 850 * time.Millisecond, Result: waypost.AttemptTransient, Stage: "rcpt", Code: 451, Enhanced: "4.7.1", Text: "4.7.1 Greylisted, try again later"}
		return c.s.Settle(c.ctx, &store.Settlement{Entry: claimed.Entries[0].Entry, Message: m, Retry: at.Add(time.Hour), Attempt: &attempt, Transcript: saidNo(1, attempt.Took, attempt.Code, attempt.Text)})
	})
	c.do("second attempt", func() error {
		again := at.Add(time.Hour)
		claimed, err := c.s.Claim(c.ctx, store.Claim{Lane: lane, Now: again, Max: 1, LeaseUntil: again.Add(time.Hour), Burst: true})
		if err != nil || len(claimed.Entries) == 0 {
			return err
		}
		sent := event(&m, waypost.CSSent, again.Add(time.Second))
		sent.Attempt = 2
		return c.s.Settle(c.ctx, &store.Settlement{Entry: claimed.Entries[0].Entry, Message: m, Events: []waypost.Event{sent}, Transcript: saidSent(2)})
	})
	open := event(&m, waypost.CSOpen, at.Add(2*time.Hour))
	open.Source, open.Visit = waypost.SourceTrack, &waypost.Visit{IP: "192.0.2.77", UserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)"}
	machine := event(&m, waypost.CSOpen, at.Add(time.Hour+8*time.Second))
	machine.Source, machine.Visit = waypost.SourceTrack, &waypost.Visit{IP: "192.0.2.8", UserAgent: "GoogleImageProxy", Machine: "image_proxy"}
	click := event(&m, waypost.CSClick, at.Add(2*time.Hour+20*time.Second))
	click.Source, click.Visit = waypost.SourceTrack, &waypost.Visit{URL: "https://acme-shop.example/orders/1", Link: 1, IP: "192.0.2.77", UserAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)"}
	scan := event(&m, waypost.CSClick, at.Add(time.Hour+9*time.Second))
	scan.Source, scan.Visit = waypost.SourceTrack, &waypost.Visit{URL: click.Visit.URL, Link: 1, IP: "192.0.2.9", UserAgent: "Mozilla/5.0 (compatible)", Machine: "barracuda"}
	c.do("story's end", func() error {
		_, err := c.s.Record(c.ctx, []store.Fact{
			{Event: waypost.Event{Message: m.ID, Account: m.Account, At: at.Add(time.Hour + 2*time.Second), Code: 421, Enhanced: "4.7.28", Text: "4.7.28 Our system has detected an unusual rate of unsolicited mail"}, Deferral: true},
			{Event: event(&m, waypost.CSDelivered, at.Add(time.Hour+6*time.Second)), Once: "delivered"},
			{Event: machine},
			{Event: scan},
			{Event: open, First: "open"},
			{Event: click, First: "click"},
		})
		return err
	})
	c.Messages["story"] = m.ID
}
