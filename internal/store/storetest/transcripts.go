package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// said is what a server said in an attempt.
func said(attempt int, last waypost.TranscriptStep) *waypost.Transcript {
	return &waypost.Transcript{
		Attempt: attempt, Took: 31 * time.Millisecond, Remote: "192.0.2.7:587", TLS: "TLS 1.3", Cipher: "TLS_AES_128_GCM_SHA256", Reused: attempt > 1,
		Steps: []waypost.TranscriptStep{{Name: "mail", Code: 250, Text: "2.1.0 Ok \x01\u00fc", Took: 4 * time.Millisecond}, last},
	}
}

var (
	saidNo  = waypost.TranscriptStep{Name: "rcpt", Failed: true, Code: 451, Text: strings.Repeat("4.3.0 try later ", 50)}
	saidYes = waypost.TranscriptStep{Name: "final", Code: 250, Text: "2.0.0 Ok: queued as 4bXyZ1", Took: 7 * time.Millisecond}
)

// testTranscripts: each attempt keeps its own, one that succeeds too; what was
// not settled leaves none; they go with their message.
func testTranscripts(t *testing.T, e Engine) {
	f := newFixture(t, e)
	a := f.call(2, f.now)
	f.ok(f.s.Accept(t.Context(), a))
	got := f.claim(2).Entries
	f.ok(f.s.Settle(t.Context(), &store.Settlement{
		Entry: got[0].Entry, Message: got[0].Message, Retry: f.now, Attempt: f.attempt(got[0], waypost.AttemptTransient), Transcript: said(1, saidNo),
	}))
	again := f.claim(1).Entries[0]
	f.ok(f.s.Settle(t.Context(), &store.Settlement{
		Entry: again.Entry, Message: again.Message, Transcript: said(2, saidYes),
		Events: []waypost.Event{f.event(waypost.CSSent, &again.Message, waypost.SourceRelay)},
	}))
	f.is(f.s.Settle(t.Context(), &store.Settlement{
		Entry: again.Entry, Message: again.Message, Transcript: said(3, saidYes),
		Events: []waypost.Event{f.event(waypost.CSSent, &again.Message, waypost.SourceRelay)},
	}), store.ErrLost)
	f.equal("transcripts", f.trail(again.Message.ID).Transcripts, []waypost.Transcript{*said(1, saidNo), *said(2, saidYes)})
	f.equal("those of another message", len(f.trail(got[1].Message.ID).Transcripts), 0)
	_, err := f.s.Trail(t.Context(), f.account+1, again.Message.ID)
	f.is(err, store.ErrNotFound)

	f.ok(f.sent(got[1]))
	f.now = f.now.Add(time.Hour)
	f.equal("pruned", f.drained(func(limit int) (int, error) { return f.s.PruneMessages(t.Context(), f.now, limit) }, 100), 2)
	f.ok(f.s.Accept(t.Context(), a)) // the same ids once more
	f.equal("transcripts of a pruned message", len(f.trail(again.Message.ID).Transcripts), 0)
}
