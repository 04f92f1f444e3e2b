package ingest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/store"
)

func (w *world) path(m waypost.Message) string {
	return waypost.ReturnPath{UUID: m.ID, SubAccount: m.SubAccount, Domain: "sp-bounce.example.com"}.String()
}

// dsn makes a delivery status notification as Postfix writes it.
func dsn(to, recipient, action, status, text string) []byte {
	return []byte(strings.ReplaceAll(`From: MAILER-DAEMON@mta.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: `+to+`
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain

This is the mail system at host mta.example.

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mta.example
X-Postfix-Queue-ID: 4F1B2C3D

Final-Recipient: rfc822; `+recipient+`
Action: `+action+`
Status: `+status+`
Diagnostic-Code: smtp; `+text+`

--B--
`, "\n", "\r\n"))
}

func hardDSN(to, recipient string) []byte {
	return dsn(to, recipient, "failed", "5.1.1", "550 5.1.1 <"+recipient+">: User unknown")
}

func arf(m waypost.Message, kind string) []byte {
	return []byte(strings.ReplaceAll(`From: fbl@isp.example
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="B"

--B
Content-Type: text/plain

A complaint.

--B
Content-Type: message/feedback-report

Feedback-Type: `+kind+`
User-Agent: isp/1
Version: 1

--B
Content-Type: message/rfc822

From: news@example.com
X-Sendpost-Message-UUID: `+m.ID.String()+`
Subject: hello

text
--B--
`, "\n", "\r\n"))
}

func (w *world) bounce(m waypost.Message, raw []byte) ingest.Returned {
	w.Helper()
	to, err := w.door.Addressee(w.Context(), w.path(m), w.now)
	if err != nil {
		w.Fatal(err)
	}
	return w.deliver(to, raw)
}

func (w *world) deliver(to ingest.Addressee, raw []byte) ingest.Returned {
	w.Helper()
	got, err := w.door.Bounce(w.Context(), to, raw, w.now)
	if err != nil {
		w.Fatal(err)
	}
	return got
}

func (w *world) wantSuppressed(email string, want waypost.SuppressionReason) {
	w.Helper()
	got, err := w.store.Suppressed(w.Context(), w.subAccount, []string{email}, w.now)
	if err != nil {
		w.Fatal(err)
	}
	if s, ok := got[email]; ok != (want >= 0) || ok && s.Reason != want {
		w.Errorf("suppression of %s: %v %v, want reason %d", email, ok, s.Reason, want)
	}
}

const notSuppressed = waypost.SuppressionReason(-1)

func TestAddressee(t *testing.T) {
	w := newWorld(t)
	m := w.accept("a@example.com", "")

	if got, err := w.door.Addressee(t.Context(), strings.ToUpper(w.path(m)), w.now.Add(ingest.MaxAge)); err != nil || got.Message.ID != m.ID {
		t.Fatalf("%+v, %v", got, err)
	}
	f := func(address string, now time.Time) {
		t.Helper()
		if _, err := w.door.Addressee(t.Context(), address, now); !errors.Is(err, ingest.ErrStranger) {
			t.Errorf("%s: %v", address, err)
		}
	}
	f("a@example.com", w.now)
	f("bounces+x+1@sp-bounce.example.com", w.now)
	f(w.path(m)+"x.", w.now)
	f(waypost.ReturnPath{UUID: waypost.NewUUID(w.now), SubAccount: m.SubAccount, Domain: "x.example"}.String(), w.now)
	f(waypost.ReturnPath{UUID: m.ID, SubAccount: m.SubAccount + 1, Domain: "x.example"}.String(), w.now)
	f(w.path(m), w.now.Add(ingest.MaxAge+time.Second))
}

func TestBounceBecomesEvent(t *testing.T) {
	w := newWorld(t)
	f := func(status, text, verdict, events string) {
		t.Helper()
		m := w.accept(fmt.Sprintf("r%d@example.com", time.Now().UnixNano()), "")
		got := w.bounce(m, dsn(w.path(m), m.Recipient, "failed", status, text))
		if r := got.Report; r.Verdict != verdict || r.Status != store.ReportCounted || r.Queue != "4F1B2C3D" || r.Recipient != m.Recipient || r.Rule == "" {
			t.Errorf("%s: %+.300v", text, r)
		}
		if code, _ := bounce.StatedCodes(text); got.Report.Code != code {
			t.Errorf("%s: code %d, want %d", text, got.Report.Code, code)
		}
		w.wantEvents(m.ID, "Processed "+events)
		want := notSuppressed
		if verdict == "hard" {
			want = waypost.SuppressHardBounce
		}
		w.wantSuppressed(m.Recipient, want)
	}
	f("5.1.1", "550 5.1.1 User unknown", "hard", "HardBounced")
	f("5.2.2", "552 5.2.2 mailbox full", "soft", "SoftBounced")
	f("5.7.1", "550 5.7.1 blocked by spamhaus, see https://example.org", "soft", "SoftBounced")
	f("5.0.0", "x", "soft", "SoftBounced")
}

func TestBounceAndAgentCountOnce(t *testing.T) {
	w := newWorld(t)
	first := w.accept("a@example.com", "")
	w.report(item(first, "bounced", "1", 550, "550 5.1.1 user unknown"))
	if got := w.bounce(first, hardDSN(w.path(first), first.Recipient)); got.Report.Status != store.ReportEvidence {
		t.Errorf("after the agent: %+.200v", got)
	}
	w.wantEvents(first.ID, "Processed HardBounced [HardBounced]")

	second := w.accept("b@example.com", "")
	raw := dsn(w.path(second), second.Recipient, "failed", "5.2.2", "552 5.2.2 mailbox full")
	if got := w.bounce(second, raw); got.Duplicate {
		t.Error("the first report is a duplicate")
	}
	if got := w.bounce(second, raw); !got.Duplicate {
		t.Error("the same report again is none")
	}
	if r := w.report(item(second, "bounced", "2", 550, "550 5.1.1 user unknown"))[0]; r.Status != waypost.ReportDuplicate {
		t.Errorf("%+v", r)
	}
	w.wantEvents(second.ID, "Processed SoftBounced [HardBounced]") // they disagree, and it shows
	w.wantSuppressed("b@example.com", notSuppressed)

	third := w.accept("c@example.com", "")
	w.report(item(third, "delivered", "3", 250, "ok"))
	w.bounce(third, hardDSN(w.path(third), third.Recipient))
	w.wantEvents(third.ID, "Processed Delivered HardBounced+late")
}

func TestWhatIsNoBounce(t *testing.T) {
	w := newWorld(t)
	f := func(kind, mail string) {
		t.Helper()
		m := w.accept("a@example.com", "")
		got := w.bounce(m, []byte(strings.ReplaceAll(mail, "\n", "\r\n")))
		if r := got.Report; r.Kind != kind || r.Status != store.ReportIgnored || r.Verdict != "none" || r.Note == "" || r.Message != m.ID {
			t.Errorf("%.40q: %+.200v", mail, r)
		}
		w.wantEvents(m.ID, "Processed")
	}
	f("vacation", "From: ann@example.com\nAuto-Submitted: auto-replied (vacation)\nSubject: Out of office\n\nI am away.\n")
	f("other", "Subject: hello\n\nhello\n")
	f("other", "")
	f("other", "\x00\xff\n")
	f("delayed", string(dsn("x@y.example", "a@example.com", "delayed", "4.4.1", "connection timed out")))
	f("delivered", string(dsn("x@y.example", "a@example.com", "delivered", "2.0.0", "250 ok")))
	f("feedback", string(arf(waypost.Message{}, "not-spam")))
}

func TestForeignFinalRecipientIsEvidence(t *testing.T) {
	w := newWorld(t)
	m := w.accept("a@example.com", "")
	got := w.bounce(m, hardDSN(w.path(m), "victim@example.net"))
	if got.Report.Status != store.ReportEvidence || got.Report.Note == "" {
		t.Errorf("%+.200v", got)
	}
	w.wantEvents(m.ID, "Processed [HardBounced]")
	w.wantSuppressed("a@example.com", notSuppressed)
	w.wantSuppressed("victim@example.net", notSuppressed)
}

func TestComplaints(t *testing.T) {
	w := newWorld(t)
	abuse := ingest.Addressee{Address: "abuse@bounce.example"}
	m := w.accept("a@example.com", "")
	if got := w.deliver(abuse, arf(m, "abuse")); got.Report.Message != m.ID || got.Report.Verdict != "complaint" {
		t.Errorf("%+.200v", got)
	}
	w.wantEvents(m.ID, "Processed SpamReport")
	w.wantSuppressed("a@example.com", waypost.SuppressComplaint)
	w.deliver(abuse, append(arf(m, "abuse"), "again"...))
	w.wantEvents(m.ID, "Processed SpamReport [SpamReport]")

	out := w.accept("b@example.com", "")
	w.bounce(out, arf(out, "opt-out"))
	w.wantEvents(out.ID, "Processed Unsubscribe")
	w.wantSuppressed("b@example.com", waypost.SuppressUnsubscribe)

	got := w.deliver(abuse, arf(waypost.Message{ID: waypost.NewUUID(w.now)}, "abuse"))
	if got.Report.Status != store.ReportUnlinked || got.Report.Kind != "feedback" {
		t.Errorf("about a stranger's message: %+.200v", got)
	}
	list, err := w.store.ListReports(t.Context(), store.ReportQuery{Account: w.account, Status: store.ReportUnlinked, Limit: 10})
	if err != nil || len(list) != 1 {
		t.Errorf("the stranger's report is not browsable: %d, %v", len(list), err)
	}
}

func TestReclassifyReport(t *testing.T) {
	w := newWorld(t)
	m := w.accept("a@example.com", "")
	w.report(item(m, "delivered", "1", 250, "ok"))
	r := w.bounce(m, hardDSN(w.path(m), m.Recipient)).Report
	f := func(verdict, events string, suppressed waypost.SuppressionReason) {
		t.Helper()
		got, err := w.door.Reclassify(t.Context(), w.account, r.ID, verdict, w.now)
		if err != nil || got.Reclassified != verdict {
			t.Fatalf("%+.200v, %v", got, err)
		}
		w.wantEvents(m.ID, events)
		w.wantSuppressed(m.Recipient, suppressed)
	}
	f("soft", "Processed Delivered [HardBounced+late] SoftBounced+late", notSuppressed)
	f("none", "Processed Delivered [HardBounced+late] [SoftBounced+late]", notSuppressed)
	f("hard", "Processed Delivered [HardBounced+late] [SoftBounced+late] HardBounced+late", waypost.SuppressHardBounce)
	if _, err := w.door.Reclassify(t.Context(), w.account+1, r.ID, "none", w.now); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another account: %v", err)
	}
	c := w.deliver(ingest.Addressee{Address: "abuse@x.example"}, arf(m, "abuse")).Report
	if _, err := w.door.Reclassify(t.Context(), w.account, c.ID, "none", w.now); !errors.Is(err, ingest.ErrNotBounce) {
		t.Errorf("a complaint: %v", err)
	}
}

func TestBreakerHoldsSuppressions(t *testing.T) {
	w := newWorld(t)
	one := func() (waypost.Message, ingest.Returned) {
		t.Helper()
		m := w.accept(fmt.Sprintf("r%d@example.com", time.Now().UnixNano()), "")
		w.report(item(m, "delivered", "", 250, "ok"))
		raw := hardDSN(w.path(m), m.Recipient)
		got := w.bounce(m, raw)
		w.bounce(m, raw) // a resent report is not counted
		return m, got
	}
	tripped := 0
	for i := range ingest.BreakerLimit {
		m, got := one()
		if got.Tripped {
			tripped++
		}
		if got.Report.Status != store.ReportCounted {
			t.Fatalf("bounce %d: %+.200v", i, got)
		}
		if i%50 == 0 {
			w.wantSuppressed(m.Recipient, waypost.SuppressHardBounce)
		}
	}
	if tripped != 1 {
		t.Errorf("it tripped %d times", tripped)
	}
	m, got := one()
	if got.Report.Status != store.ReportHeld || got.Report.Note == "" {
		t.Errorf("beyond the limit: %+.200v", got)
	}
	w.wantEvents(m.ID, "Processed Delivered HardBounced+late")
	w.wantSuppressed(m.Recipient, notSuppressed)
	if _, err := w.door.Reclassify(t.Context(), w.account, got.Report.ID, "hard", w.now); err != nil {
		t.Fatal(err)
	}
	w.wantSuppressed(m.Recipient, waypost.SuppressHardBounce)

	sure := w.accept("sure@example.com", "") // nobody said that it was delivered
	w.bounce(sure, hardDSN(w.path(sure), sure.Recipient))
	w.wantSuppressed(sure.Recipient, waypost.SuppressHardBounce)
	w.now = w.now.Add(time.Hour)
	if _, got := one(); got.Report.Status != store.ReportCounted {
		t.Errorf("an hour later: %+.200v", got)
	}
}

func TestWarnings(t *testing.T) {
	w := newWorld(t)
	n := 0
	say := func(times int, kind string, code int, text string) {
		t.Helper()
		for range times {
			n++
			w.report(item(w.accept(fmt.Sprintf("r%d@example.com", n), ""), kind, "", code, text))
		}
	}
	blocked := "421 4.7.0 Our system has detected an unusual rate of mail from your IP, temporarily rate limited"
	say(5, "delivered", 250, "ok")
	say(10, "bounced", 552, "552 5.2.2 mailbox full")
	say(ingest.WarningCount-1, "deferred", 421, blocked)
	if got := w.door.Warnings(w.account, w.now); len(got) != 0 {
		t.Fatalf("below the threshold: %+v", got)
	}
	say(1, "bounced", 550, "550 5.7.1 blocked using a block list, see https://example.org/lookup")
	got := w.door.Warnings(w.account, w.now)
	if len(got) != 1 || got[0].Lane.Provider != w.provider || got[0].Troubled != ingest.WarningCount || got[0].Reports != 15+ingest.WarningCount || !strings.Contains(got[0].Text, "block list") {
		t.Fatalf("at the threshold: %+v", got)
	}
	if other := w.door.Warnings(w.account+1, w.now); len(other) != 0 {
		t.Errorf("another account sees %+v", other)
	}
	if later := w.door.Warnings(w.account, w.now.Add(ingest.WarningWindow+time.Minute)); len(later) != 0 {
		t.Errorf("it stands for ever: %+v", later)
	}
	say(200, "delivered", 250, "ok")
	if diluted := w.door.Warnings(w.account, w.now); len(diluted) != 0 {
		t.Errorf("below the share: %+v", diluted)
	}
}

// TestHostileReports: whatever is in a mail, it is kept.
func TestHostileReports(t *testing.T) {
	w := newWorld(t)
	deep := "Content-Type: multipart/mixed; boundary=b0\r\n\r\n"
	for i := range 10_000 {
		deep += fmt.Sprintf("--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n", i, i+1)
	}
	for name, raw := range map[string]string{
		"nested":   deep,
		"wide":     "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 50_000),
		"boundary": "Content-Type: multipart/report; boundary=\"\r\n\r\n--\r\n--\r\n",
		"charset":  "Content-Type: text/plain; charset=klingon-8\r\nContent-Transfer-Encoding: rot13\r\n\r\nuser unknown\r\n",
		"bomb":     "Content-Transfer-Encoding: base64\r\nContent-Type: message/rfc822\r\n\r\n" + strings.Repeat("QUFB", 200_000),
		"loop":     strings.Repeat("Received: from a by b; x\r\n", 5000) + "\r\n",
		"header":   "Subject: " + strings.Repeat("=?utf-8?q?a?= ", 60_000) + "\r\n\r\n",
		"huge":     strings.Repeat("a", 2<<20),
	} {
		m := w.accept("a@example.com", "")
		got := w.bounce(m, []byte(raw))
		back, err := w.store.Report(t.Context(), w.account, got.Report.ID)
		if err != nil || len(back.Raw) != min(len(raw), store.MaxReportRaw) {
			t.Errorf("%s: %d bytes kept, %v", name, len(back.Raw), err)
		}
	}
}
