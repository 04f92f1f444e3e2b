package dash_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost/test/seed"
)

// TestMessageSearch: messages are filtered by status and found by a typed query,
// whose mistakes are named beside it; each line tells the attempts made; and a
// mail server's queue id leads to its message.
func TestMessageSearch(t *testing.T) {
	h := open(t, seed.Trouble)
	b := newTab(t, h)
	b.login(seed.Email)
	b.open("/messages")
	for status, chip := range map[string]string{"queued": "waiting", "delivered": "delivered", "softBounced": "soft bounce", "hardBounced": "hard bounce", "dropped": "dropped", "sent": "sent"} {
		b.open("/messages?status=" + status)
		if got := js[[]string](b, `[...new Set([...document.querySelectorAll("#list tbody .chip")].map(c => c.textContent.trim()))]`); len(got) != 1 || got[0] != chip {
			t.Errorf("the status %s shows %q", status, got)
		}
	}
	b.open("/messages?status=queued")
	if got := b.text("#list tbody td.num"); !strings.HasPrefix(got, "1") || !strings.Contains(got, "next") {
		t.Errorf("the attempts of a message that waits after one: %q", got)
	}
	b.open("/messages")
	b.fill("#f-q", `status:delivered from:orders@acme-shop.example subject:"order 31415"`)
	b.press(".filters button.primary")
	rows := js[[]string](b, `[...document.querySelectorAll("#list tbody a.strong")].map(a => a.href)`)
	if len(rows) != 1 || !strings.HasSuffix(rows[0], h.scene.Messages["story"].String()) {
		t.Errorf("the query shows %v", rows)
	}
	if got := js[string](b, `document.querySelector("#f-q").value`); !strings.Contains(got, "order 31415") {
		t.Errorf("the form forgot the query: %q", got)
	}
	b.open("/messages?q=" + url.QueryEscape("status:gone"))
	if got := b.text("#e-q"); !strings.Contains(got, "A status is") {
		t.Errorf("a status that is none: %q", got)
	}
	b.open("/messages?q=tag:nothing")
	b.sees("No message fits these filters")

	v := newVisitor(t, h)
	body := `{"from":{"email":"orders@acme-shop.example"},"to":[{"email":"tagged@live.example"}],"subject":"x","textBody":"x","groups":["spring sale"],"ippool":"` + h.scene.Pools[0].Name + `"}`
	if status := v.post("/api/v1/subaccount/email", body, "X-SubAccount-ApiKey", seed.SubKey); status != 200 {
		t.Fatalf("send: %d", status)
	}
	b.open("/messages?q=" + url.QueryEscape(`tag:"spring sale"`))
	if got := b.text("#list tbody"); !strings.Contains(got, "tagged@live.example") {
		t.Errorf("the tag shows %q", got)
	}
	b.open("/find?q=" + string(seed.QueueID(h.scene.Messages["story"])))
	b.sees("Why this way")
	if got := js[string](b, "location.pathname"); !strings.HasSuffix(got, h.scene.Messages["story"].String()) {
		t.Errorf("the queue id leads to %s", got)
	}
	b.open("/find?q=4bNobody")
	b.sees("No message has the queue id 4bNobody")
}

// TestTail: a burst that is larger than a page comes whole into the live list of
// events, each once and in order; of one that is larger than an answer the list
// says what it left out.
func TestTail(t *testing.T) {
	h := open(t, seed.Trouble)
	b := newTab(t, h)
	b.login(seed.Email)
	b.open("/events")
	b.until("the live lamp", `document.querySelector("#live").dataset.state === "on"`)
	v := newVisitor(t, h)
	burst := func(name string, n int) {
		t.Helper()
		var to []string
		for i := range n {
			to = append(to, fmt.Sprintf(`{"email":"%s%d@live.example"}`, name, i))
		}
		body := `{"from":{"email":"orders@acme-shop.example"},"to":[` + strings.Join(to, ",") + `],"subject":"x","textBody":"x","ippool":"` + h.scene.Pools[0].Name + `"}`
		if status := v.post("/api/v1/subaccount/email", body, "X-SubAccount-ApiKey", seed.SubKey); status != 200 {
			t.Fatalf("send: %d", status)
		}
	}
	recipients := func(name string) string {
		return `new Set([...document.querySelectorAll("#list tbody a.strong")].map(a => a.textContent).filter(t => t.startsWith("` + name + `"))).size`
	}
	burst("many", 300)
	b.until("all of a burst", recipients("many")+" === 300")
	ordered := `(() => { const ids = [...document.querySelectorAll("#list tr[data-id]")].map(r => BigInt(r.dataset.id)); return ids.every((id, i) => i === 0 || id < ids[i-1]); })()`
	if !js[bool](b, ordered) {
		t.Error("the list is not in order, or shows an event twice")
	}
	if js[bool](b, `document.querySelector("tr.skipped") !== null`) {
		t.Error("the list says that it left out something of 300")
	}
	js[bool](b, `(document.querySelector("#live").click(), true)`)
	for _, name := range []string{"a", "b", "c"} {
		burst(name, 1000)
	}
	js[bool](b, `(document.querySelector("#live").click(), true)`)
	b.until("what was left out", `document.querySelector("tr.skipped")`)
	left := js[int](b, `parseInt(document.querySelector("tr.skipped").textContent.replaceAll(",", ""))`)
	newest := js[int](b, `(() => { let n = 0; for (const r of document.querySelectorAll("#list tbody tr")) { if (r.className === "skipped") return n; n++; } })()`)
	sum := js[int](b, `fetch("/events.ndjson").then(r => r.text()).then(t => t.trim().split("\n").filter(l => /^[abc]\d+@live/.test(JSON.parse(l).recipient)).length)`)
	if newest != 1000 || left != sum-newest {
		t.Errorf("the list shows %d events above the gap, and left out %d of %d", newest, left, sum)
	}
	if !js[bool](b, ordered) {
		t.Error("after a gap, the list is not in order, or shows an event twice")
	}
}
