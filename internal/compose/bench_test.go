package compose

import (
	"strings"
	"testing"

	"github.com/waypost-mail/waypost"
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
