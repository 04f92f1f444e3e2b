package storetest

import (
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
)

// testSentAs: the messages of a call that brought a Message-ID are found by it,
// all or those to one recipient; those of other calls are not.
func testSentAs(t *testing.T, e Engine) {
	f := newFixture(t, e)
	ctx := t.Context()
	const id = "<order-7@shop.example>"
	a := f.call(3, f.now)
	a.Content.Headers = []waypost.Header{{Name: "X-A", Value: "1"}, {Name: "message-id", Value: " " + id}}
	f.ok(f.s.Accept(ctx, a))
	f.accept(2, f.now.Add(time.Millisecond))

	found := func(id waypost.MessageID, recipient string) map[waypost.UUID]bool {
		all, err := f.s.SentAs(ctx, id, recipient)
		f.ok(err)
		out := map[waypost.UUID]bool{}
		for _, m := range all {
			out[m.ID] = true
		}
		return out
	}
	want := map[waypost.UUID]bool{}
	for i := range a.Messages {
		want[a.Messages[i].ID] = true
	}
	f.equal("all of the call", found(id, ""), want)
	f.equal("without brackets", found("order-7@shop.example", ""), want)
	m := &a.Messages[1]
	f.equal("to one", found(id, waypost.FoldEmail(m.Recipient)), map[waypost.UUID]bool{m.ID: true})
	f.equal("to nobody", found(id, "nobody@example.org"), map[waypost.UUID]bool{})
	f.equal("another id", found("<order-8@shop.example>", ""), map[waypost.UUID]bool{})
}
