package dash

import (
	"context"
	"errors"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// subjects remembers what lists show of contents: a content may hold large
// attachments, and is never changed.
type subjects struct {
	heads store.Heads
	known *lru.Cache[waypost.UUID, heading]
}

// heading is what a list shows of a content.
type heading struct {
	From    waypost.Address
	Subject string
	Gone    bool // past its retention
}

func newSubjects(s store.Queue) *subjects {
	known, err := lru.New[waypost.UUID, heading](10_000)
	if err != nil {
		panic("BUG: size of the cache of subjects: " + err.Error())
	}
	return &subjects{store.Heads{Queue: s}, known}
}

// of gives the heading of a content. Callers have read a message of the
// person's account that names it.
func (s *subjects) of(ctx context.Context, id waypost.UUID) (heading, error) {
	if h, ok := s.known.Get(id); ok {
		return h, nil
	}
	c, err := s.heads.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return heading{Gone: true}, nil
	}
	if err != nil {
		return heading{}, fmt.Errorf("read content %s: %w", id, err)
	}
	h := heading{From: c.From, Subject: clip(c.Subject, 500)}
	s.known.Add(id, h)
	return h, nil
}
