package queue_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/track"
)

// simulating is a world with simulated recipients and short pauses.
func simulating(t *testing.T, more func(*queue.Config)) (*world, *smtptest.Server) {
	t.Helper()
	w, server := newWorld(t, smtptest.Script{}, func(_ *waypost.Provider, c *queue.Config) {
		c.SimulatorDomain, c.SimulatorPause = "play.example", 10*time.Millisecond
		c.Track = &queue.Tracking{Keys: track.NewKeys(1, map[byte][]byte{1: []byte("key")}), Base: "https://t.example"}
		if more != nil {
			more(c)
		}
	})
	return w, server
}

func typesOf(t store.Trail) string {
	var out []string
	for i := range t.Events {
		out = append(out, strings.TrimPrefix(t.Events[i].Type.String(), "CS"))
	}
	return strings.Join(out, " ")
}

// TestSimulatedRecipients: each gives its events in their order, copies
// included, and no mail server hears of it (D-40).
func TestSimulatedRecipients(t *testing.T) {
	w, server := simulating(t, nil)
	w.run()
	s := queue.Submission{SubAccount: w.sub, Content: waypost.Content{
		From: waypost.Address{Email: "news@example.com"}, Subject: "Hello",
		HTML:       `<p>See <a href="mailto:a@b.example">us</a> and <a href="https://shop.example/{{name}}">shop</a></p>`,
		TrackOpens: true, TrackClicks: true,
	}}
	want := map[string]string{
		"test@play.example":          "Processed Sent Delivered Open Click",
		"Deliver@Play.Example":       "Processed Sent Delivered",
		"hardbounce+7@play.example":  "Processed Sent HardBounced",
		"softbounce@play.example":    "Processed Sent SoftBounced",
		"dropped@play.example":       "Processed Dropped",
		"somebody@play.example":      "Processed Dropped",
		"test@other.example":         "Processed Sent",
		"test@deeper.play.example":   "Processed Sent",
		"play.example@other.example": "Processed Sent",
	}
	var order []string
	for to := range want {
		order = append(order, to)
		s.To = append(s.To, queue.Recipient{Address: waypost.Address{Email: to}, Variables: []byte(`{"name":"boots"}`)})
	}
	s.To[0].Bcc = []queue.Copy{{Address: waypost.Address{Email: "dropped@play.example"}}}
	for round := range 2 { // a simulated bounce suppresses nobody
		got, err := w.queue.Enqueue(t.Context(), &s)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range got {
			trail := w.await(a.ID)
			if g := typesOf(trail); g != want[order[i]] {
				t.Errorf("round %d, %s: %s", round, order[i], g)
			}
			if strings.HasSuffix(strings.ToLower(order[i]), "@play.example") && trail.Message.Provider != 0 {
				t.Errorf("%s has provider %d", order[i], trail.Message.Provider)
			}
		}
		if unknown := got[slices.Index(order, "somebody@play.example")]; unknown.Drop != waypost.DropInvalid || !strings.Contains(unknown.Message, "hardbounce") {
			t.Errorf("an address that is not there: %+v", unknown)
		}
		test := w.trail(got[slices.Index(order, "test@play.example")].ID)
		for _, e := range test.Events[1:] {
			if e.Source != waypost.SourceSimulator || e.Visit != nil && !e.Visit.First {
				t.Errorf("%s of %s, visit %+v", e.Type, e.Source, e.Visit)
			}
		}
		if click := last(test); click.Visit == nil || click.Visit.URL != "https://shop.example/boots" || click.Visit.Link != 1 || click.Visit.UserAgent == "" {
			t.Errorf("click %+v", click.Visit)
		}
		hard := last(w.trail(got[slices.Index(order, "hardbounce+7@play.example")].ID))
		if hard.Code != 550 || hard.Enhanced != "5.1.1" || hard.Rule == "" || hard.Stat() != waypost.StatHardBounced {
			t.Errorf("hard bounce %+v", hard)
		}
		soft := last(w.trail(got[slices.Index(order, "softbounce@play.example")].ID))
		if soft.Code != 452 || soft.Rule == "" || soft.Stat() != waypost.StatSoftBounced {
			t.Errorf("soft bounce %+v", soft)
		}
		if drop := last(w.trail(got[slices.Index(order, "dropped@play.example")].ID)); drop.Stat() != waypost.StatSMTPDropped || drop.Code != 550 {
			t.Errorf("drop %+v", drop)
		}
	}
	for _, m := range server.Messages() {
		if strings.HasSuffix(m.To[0], "@play.example") {
			t.Errorf("mail to %s left", m.To[0])
		}
	}
	if n := len(server.Messages()); n != 6 {
		t.Errorf("%d messages left, want those of the three others, twice", n)
	}
}

// TestSimulatedOpensAreTracked: who tracks nothing sees no open and no click,
// and a plain text has no pixel to open.
func TestSimulatedOpensAreTracked(t *testing.T) {
	w, _ := simulating(t, nil)
	w.run()
	f := func(want string, content waypost.Content) {
		t.Helper()
		content.From, content.Subject = waypost.Address{Email: "news@example.com"}, "Hello"
		got, err := w.queue.Enqueue(t.Context(), &queue.Submission{SubAccount: w.sub, Content: content, To: []queue.Recipient{{Address: waypost.Address{Email: "test@play.example"}}}})
		if err != nil {
			t.Fatal(err)
		}
		if g := typesOf(w.await(got[0].ID)); g != "Processed Sent Delivered"+want {
			t.Errorf("%+v: %s", content, g)
		}
	}
	const html = `<a href="https://shop.example/">shop</a>`
	f(" Open Click", waypost.Content{HTML: html, TrackOpens: true, TrackClicks: true})
	f(" Click", waypost.Content{HTML: html, TrackClicks: true})
	f(" Open", waypost.Content{HTML: html, TrackOpens: true})
	f("", waypost.Content{HTML: html})
	f(" Click", waypost.Content{Text: "see https://shop.example/ there", TrackOpens: true, TrackClicks: true})
	f(" Open", waypost.Content{HTML: "<p>no link</p>", TrackOpens: true, TrackClicks: true})
}

// TestSimulatedGoesOnAfterARestart: a queue that stops between delivery and
// open leaves both to the next.
func TestSimulatedGoesOnAfterARestart(t *testing.T) {
	w, _ := simulating(t, func(c *queue.Config) { c.SimulatorPause = 2 * time.Second })
	stop := w.run()
	got, err := w.queue.Enqueue(t.Context(), &queue.Submission{
		SubAccount: w.sub, To: []queue.Recipient{{Address: waypost.Address{Email: "test@play.example"}}},
		Content: waypost.Content{From: waypost.Address{Email: "news@example.com"}, HTML: `<a href="https://shop.example/">shop</a>`, TrackOpens: true, TrackClicks: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	for len(w.trail(got[0].ID).Events) < 3 {
		time.Sleep(5 * time.Millisecond)
	}
	if explained, err := w.queue.ExplainMessage(t.Context(), new(w.trail(got[0].ID))); err != nil || !strings.Contains(explained.Why, "simulated") {
		t.Errorf("%+v, %v", explained, err)
	}
	stop()
	w.queue = queue.New(w.cfg)
	w.run()
	if g := typesOf(w.await(got[0].ID)); g != "Processed Sent Delivered Open Click" {
		t.Error(g)
	}
}

// TestSimulatedNeedsWhatAnyMailNeeds: a verified return path, a recipient who
// is not suppressed, and a template that renders.
func TestSimulatedNeedsWhatAnyMailNeeds(t *testing.T) {
	w, _ := simulating(t, nil)
	w.domain("unverified.example", false)
	w.run()
	if e := last(w.await(w.send("news@unverified.example", "deliver@play.example")[0].ID)); e.Reason != waypost.DropNoReturnPath {
		t.Errorf("%+v", e)
	}
	_, err := w.store.Suppress(t.Context(), []waypost.Suppression{{
		Account: w.sub.Account, SubAccount: w.sub.ID, Email: "deliver@play.example", Reason: waypost.SuppressManual, Created: time.Now(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if e := last(w.await(w.send("news@example.com", "deliver@play.example")[0].ID)); e.Reason != waypost.DropSuppressed {
		t.Errorf("%+v", e)
	}
	explained, err := w.queue.Explain(t.Context(), &w.sub, "", "news@example.com", fmt.Sprintf("%s@play.example", waypost.SimulatedTest))
	if err != nil || explained.Chosen != 0 || !strings.Contains(explained.Why, "simulates") {
		t.Errorf("%+v, %v", explained, err)
	}
}

// TestNoSimulatorUnlessConfigured: without a domain nobody is simulated.
func TestNoSimulatorUnlessConfigured(t *testing.T) {
	w, server := newWorld(t, smtptest.Script{}, nil)
	w.run()
	w.await(w.send("news@example.com", "test@"+waypost.SimulatorDomain)[0].ID)
	if len(server.Messages()) != 1 {
		t.Error("the message was not relayed")
	}
}
