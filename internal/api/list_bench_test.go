package api_test

import (
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/api"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
)

// BenchmarkEventPage reads pages of a list of 100,000 events with what is
// shown of their messages: the first, one far down by the cursor, one far down
// by an offset that no page ended at, and one whose page before was read.
func BenchmarkEventPage(b *testing.B) {
	s, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "waypost.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	plain := secret.NewKey("wpa")
	in := store.Installation{
		Account: waypost.Account{Name: "a", Created: time.Now()}, SubAccount: waypost.SubAccount{Name: "s", Default: true, Created: time.Now()},
		Keys: []*waypost.APIKey{{Kind: waypost.KeyAccount, Hash: secret.HashKey(plain), Created: time.Now()}},
	}
	if err := s.Install(b.Context(), &in); err != nil {
		b.Fatal(err)
	}
	for range 100 {
		a := store.Acceptance{Content: waypost.Content{ID: waypost.NewUUID(time.Now()), Account: in.Account.ID, SubAccount: in.SubAccount.ID, Subject: "s", HTML: "<p>h"}}
		for i := range 1000 {
			m := waypost.Message{ID: waypost.NewUUID(time.Now()), Account: in.Account.ID, SubAccount: in.SubAccount.ID, Content: a.Content.ID, Recipient: fmt.Sprintf("r%d@example.org", i), SubmittedAt: time.Now()}
			a.Messages = append(a.Messages, m)
			a.Events = append(a.Events, waypost.Event{Type: waypost.CSProcessed, Account: m.Account, SubAccount: m.SubAccount, Message: m.ID, Recipient: m.Recipient, At: time.Now(), Source: waypost.SourceAPI})
		}
		if err := s.Accept(b.Context(), &a); err != nil {
			b.Fatal(err)
		}
	}
	deep, err := s.ListEvents(b.Context(), store.EventQuery{Account: in.Account.ID, Limit: 1, Offset: 90_000})
	if err != nil || len(deep) != 1 {
		b.Fatal(err)
	}
	handler := api.New(api.Config{Store: s})
	for name, query := range map[string]string{
		"first": "", "deep by cursor": fmt.Sprintf("&before=%d", deep[0].ID), "deep by offset": "&offset=90001", "next page by offset": "&offset=50",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), "GET", "/api/v1/account/event?limit=50"+query, nil)
				r.Header.Set("X-Account-ApiKey", plain)
				rec := httptest.NewRecorder()
				if handler.ServeHTTP(rec, r); rec.Code != 200 {
					b.Fatal(rec.Body)
				}
			}
		})
	}
}
