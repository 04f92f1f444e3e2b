package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/bounce"
	"github.com/waypost-mail/waypost/internal/store"
)

// MaxAge is how old a message may be for a report about it to count (D-35).
const MaxAge = 14 * 24 * time.Hour

// ErrStranger is returned for an address that is no return path of a message
// that was relayed lately.
var ErrStranger = errors.New("no message that was relayed in the last 14 days has this return path")

// Addressee is an address that reports may come to.
type Addressee struct {
	Address   string
	Message   waypost.Message // whose return path it is; zero for an address of the whole host, such as abuse@
	Delivered bool            // the agent has reported its delivery
}

// Addressee checks a return path at RCPT (D-35): its form, its message, the
// sub-account, that the message was given to a provider, and its age. The
// error is ErrStranger, or the store's.
func (d *Door) Addressee(ctx context.Context, address string, now time.Time) (Addressee, error) {
	path, err := waypost.ParseReturnPath(address)
	if err != nil {
		return Addressee{}, ErrStranger
	}
	to, err := d.reported(ctx, path.UUID, path.SubAccount, now)
	if err != nil {
		return Addressee{}, err
	}
	to.Address = address
	return to, nil
}

// reported finds a message that a report may be about. A sub-account of 0 is
// any.
func (d *Door) reported(ctx context.Context, id waypost.UUID, subAccount int64, now time.Time) (Addressee, error) {
	m, delivered, err := d.store.Reported(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return Addressee{}, ErrStranger
	}
	if err != nil {
		return Addressee{}, fmt.Errorf("find the message of a report: %w", err)
	}
	if m.Provider == 0 || subAccount != 0 && m.SubAccount != subAccount || now.Sub(m.SubmittedAt) > MaxAge {
		return Addressee{}, ErrStranger
	}
	return Addressee{Message: m, Delivered: delivered}, nil
}

// Returned is what became of a mail that came back.
type Returned struct {
	Report    store.Report // as stored
	Duplicate bool         // the very same report was stored before; nothing changed
	Tripped   bool         // this one made the breaker hold suppressions of its sub-account
}

// Bounce reads a mail that came to an address that [Door.Addressee] let in,
// judges it, and stores it with the event that it amounts to. The message is
// found by the return path, else by our marks in the report: the return path
// in its own header, X-Sendpost-Message-UUID or Message-ID of the returned
// message, the envelope id; else by a Message-ID of the customer's own. It
// returns after the commit. Whatever the mail holds, an error is the store's:
// nothing was stored and it may come again.
func (d *Door) Bounce(ctx context.Context, to Addressee, raw []byte, now time.Time) (Returned, error) {
	raw = raw[:min(len(raw), store.MaxReportRaw)]
	parsed := bounce.Parse(bytes.NewReader(raw), 0)
	r := store.Report{
		ID: waypost.NewUUID(now), Hash: hashReport(to.Address, raw), Received: now, Envelope: bound(clean(to.Address), 320),
		Kind: string(parsed.Kind), Queue: waypost.QueueID(bound(clean(string(parsed.QueueID)), 64)),
		Verdict: store.VerdictNone, Status: store.ReportIgnored, Raw: raw,
	}
	if to.Message.ID.IsZero() {
		found, err := d.findReported(ctx, &parsed, now)
		if err != nil && !errors.Is(err, ErrStranger) {
			return Returned{}, err
		}
		to.Message, to.Delivered = found.Message, found.Delivered
	}
	m := to.Message
	var facts []store.Fact
	if m.ID.IsZero() {
		r.Status, r.Note = store.ReportUnlinked, "it names no message that was relayed in the last 14 days"
	} else {
		r.Account, r.SubAccount, r.Message, r.Provider = m.Account, m.SubAccount, m.ID, m.Provider
		if fact := d.factOf(&r, &to, &parsed, now); fact != nil {
			facts = append(facts, *fact)
		}
	}
	recorded, err := d.store.SaveReport(ctx, &r, facts)
	if err != nil {
		return Returned{}, fmt.Errorf("store a report to %s: %w", r.Envelope, err)
	}
	d.tally.addRecorded(facts, recorded)
	out := Returned{Report: r}
	if len(recorded) > 0 {
		out.Duplicate = recorded[0] == store.Duplicate
		if recorded[0] == store.Evidence {
			out.Report.Status = store.ReportEvidence
		}
		if recorded[0] == store.Stored && facts[0].Event.Type == waypost.CSHardBounced && facts[0].Event.Late && !facts[0].Event.Evidence {
			out.Tripped = d.breaker.count(m.SubAccount, now)
		}
	}
	return out, nil
}

func hashReport(to string, raw []byte) (out [16]byte) {
	h := sha256.New()
	_, _ = h.Write([]byte(strings.ToLower(to) + "\x00"))
	_, _ = h.Write(raw)
	copy(out[:], h.Sum(nil))
	return out
}

// findReported looks for our marks inside a report.
func (d *Door) findReported(ctx context.Context, p *bounce.Report, now time.Time) (Addressee, error) {
	envelope, _ := waypost.ParseUUID(p.EnvelopeID) // zero when it is none of ours
	for _, mark := range []waypost.ReturnPath{p.ReturnPath, {UUID: p.Message}, {UUID: envelope}} {
		if mark.UUID.IsZero() {
			continue
		}
		m, err := d.reported(ctx, mark.UUID, mark.SubAccount, now)
		if !errors.Is(err, ErrStranger) {
			return m, err
		}
	}
	return d.sentAs(ctx, p, now)
}

// sentAs finds the message by a Message-ID that the customer's call brought,
// and by whom the report is about: the recipients of a call share the id.
func (d *Door) sentAs(ctx context.Context, p *bounce.Report, now time.Time) (Addressee, error) {
	if p.MessageID == "" {
		return Addressee{}, ErrStranger
	}
	recipient := ""
	if len(p.Recipients) > 0 {
		recipient = waypost.FoldEmail(p.Recipients[0].Address)
	}
	all, err := d.store.SentAs(ctx, p.MessageID, recipient)
	if err != nil {
		return Addressee{}, fmt.Errorf("find the message of a report by its Message-ID: %w", err)
	}
	if len(all) != 1 { // none, or one of several and nothing says which
		return Addressee{}, ErrStranger
	}
	return d.reported(ctx, all[0].ID, 0, now)
}

// notes say why a report of a kind does not count (D-45).
var notes = map[bounce.Kind]string{
	bounce.KindDelayed:   "a warning of delay; delivery is still being tried",
	bounce.KindDelivered: "reports a delivery",
	bounce.KindVacation:  "an automatic answer",
	bounce.KindChallenge: "asks the sender to confirm",
	bounce.KindOther:     "not understood",
}

// factOf decides what a report counts as, nil for nothing, and notes it in r.
func (d *Door) factOf(r *store.Report, to *Addressee, p *bounce.Report, now time.Time) *store.Fact {
	m := &to.Message
	f := &store.Fact{Event: eventOf(m, 0, waypost.SourceBounce, now), Key: "dsn:" + hex.EncodeToString(r.Hash[:]), Relayed: true}
	f.Event.Queue = r.Queue
	switch p.Kind {
	case bounce.KindBounce:
		return d.bounceFact(r, to, p, f, now)
	case bounce.KindFeedback:
		return feedbackFact(r, m, p, f)
	case bounce.KindDelayed, bounce.KindDelivered, bounce.KindVacation, bounce.KindChallenge, bounce.KindOther:
	}
	r.Note = notes[p.Kind]
	if who, ours := about(p, m.Recipient); ours {
		describe(r, who)
	}
	return nil
}

// about picks the recipient of a report that is the message's own; without
// one, the first that the report names.
func about(p *bounce.Report, recipient string) (bounce.Recipient, bool) {
	want := waypost.FoldEmail(recipient)
	for _, r := range p.Recipients {
		if waypost.FoldEmail(r.Address) == want {
			return r, true
		}
	}
	if len(p.Recipients) == 0 {
		return bounce.Recipient{Action: "failed"}, false
	}
	return p.Recipients[0], false
}

// describe notes what a report says of a recipient.
func describe(r *store.Report, about bounce.Recipient) {
	r.Recipient = bound(clean(about.Address), waypost.MaxEmail)
	r.Code, r.Enhanced, r.Text = about.Reply.Code, bound(clean(about.Reply.Enhanced), 12), clean(about.Reply.Text)
	if r.Code == 0 { // Diagnostic-Code has it at the start of the text (RFC 3464, section 2.3.6)
		r.Code, _ = bounce.StatedCodes(r.Text)
	}
}

func (d *Door) bounceFact(r *store.Report, to *Addressee, p *bounce.Report, f *store.Fact, now time.Time) *store.Fact {
	m := &to.Message
	who, ours := about(p, m.Recipient)
	describe(r, who)
	if who.Action != "failed" {
		r.Note = "says of this recipient: " + bound(clean(who.Action), 20)
		return nil
	}
	f.Event.Code, f.Event.Enhanced, f.Event.Text = r.Code, r.Enhanced, r.Text
	d.bounced(m, f, to.Delivered)
	r.Reason, r.Rule, r.Status = f.Event.Reason, f.Event.Rule, store.ReportCounted
	r.Verdict = store.VerdictSoft
	if f.Event.Type == waypost.CSHardBounced {
		r.Verdict = store.VerdictHard
	}
	switch {
	case !ours && r.Recipient != "":
		// A forwarded copy, or a forgery: D-35 wants the final recipient ours.
		r.Status, r.Note = store.ReportEvidence, "it is about an address that is not the message's recipient"
		f.Event.Evidence, f.Event.Recipient, f.Once, f.Suppress = true, r.Recipient, "", nil
	case f.Suppress != nil && f.Event.Late && d.breaker.open(m.SubAccount, now):
		r.Status, f.Suppress = store.ReportHeld, nil
		r.Note = fmt.Sprintf("more than %d hard bounces in an hour for messages that were reported as delivered: suppressions of this sub-account are held; reclassify the report as hard to suppress", BreakerLimit)
	}
	return f
}

// feedbackFact turns a complaint into CSSpamReport and an opt-out into
// CSUnsubscribe (D-45); both suppress (D-37).
func feedbackFact(r *store.Report, m *waypost.Message, p *bounce.Report, f *store.Fact) *store.Fact {
	s := &waypost.Suppression{
		Account: m.Account, SubAccount: m.SubAccount, Email: waypost.FoldEmail(m.Recipient),
		Message: m.ID, Created: f.Event.At,
	}
	kind := bound(clean(p.FeedbackType), 40)
	switch kind {
	case "abuse", "fraud":
		r.Verdict, f.Event.Type, f.Once, s.Reason = store.VerdictComplaint, waypost.CSSpamReport, "complaint", waypost.SuppressComplaint
	case "opt-out":
		r.Verdict, f.Event.Type, f.Once, s.Reason = store.VerdictUnsubscribe, waypost.CSUnsubscribe, onceUnsubscribe, waypost.SuppressUnsubscribe
	default:
		r.Note = "feedback of the type \"" + kind + "\"; only abuse, fraud and opt-out count"
		return nil
	}
	if len(p.Recipients) > 0 {
		r.Recipient = bound(clean(p.Recipients[0].Address), waypost.MaxEmail)
	}
	f.Event.Text, f.Event.Reason = "feedback report of the type "+kind, waypost.Reason(kind)
	f.Suppress, r.Status, r.Reason, r.Text = s, store.ReportCounted, f.Event.Reason, f.Event.Text
	return f
}

// ErrNotBounce is returned by Reclassify for a report that cannot be one.
var ErrNotBounce = errors.New("only a report about one of our messages that is no complaint can be called hard, soft or none")

// Reclassify puts a person's verdict (store.VerdictHard, VerdictSoft or
// VerdictNone) in the place of a report's. Counters and suppression follow; the
// event that it replaces stays visible as evidence. store.ErrNotFound for
// another account's report.
func (d *Door) Reclassify(ctx context.Context, account int64, id waypost.UUID, verdict string, now time.Time) (store.Report, error) {
	r, err := d.store.Report(ctx, account, id)
	if err != nil {
		return r, fmt.Errorf("read the report: %w", err)
	}
	if r.Message.IsZero() || r.Kind == string(bounce.KindFeedback) {
		return r, ErrNotBounce
	}
	m, delivered, err := d.store.Reported(ctx, r.Message)
	if err != nil {
		return r, fmt.Errorf("read the message of the report: %w", err)
	}
	c := store.Reclassification{Account: account, Report: id, Verdict: verdict, At: now, Email: waypost.FoldEmail(m.Recipient)}
	if verdict != store.VerdictNone {
		f := store.Fact{Event: eventOf(&m, 0, waypost.SourceBounce, r.Received)}
		f.Event.Code, f.Event.Enhanced, f.Event.Text, f.Event.Queue = r.Code, r.Enhanced, r.Text, r.Queue
		d.bounced(&m, &f, delivered)
		f.Event.Type, f.Event.Rule = waypost.CSSoftBounced, "reclassified"
		if verdict == store.VerdictHard {
			f.Event.Type = waypost.CSHardBounced
			c.Suppress = hardSuppression(&m, f.Event.Text, now)
		}
		c.Event = &f.Event
	}
	if err := d.store.Reclassify(ctx, c); err != nil {
		return r, fmt.Errorf("store the verdict: %w", err)
	}
	return d.store.Report(ctx, account, id)
}

func hardSuppression(m *waypost.Message, text string, at time.Time) *waypost.Suppression {
	return &waypost.Suppression{
		Account: m.Account, SubAccount: m.SubAccount, Email: waypost.FoldEmail(m.Recipient),
		Reason: waypost.SuppressHardBounce, Text: text, Message: m.ID, Created: at,
	}
}
