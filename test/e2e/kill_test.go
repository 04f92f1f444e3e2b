package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"
)

// The kill run: as many calls as it makes, recipients in each, and messages
// that a node may have in flight for one provider, those included that wait for
// the commit of their outcome (queue.Config.InFlight). Each of them may be
// relayed again after a kill; hardly more than one a session, of twenty, is.
const (
	killCalls    = 12
	killEach     = 20
	killInFlight = 80
)

// callers send one call after the other and repeat, with new addresses, each
// that was not answered.
type callers struct {
	mu         sync.Mutex
	accepted   []sent
	unanswered int
	err        error
}

// TestKill9 kills the server twice and the agent once while 240 messages are
// on their way. Whatever was answered with 200 must come to its end, with each
// event once; messages that Postfix got twice are counted.
func TestKill9(t *testing.T) {
	t.Parallel() // it waits long for the leases of a killed node
	engines(t, func(t *testing.T, database string, ns func(testing.TB) nameserver, o postfixOptions) {
		b := newBed(t, database, ns(t), o)
		var c callers
		var calling sync.WaitGroup
		calling.Go(func() { c.run(t.Context(), b) })
		t.Cleanup(calling.Wait)

		total := killCalls * killEach
		first := b.killAt(t, "server", 10+rand.IntN(total/4), b.proc)
		b.restart(t)
		second := b.killAt(t, "agent", total/3+rand.IntN(total/6), b.agent.proc)
		b.agent.restart(t)
		third := b.killAt(t, "server", total/2+rand.IntN(total/4), b.proc)
		b.restart(t)
		calling.Wait()
		if c.err != nil {
			t.Fatal(c.err)
		}
		if len(c.accepted) < total {
			t.Fatalf("%d messages accepted, want %d", len(c.accepted), total)
		}
		orders := make([]order, len(c.accepted))
		for i, a := range c.accepted {
			orders[i] = order{sent: a, kind: kindOf(a.To)}
			b.awaitEnd(t, &orders[i])
		}
		b.awaitRelayed(t, orders)
		h := b.agent.idle(t, b.postfix.mailLog)
		lost, proven := 0, 0
		got := b.sink.byUUID()
		for i := range orders {
			if b.provenByReport(t, &orders[i]) {
				proven++
			}
			if orders[i].kind.event == 60 && len(got[orders[i].MessageID]) == 0 {
				lost++
				t.Errorf("%s was accepted and never delivered", orders[i].To)
			}
		}
		twice, strangers := b.duplicates(c.accepted)
		if twice > 2*killInFlight {
			t.Errorf("Postfix got %d messages twice; two kills explain %d at most", twice, 2*killInFlight)
		}
		t.Logf("server killed when %d and %d recipients had been tried, agent at %d; %d accepted, lost: %d, duplicates: %d; a report came before a second relay: %d; %d calls were not answered, %d of their messages relayed; agent %+v",
			first, third, second, len(orders), lost, twice, proven, c.unanswered, strangers, h)
	})
}

// awaitRelayed waits until no message waits any more: a delivery that the agent
// reports may be known before a killed server has its lease back.
func (b *bed) awaitRelayed(t *testing.T, orders []order) {
	t.Helper()
	for i := range orders {
		eventually(t, orders[i].To+" to leave the queue", waitLease, func() bool {
			state := b.timeline(t, orders[i].MessageID).State
			return state != "waiting" && state != "unknown"
		})
	}
}

// provenByReport checks the events of a message, and tells whether the server
// died between Postfix's answer and noting it, so that the agent's report was
// the first to say that Postfix has the message. Its CSSent then has no reply.
func (b *bed) provenByReport(t *testing.T, o *order) bool {
	t.Helper()
	for _, e := range b.events(t, o.MessageID) {
		if e.Type == 59 && e.SMTPCode == 0 {
			b.checkTrail(t, o, 0, "")
			return true
		}
	}
	b.checkEvents(t, o)
	return false
}

// killAt waits until so many recipients have been tried, and kills.
func (b *bed) killAt(t *testing.T, who string, n int, p *process) int {
	t.Helper()
	tried := 0
	eventually(t, fmt.Sprintf("%d recipients to be tried before the %s is killed", n, who), waitMail, func() bool {
		tried = b.sink.recipients()
		return tried >= n
	})
	p.kill()
	return tried
}

// run makes the calls, each when the recipients of the third one before it have
// been tried, so that a kill meets accepting and relaying.
func (c *callers) run(ctx context.Context, b *bed) {
	for i := range killCalls {
		if !within(ctx, waitLease, func() bool { return b.sink.recipients() >= (i-3)*killEach }) {
			c.err = fmt.Errorf("call %d was never due", i)
			return
		}
		try := 0
		if !within(ctx, waitMail, func() bool {
			try++
			return c.call(ctx, b, fmt.Sprintf("k%d.%d", i, try))
		}) {
			c.err = fmt.Errorf("call %d was never answered in %d attempts", i, try)
			return
		}
	}
}

// call makes one call; true when it was accepted.
func (c *callers) call(ctx context.Context, b *bed, mark string) bool {
	to := make([]m, killEach)
	names := []string{"ok", "ok", "ok", "ok", "grey", "ok", "unknown", "full", "ok", "refused"}
	for i := range to {
		k := kindOf(names[i%len(names)] + "-")
		to[i] = m{"email": k.address(mark, i)}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	a, err := b.do(ctx, b.asSub("POST", "/api/v1/subaccount/email", m{
		"from": m{"email": "news@" + senderName}, "to": to, "subject": "Kill", "textBody": "Nothing may be lost.\n", "ippool": b.provider.Pool,
	}))
	var out []sent
	if err != nil || a.status != http.StatusOK || json.Unmarshal(a.body, &out) != nil {
		c.unanswered++
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accepted = append(c.accepted, out...)
	return true
}

// entered is the line by which Postfix takes a message into its queue.
var entered = regexp.MustCompile(`postfix/cleanup\[\d+\]: (\w+): message-id=<([0-9a-f-]{36})@sp-bounce\.`)

// duplicates counts, from Postfix's log, how often a message that it had
// already was given to it again, and the messages that it has but whose call
// was never answered.
func (b *bed) duplicates(accepted []sent) (twice, strangers int) {
	queued := map[string]int{}
	for _, match := range entered.FindAllSubmatch(after(b.postfix.mailLog, 0), -1) {
		queued[string(match[2])]++
	}
	for _, a := range accepted {
		twice += max(queued[a.MessageID]-1, 0)
		delete(queued, a.MessageID)
	}
	for _, n := range queued {
		twice += n - 1
	}
	return twice, len(queued)
}
