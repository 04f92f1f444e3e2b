package compose

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/track"
)

var (
	testID   = waypost.UUID{0x01, 0x93, 0x5c, 0x2a, 0x7b, 0x00, 0x7d, 0xef, 0x8a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f, 0x60, 0x71}
	testTime = time.Date(2026, time.March, 1, 12, 30, 0, 0, time.UTC)
)

func testOptions(tb testing.TB) Options {
	tb.Helper()
	text, err := os.ReadFile("../dkim/testdata/rsa2048.pem")
	if err != nil {
		tb.Fatal(err)
	}
	key, err := dkim.ParseKey(text)
	if err != nil {
		tb.Fatal(err)
	}
	return Options{
		Signers:      []dkim.Signer{{Domain: "shop.example", Selector: waypost.DKIMSelector, Key: key}},
		SenderDomain: "shop.example", Now: testTime.Add(time.Hour),
	}
}

func testMessage() waypost.Message {
	return waypost.Message{
		ID: testID, Account: 7, SubAccount: 42, Provider: 3,
		Recipient: "ada@reader.example", To: waypost.Address{Name: "Ada Lovelace", Email: "ada@reader.example"},
		Variables:   []byte(`{"name":"Ada & Co","order":{"id":9007199254740993,"price":1.50},"items":["tea","<salt>"]}`),
		SubmittedAt: testTime,
	}
}

// shape is a content with its message, and the types of its parts in the
// order of a walk through the tree.
type shape struct {
	name    string
	content waypost.Content
	message func(*waypost.Message)
	types   []string
}

var shop = waypost.Address{Name: "The Shop", Email: "news@shop.example"}

const (
	testHTML = "<!DOCTYPE html>\n<html><head><title>Hi</title></head>\n<body class=\"a\">\n<p>Dear {{name}}, order {{order.id}} costs {{order.price}}.</p>\n" +
		"<ul>{{#each items}}<li>{{this}}</li>{{/each}}</ul>\n</body></html>\n"
	testText = "Dear {{name}},\nyour order {{order.id}} costs {{order.price}}.\n{{closing}}\n"
	testAMP  = "<!doctype html>\n<html ⚡4email><body>{{stays}}</body></html>\n"
)

func shapes() []shape {
	gif := []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")
	logo := waypost.Attachment{Filename: "logo.gif", ContentID: "logo@shop", Data: gif}
	invoice := waypost.Attachment{Filename: "Rechnung für März – Übersicht.pdf", Data: []byte(strings.Repeat("%PDF pretended\n", 12))}
	return []shape{
		{"text", waypost.Content{
			From: shop, Subject: "Order {{order.id}}", Text: testText,
			Variables: map[string]any{"name": "nobody", "closing": "Bye"},
		}, nil, []string{"text/plain"}},
		{"html", waypost.Content{From: shop, Subject: "Order", HTML: testHTML, PreText: "{{name}}: <thanks>"}, nil, []string{"text/html"}},
		{"alternative", waypost.Content{
			From: shop, ReplyTo: waypost.Address{Email: "help@shop.example"}, Subject: "Two forms",
			HTML: testHTML, Text: testText, Headers: []waypost.Header{{Name: "X-Campaign", Value: "spring"}, {Name: "List-Unsubscribe", Value: "<https://shop.example/u/1>, <mailto:u@shop.example>"}},
		}, nil, []string{"multipart/alternative", "text/plain", "text/html"}},
		{
			"amp",
			waypost.Content{From: shop, Subject: "Three forms", HTML: testHTML, Text: testText, AMP: testAMP},
			nil,
			[]string{"multipart/alternative", "text/plain", "text/x-amp-html", "text/html"},
		},
		{
			"related",
			waypost.Content{From: shop, Subject: "Picture", HTML: `<p><img src="cid:logo@shop">{{name}}</p>`, Attachments: []waypost.Attachment{logo}},
			nil,
			[]string{"multipart/related", "text/html", "image/gif"},
		},
		{"mixed", waypost.Content{
			From: shop, Subject: "File", Text: "See the file.\n",
			Attachments: []waypost.Attachment{invoice, {Filename: "empty.csv"}, {Filename: "a \"b\".weird", ContentType: "text/calendar; method=REQUEST; charset=utf-8", Data: []byte("BEGIN:VCALENDAR\n")}},
		}, nil, []string{"multipart/mixed", "text/plain", "application/pdf", "text/csv", "text/calendar"}},
		{"everything", waypost.Content{
			From: shop, Subject: "All at once", HTML: testHTML, Text: testText, AMP: testAMP, PreText: "first",
			Attachments: []waypost.Attachment{logo, invoice},
		}, nil, []string{
			"multipart/mixed", "multipart/alternative", "text/plain", "text/x-amp-html",
			"multipart/related", "text/html", "image/gif", "application/pdf",
		}},
		{"scripts", waypost.Content{
			From:    waypost.Address{Name: "Магазин «Весна»", Email: "news@весна.example"},
			ReplyTo: waypost.Address{Name: "サポート窓口", Email: "help@shop.example"},
			Subject: "Ваш заказ готов, приходите за ним в любое время с девяти до шести 🎉",
			Text:    "Здравствуйте!\nВаш заказ готов.\n", HTML: "<p>Größe: 42 — naïve café</p>\n",
			Headers: []waypost.Header{{Name: "X-Note", Value: "Grüße aus Köln"}, {Name: "Message-ID", Value: "<own-1@shop.example>"}},
		}, func(m *waypost.Message) {
			m.To = waypost.Address{Name: "Müller, Jörg", Email: "joerg@bücher.example"}
			m.Recipient = m.To.Email
			m.Cc = []waypost.Address{
				{Name: `O"Hara, \ Pat`, Email: "pat@reader.example"},
				{Name: "متجر الكتب", Email: "books@reader.example"},
				{Name: "北京书店", Email: "shop@reader.example"},
				{Email: "plain@reader.example"},
				{Name: "=?utf-8?q?fake?=", Email: "fake@reader.example"},
			}
		}, []string{"multipart/alternative", "text/plain", "text/html"}},
		{"hard-lines", waypost.Content{
			From: shop, Subject: strings.Repeat("subject ", 20) + "end",
			Text:    ".\n..two\nFrom here\nends in blank \nends in tab\t\n" + strings.Repeat("x", 2000) + "\n--=_" + testID.String() + "\n\x01 \x7f =3D\r\rlone CR\r\nlast line without end",
			Headers: []waypost.Header{{Name: "References", Value: strings.Repeat("<0123456789@host.example> ", 30)}, {Name: "X-Long", Value: strings.Repeat("y", 1000)}},
		}, nil, []string{"text/plain"}},
		{"tracked", waypost.Content{
			From: shop, Subject: "With links", PreText: "Look", TrackOpens: true, TrackClicks: true,
			HTML: "<html><BODY>\n<p>Dear {{name}}, <A HREF=https://shop.example/order/{{order.id}}?a=1&amp;copy=2>your order</A> and " +
				"<a class='x' href='HTTPS://shop.example/&quot;offers&quot;/'>offers</a>.\n" +
				"<a href=\"{{unsubscribe}}\">No more</a> <a href=mailto:help@shop.example>Help</a></p>\n</BODY></html>\n",
			Text: "Your order: https://shop.example/order/{{order.id}}.\nNo more: {{unsubscribe}}\n",
		}, nil, []string{"multipart/alternative", "text/plain", "text/html"}},
		{"empty", waypost.Content{From: waypost.Address{Email: "news@shop.example"}}, func(m *waypost.Message) { m.To.Name = "" }, []string{"text/plain"}},
		{"smtputf8", waypost.Content{From: shop, Subject: "Raw mailbox", Text: "Hi\n"}, func(m *waypost.Message) {
			m.To = waypost.Address{Name: "用户", Email: "用户@例え.example"}
			m.Recipient = m.To.Email
		}, []string{"text/plain"}},
	}
}

// testSite makes the tracking URLs of tests.
var testSite = &track.Site{Keys: track.NewKeys(1, map[byte][]byte{1: []byte("a key for tests")}), Base: "https://track.shop.example"}

// options are those of a message; a shape that wants tracking has a site.
func (s *shape) options(tb testing.TB) Options {
	o := testOptions(tb)
	if s.content.TrackClicks {
		o.Track = testSite
	}
	return o
}

func (s *shape) compose(tb testing.TB) Signed {
	tb.Helper()
	p, err := Prepare(&s.content)
	if err != nil {
		tb.Fatal(err)
	}
	m := testMessage()
	if s.message != nil {
		s.message(&m)
	}
	signed, err := p.Message(&m, s.options(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return signed
}
