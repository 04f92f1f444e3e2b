package queue_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"github.com/waypost-mail/waypost"
	ours "github.com/waypost-mail/waypost/internal/dkim"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/smtp/smtptest"
)

// TestSignersFollowTheDomain relays while a second key begins to sign, a
// rotation takes place and the second key goes: the queue follows within its
// refresh time, and every signature of every message verifies by itself.
func TestSignersFollowTheDomain(t *testing.T) {
	w, server := newWorld(t, smtptest.Script{}, nil)
	defer w.run()()
	d, err := w.store.DomainByName(t.Context(), w.sub.ID, "example.com")
	if err != nil {
		t.Fatal(err)
	}
	txt := map[string]string{}
	remember := func(d *waypost.SenderDomain) {
		keys := append(d.SigningKeys(), d.Keys...)
		for _, k := range keys {
			key, err := senderdomain.OpenKey(w.box, k.Key)
			if err != nil {
				t.Fatal(err)
			}
			txt[k.Selector+"._domainkey.example.com"] = key.Record()
		}
	}
	change := func(f func(*waypost.SenderDomain)) waypost.SenderDomain {
		t.Helper()
		d, err := w.store.ChangeDomain(t.Context(), w.sub.ID, d.ID, func(d *waypost.SenderDomain) error { f(d); return nil })
		if err != nil {
			t.Fatal(err)
		}
		remember(&d)
		return d
	}
	selector, fold := regexp.MustCompile(`\bs=([^;]+);`), regexp.MustCompile(`\r\n[ \t]+`)
	// until sends messages until one is signed with the selectors wanted.
	until := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(2 * time.Minute); ; {
			w.await(w.send("me@example.com", "you@example.org")[0].ID)
			all := server.Messages()
			raw := string(all[len(all)-1].Data)
			found, err := dkim.VerifyWithOptions(strings.NewReader(raw), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) { return []string{txt[name]}, nil }})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range found {
				if v.Err != nil || v.Domain != "example.com" {
					t.Fatalf("%+v", v)
				}
			}
			var got []string
			head, _, _ := strings.Cut(raw, "\r\n\r\n")
			for f := range strings.SplitSeq(fold.ReplaceAllString(head, " "), "\r\n") {
				if strings.HasPrefix(f, "DKIM-Signature:") {
					got = append(got, strings.TrimSpace(selector.FindStringSubmatch(f)[1]))
				}
			}
			if len(got) != len(found) {
				t.Fatalf("%d signatures, %d verified", len(got), len(found))
			}
			if strings.Join(got, " ") == want {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("signed by %v, want %s", got, want)
			}
		}
	}
	fresh := func(generate func() (ours.Key, error)) senderdomain.Fresh {
		key, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		return senderdomain.Fresh{Key: key, Sealed: senderdomain.SealKey(w.box, key)}
	}
	remember(&d)
	until("sp-dkim")
	now := time.Now()
	second := fresh(ours.GenerateEd25519)
	d = change(func(d *waypost.SenderDomain) {
		if err := senderdomain.AddEd25519(d, second, now); err != nil {
			t.Error(err)
		}
	})
	ed := d.KeyOf(waypost.DKIMEd25519).Selector
	change(func(d *waypost.SenderDomain) { d.Record(waypost.RecordEd25519).Verified = true })
	until("sp-dkim " + ed)
	next := fresh(ours.GenerateRSA)
	change(func(d *waypost.SenderDomain) { d.Selector, d.Key = "next", next.Sealed })
	until("next " + ed)
	change(func(d *waypost.SenderDomain) {
		if err := senderdomain.RemoveEd25519(d); err != nil {
			t.Error(err)
		}
	})
	until("next")
}
