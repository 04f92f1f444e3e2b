package compose

import (
	"strings"
	"testing"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
)

// BenchmarkMessage composes a usual message of 2 KB with a few variables,
// with and without its RSA-2048 signature.
func BenchmarkMessage(b *testing.B) {
	paragraph := "<p style=\"margin:0\">Thank you {{name}}, your order {{order.id}} of {{order.price}} is on its way to you.</p>\n"
	for _, bc := range []struct {
		name string
		c    waypost.Content
	}{
		{"html", waypost.Content{HTML: "<html><body>\n" + strings.Repeat(paragraph, 18) + "</body></html>\n"}},
		{"alternative", waypost.Content{
			HTML: "<html><body>\n" + strings.Repeat(paragraph, 12) + "</body></html>\n",
			Text: strings.Repeat("Thank you {{name}}, your order is on its way.\n", 14),
		}},
		{"cyrillic", waypost.Content{HTML: "<html><body>\n" + strings.Repeat("<p>Спасибо, {{name}}, заказ в пути.</p>\n", 30) + "</body></html>\n"}},
	} {
		bc.c.From, bc.c.Subject, bc.c.PreText = shop, "Order {{order.id}} is on its way", "It comes tomorrow"
		bc.c.Headers = []waypost.Header{{Name: "X-Campaign", Value: "spring"}}
		p, err := Prepare(&bc.c)
		if err != nil {
			b.Fatal(err)
		}
		m, o := testMessage(), testOptions(b)
		for _, signers := range []string{"unsigned", "signed"} {
			o := o
			if signers == "unsigned" {
				o.Signers = nil
			}
			b.Run(bc.name+"/"+signers, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := p.Message(&m, o); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// trackedContent is a usual marketing mail: an HTML of about 2 KB with three
// links and ten variables, and its text.
func trackedContent() waypost.Content {
	paragraph := "<p style=\"margin:0 0 12px\">Dear {{name}}, your order {{order.id}} of {{order.price}} is on its way to you.</p>\n"
	filler := "<tr><td style=\"padding:4px 8px;border-bottom:1px solid #dddddd\">Tea, green, 100 g</td><td align=\"right\">4.50</td></tr>\n"
	return waypost.Content{
		From: shop, Subject: "Order {{order.id}}", PreText: "It comes tomorrow", TrackOpens: true, TrackClicks: true,
		HTML: "<html><body>\n" + strings.Repeat(paragraph, 3) + "<table>" + strings.Repeat(filler, 11) + "</table>\n" +
			"<p><a href=\"https://shop.example/orders/{{order.id}}?utm_source=mail&amp;utm_campaign=spring\">Your order</a> " +
			"<a href=\"https://shop.example/help\">Help</a> <a href=\"https://shop.example/terms\">Terms</a></p>\n</body></html>\n",
		Text: "Dear {{name}},\nyour order is on its way: https://shop.example/orders/{{order.id}}\n",
	}
}

// BenchmarkCompose is everything but the signature, and BenchmarkSign beside it
// the signature alone: the first may cost 15 % of the second.
func BenchmarkCompose(b *testing.B) {
	c := trackedContent()
	p, err := Prepare(&c)
	if err != nil {
		b.Fatal(err)
	}
	m, o := testMessage(), testOptions(b)
	o.Signers, o.Track = nil, testSite
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Message(&m, o); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSign signs the message of BenchmarkCompose with RSA-2048.
func BenchmarkSign(b *testing.B) {
	c := trackedContent()
	p, err := Prepare(&c)
	if err != nil {
		b.Fatal(err)
	}
	m, o := testMessage(), testOptions(b)
	signers := o.Signers
	o.Signers, o.Track = nil, testSite
	unsigned, err := p.Message(&m, o)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dkim.Sign(nil, unsigned.Bytes(), o.Now, signers...); err != nil {
			b.Fatal(err)
		}
	}
}
