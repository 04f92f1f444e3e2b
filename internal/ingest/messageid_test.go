package ingest_test

import (
	"strings"
	"testing"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/store"
)

// TestReportByMessageID: a report that carries none of our marks, as it came to
// an address of the whole host, is still about the message whose call brought
// the Message-ID in it, when it says which of the recipients.
func TestReportByMessageID(t *testing.T) {
	w := newWorld(t)
	content := waypost.Content{
		ID: waypost.NewUUID(w.now), Account: w.account, SubAccount: w.subAccount, Text: "hello",
		Headers: []waypost.Header{{Name: "Message-ID", Value: "<order-7@shop.example>"}},
	}
	var drafts []ingest.Draft
	for _, to := range []string{"a@example.com", "b@example.com"} {
		drafts = append(drafts, ingest.Draft{Message: waypost.Message{
			ID: waypost.NewUUID(w.now), Account: w.account, SubAccount: w.subAccount, Content: content.ID, Recipient: to,
			To: waypost.Address{Email: to}, Provider: w.provider, Mailbox: waypost.MailboxDefault, SubmittedAt: w.now,
		}})
	}
	if err := w.door.Accept(t.Context(), content, drafts, w.now); err != nil {
		t.Fatal(err)
	}
	report := func(recipient, id string) store.Report {
		t.Helper()
		raw := strings.ReplaceAll(`From: MAILER-DAEMON@relay.example
To: postmaster@bounce.example.com
Subject: Undelivered mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

It could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example

Final-Recipient: rfc822; `+recipient+`
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 User unknown

--b
Content-Type: text/rfc822-headers

From: shop@shop.example
Message-ID: `+id+`
Subject: Your order

--b--
`, "\n", "\r\n")
		got, err := w.door.Bounce(t.Context(), ingest.Addressee{Address: "postmaster@bounce.example.com"}, []byte(raw), w.now)
		if err != nil {
			t.Fatal(err)
		}
		return got.Report
	}
	if r := report("nobody@example.com", "<order-7@shop.example>"); r.Status != store.ReportUnlinked {
		t.Errorf("about a stranger: %s of message %s", r.Status, r.Message)
	}
	if r := report("B@example.com", "<order-8@shop.example>"); r.Status != store.ReportUnlinked {
		t.Errorf("about another mail: %s of message %s", r.Status, r.Message)
	}
	if r := report("B@example.com", "<order-7@shop.example>"); r.Message != drafts[1].Message.ID || r.Status != store.ReportCounted {
		t.Errorf("%s of message %s, want it counted for %s", r.Status, r.Message, drafts[1].Message.ID)
	}
	w.wantEvents(drafts[1].Message.ID, "Processed HardBounced")
	w.wantEvents(drafts[0].Message.ID, "Processed")
}
