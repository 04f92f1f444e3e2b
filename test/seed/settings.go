package seed

import (
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
)

// sharedPool makes a pool of two providers, by which they relay from then on.
func (c *Scene) sharedPool() {
	pool := waypost.Pool{
		Account: c.Account.ID, Name: "Transactional", Strategy: waypost.StrategyVolumePercentage, Failover: true, Overflow: c.Pools[len(c.Pools)-1].ID, Created: c.now,
		Members:  []waypost.PoolMember{{Provider: c.Providers[0].ID, Weight: 60}, {Provider: c.Providers[1].ID, Weight: 40}},
		Metadata: fmt.Sprintf(`{"TPSP_%d":"60","TPSP_%d":"40"}`, c.Providers[0].ID, c.Providers[1].ID),
	}
	c.do("pool", func() error { return c.s.CreatePool(c.ctx, &pool) })
	c.shared = pool
}

// settings makes what people set up beside providers, pools and domains: a
// webhook, suppressed addresses, a template.
func (c *Scene) settings() {
	hook := waypost.Webhook{
		Account: c.Account.ID, UUID: waypost.NewUUID(c.now), URL: "https://shop.acme.example/hooks/mail", Enabled: true, State: waypost.WebhookActive, Created: c.now,
		Wants: waypost.WantDelivered | waypost.WantHardBounced | waypost.WantSoftBounced | waypost.WantOpened | waypost.WantClicked | waypost.WantSent,
	}
	c.do("webhook", func() error { return c.s.CreateWebhook(c.ctx, &hook) })
	rows := []waypost.Suppression{
		{Email: "former.customer@example.org", Reason: waypost.SuppressHardBounce, Text: "550 5.1.1 The email account that you tried to reach does not exist", Created: c.now.Add(-50 * time.Hour)},
		{Email: "no.thanks@example.net", Reason: waypost.SuppressUnsubscribe, Created: c.now.Add(-26 * time.Hour)},
		{Email: "angry@example.com", Reason: waypost.SuppressComplaint, Text: "feedback report of type abuse", Created: c.now.Add(-9 * time.Hour)},
		{Email: "on.holiday@example.org", Reason: waypost.SuppressManual, Text: "asked for a pause by phone", Created: c.now.Add(-time.Hour), Expires: c.now.AddDate(0, 1, 0)},
	}
	for i := range rows {
		rows[i].Account, rows[i].SubAccount = c.Account.ID, c.Sub.ID
	}
	c.do("suppressions", func() error {
		_, err := c.s.Suppress(c.ctx, rows)
		return err
	})
	c.do("template", func() error {
		return c.s.CreateTemplate(c.ctx, &waypost.Template{
			Account: c.Account.ID, Name: "Order confirmation", Subject: "Your order {{order.number}}", Created: c.now, Updated: c.now,
			HTML: "<h1>Thank you, {{name}}!</h1>\n<p>Your order <b>{{order.number}}</b> is on its way.</p>\n{{#if gift}}<p>It is wrapped as a gift.</p>{{/if}}\n<p><a href=\"{{unsubscribe}}\">Unsubscribe</a></p>\n",
			Text: "Thank you, {{name}}!\nYour order {{order.number}} is on its way.\n",
		})
	})
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
