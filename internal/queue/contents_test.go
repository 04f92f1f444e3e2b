package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
)

// shelf stores contents and reads them with room for so many bytes of large
// ones.
type shelf struct {
	*testing.T
	db *sqlite.DB
	*contents
}

func newShelf(t *testing.T, most int64) *shelf {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "waypost.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &shelf{t, db, newContents(db, compose.NewCompiler(1<<20), 1<<20, most)}
}

// put stores a content with a file of so many bytes.
func (s *shelf) put(file []byte) waypost.UUID {
	s.Helper()
	c := waypost.Content{
		ID: waypost.NewUUID(time.Now()), From: waypost.Address{Email: "a@shop.example"}, Text: "x",
		Attachments: []waypost.Attachment{{Filename: "a.bin", Data: file}},
	}
	if err := s.db.Accept(s.Context(), &store.Acceptance{Content: c}); err != nil {
		s.Fatal(err)
	}
	return c.ID
}

// take uses a content that must not have to wait.
func (s *shelf) take(id waypost.UUID) (*compose.Prepared, func()) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	p, done, err := s.get(ctx, id)
	if err != nil {
		s.Fatal(err)
	}
	return p, done
}

// free checks that all of the room can be had: nothing is in use, and what is
// kept goes.
func (s *shelf) free() {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	if err := s.room(ctx, s.most); err != nil {
		s.Fatal("some room was never given back")
	}
	s.files.Release(s.most)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.large) > 0 {
		s.Fatalf("%d large contents are still there", len(s.large))
	}
}

func noise(n int) []byte {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func TestLargeContentsWait(t *testing.T) {
	s := newShelf(t, 8<<20)
	a, b, small := s.put(noise(3<<20)), s.put(noise(3<<20+1)), s.put(noise(1000))
	p, done := s.take(a)
	again, doneAgain := s.take(a)
	if p != again {
		t.Error("a content in use was read a second time")
	}
	doneAgain()
	doneAgain() // calling it twice counts once

	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := s.get(short, b); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("there is no room for both, and still: %v", err)
	}
	got := make(chan func())
	go func() {
		_, done, err := s.get(t.Context(), b)
		if err != nil {
			t.Error(err)
		}
		got <- done
	}()
	for {
		s.mu.Lock()
		n := s.waiting
		s.mu.Unlock()
		if n > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if _, doneSmall := s.take(small); doneSmall == nil {
		t.Error("a small content needs room")
	}
	done()
	(<-got)()
	s.free()
}

// What is forgotten to make room is not in memory any longer, though the timer
// that was to forget it later still runs.
func TestForgottenContentsAreGone(t *testing.T) {
	s := newShelf(t, 8<<20)
	id := s.put(noise(3 << 20))
	_, done := s.take(id)
	s.mu.Lock()
	l := s.large[id]
	s.mu.Unlock()
	done()
	s.free()
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.p != nil {
		t.Error("it is still held")
	}
}

// A file that is stored as next to nothing is counted as what it becomes.
func TestContentsStoredSmall(t *testing.T) {
	s := newShelf(t, 8<<20)
	zeros := s.put(make([]byte, 3<<20))
	p, done := s.take(zeros)
	if p.Size() < 4<<20 || s.large[zeros] == nil || s.large[zeros].weight != int64(p.Size()) {
		t.Errorf("a content of %d bytes is not counted", p.Size())
	}
	done()
	huge, doneHuge := s.take(s.put(make([]byte, 24<<20))) // more than there is room for: alone
	if huge.Size() < 32<<20 {
		t.Errorf("%d bytes", huge.Size())
	}
	doneHuge()
	s.free()
}

func TestContentsThatCannotBeRead(t *testing.T) {
	s := newShelf(t, 8<<20)
	if _, _, err := s.get(t.Context(), waypost.NewUUID(time.Now())); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	bad := waypost.Content{
		ID: waypost.NewUUID(time.Now()), From: waypost.Address{Email: "a@shop.example"}, Text: "{{#if}",
		Attachments: []waypost.Attachment{{Data: noise(1 << 20)}},
	}
	if err := s.db.Accept(t.Context(), &store.Acceptance{Content: bad}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := s.get(t.Context(), bad.ID); err == nil || !strings.Contains(err.Error(), "prepare content") {
			t.Errorf("got %v", err)
		}
	}
	s.free()
}

// What was prepared for a call is kept for its first message, when there is
// room.
func TestContentsOfACall(t *testing.T) {
	s := newShelf(t, 2<<20)
	prepared := func() *compose.Prepared {
		p, err := compose.Prepare(&waypost.Content{
			From: waypost.Address{Email: "a@shop.example"}, Text: "x", Attachments: []waypost.Attachment{{Data: noise(1 << 20)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first, second := waypost.NewUUID(time.Now()), waypost.NewUUID(time.Now())
	p := prepared()
	s.add(first, p)
	s.add(second, prepared())
	got, done := s.take(first)
	if got != p {
		t.Error("it was prepared anew")
	}
	done()
	if _, _, err := s.get(t.Context(), second); !errors.Is(err, store.ErrNotFound) { // it was never stored
		t.Errorf("the second one was kept without room: %v", err)
	}
	s.free()
}

// Large messages never keep small ones waiting.
func TestComposingHasTwoRooms(t *testing.T) {
	prepare := func(text string, file int) *compose.Prepared {
		c := waypost.Content{From: waypost.Address{Email: "a@shop.example"}, Text: text, Attachments: []waypost.Attachment{{Data: noise(file)}}}
		p, err := compose.Prepare(&c)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	c := newComposing(8 << 20)
	large, small, files := prepare(strings.Repeat("x", 5<<20), 0), prepare("x", 1000), prepare("x", 5<<20)
	r, err := c.take(t.Context(), large)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.take(short, large); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("two messages of 5 MB at once: %v", err)
	}
	for range 200 { // files are shared, and weigh nothing here
		for _, p := range []*compose.Prepared{small, files} {
			other, err := c.take(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			other.keep(2000)
			defer other.free()
		}
	}
	r.free()
	if r, err = c.take(t.Context(), large); err != nil {
		t.Fatal(err)
	}
	r.free()
}
