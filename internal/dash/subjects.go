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
	store store.Store
	heads store.Heads
	known *lru.Cache[waypost.UUID, heading]
}

// heading is what a list shows of a content.
type heading struct {
	From    waypost.Address
	Subject string
	Gone    bool // past its retention
}

func newSubjects(s store.Store) *subjects {
	known, err := lru.New[waypost.UUID, heading](10_000)
	if err != nil {
		panic("BUG: size of the cache of subjects: " + err.Error())
	}
	return &subjects{s, store.Heads{Queue: s}, known}
}

// all gives the headings of contents. Callers have read messages of the
// person's account that name them. The store keeps what lists show apart; only
// contents from before it did are read whole.
func (s *subjects) all(ctx context.Context, ids []waypost.UUID) (map[waypost.UUID]heading, error) {
	out := make(map[waypost.UUID]heading, len(ids))
	var missing []waypost.UUID
	for _, id := range ids {
		if _, known := out[id]; known {
			continue
		}
		h, ok := s.known.Get(id)
		if out[id] = h; !ok {
			missing = append(missing, id)
		}
	}
	kept, err := s.store.Headlines(ctx, missing)
	if err != nil {
		return nil, fmt.Errorf("read subjects: %w", err)
	}
	for _, id := range missing {
		h := heading{From: kept[id].From, Subject: kept[id].Subject}
		if _, ok := kept[id]; !ok {
			if h, err = s.whole(ctx, id); err != nil {
				return nil, err
			}
		}
		if out[id] = h; !h.Gone {
			s.known.Add(id, h)
		}
	}
	return out, nil
}

// whole reads a content for its heading.
func (s *subjects) whole(ctx context.Context, id waypost.UUID) (heading, error) {
	c, err := s.heads.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return heading{Gone: true}, nil
	}
	if err != nil {
		return heading{}, fmt.Errorf("read content %s: %w", id, err)
	}
	h := store.HeadlineOf(&c)
	return heading{From: h.From, Subject: h.Subject}, nil
}
