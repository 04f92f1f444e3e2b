package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose/merge"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/track"
)

// subjects finds what deliveries tell of. Of contents it keeps the heads.
type subjects struct {
	store   store.Store
	stored  store.Heads
	geo     *track.Geo // nil: no places
	ip      string     // address of the pseudo IP
	heads   *lru.Cache[waypost.UUID, waypost.Content]
	load    singleflight.Group
	loading *semaphore.Weighted // contents in memory at once
}

// keptHeads is how many heads of contents are kept: a few kilobytes each.
const keptHeads = 4096

func newSubjects(s store.Store, geo *track.Geo, ip string) *subjects {
	heads, err := lru.New[waypost.UUID, waypost.Content](keptHeads)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return &subjects{store: s, stored: store.Heads{Queue: s}, geo: geo, ip: ip, heads: heads, loading: semaphore.NewWeighted(4)}
}

// of gives the subject of each delivery of a batch. A message or content that
// is past its retention is left zero.
func (s *subjects) of(ctx context.Context, batch []store.ClaimedDelivery) ([]Subject, error) {
	ids := make([]waypost.UUID, len(batch))
	for i := range batch {
		ids[i] = batch[i].Event.Message
	}
	messages, err := s.store.Messages(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("find %d messages: %w", len(ids), err)
	}
	out := make([]Subject, len(batch))
	for i := range batch {
		out[i] = Subject{Event: batch[i].Event, Message: messages[ids[i]], IP: s.ip}
		if v := out[i].Event.Visit; v != nil {
			if p, ok := s.geo.Place(v.IP); ok {
				out[i].Place = &p
			}
		}
		if out[i].Message.ID.IsZero() {
			continue
		}
		if out[i].Content, err = s.head(ctx, out[i].Message.Content); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *subjects) head(ctx context.Context, id waypost.UUID) (waypost.Content, error) {
	if c, ok := s.heads.Get(id); ok {
		return c, nil
	}
	v, err, _ := s.load.Do(string(id[:]), func() (any, error) {
		if err := s.loading.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		defer s.loading.Release(1)
		c, err := s.stored.Get(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return waypost.Content{}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read content %s: %w", id, err)
		}
		c.HTML, c.Text, c.AMP, c.Attachments = "", "", "", nil
		if c.Variables = merge.Named(c.Subject, c.Variables); small(c.Variables) {
			s.heads.Add(id, c)
		}
		return c, nil
	})
	if err != nil {
		return waypost.Content{}, err
	}
	return v.(waypost.Content), nil
}

// small tells whether variables may be kept with a head: a subject may name one
// that holds a megabyte.
func small(variables map[string]any) bool {
	if len(variables) == 0 {
		return true
	}
	text, err := json.Marshal(variables)
	return err == nil && len(text) <= 8<<10
}

// hosts bounds what the endpoints of single calls may cost each other: a host
// gets a share of the requests, and one that fails again and again rests.
type hosts struct {
	rest time.Duration
	most int // requests at once

	mu  sync.Mutex
	all map[string]*host
}

type host struct {
	open     int
	failures int
	until    time.Time
}

// enter takes a place at the host of a URL, or tells how long to wait.
func (h *hosts) enter(target string, now time.Time) (time.Duration, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[string]*host{}
	}
	name := hostOf(target)
	at := h.all[name]
	if at == nil {
		h.tidy(now)
		at = &host{}
		h.all[name] = at
	}
	switch {
	case now.Before(at.until):
		return at.until.Sub(now), false
	case at.open >= h.most, at.failures >= waypost.DegradedAfter && at.open > 0:
		return time.Second, false
	}
	at.open++
	return 0, true
}

func (h *hosts) leave(target string, ok bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.all[hostOf(target)]
	if at == nil {
		return
	}
	at.open--
	if ok {
		at.failures, at.until = 0, time.Time{}
		return
	}
	if at.failures++; at.failures >= waypost.DegradedAfter {
		at.until = now.Add(h.rest)
	}
}

// tidy forgets hosts that have nothing to remember, once there are many.
func (h *hosts) tidy(now time.Time) {
	if len(h.all) < 10_000 {
		return
	}
	for name, at := range h.all {
		if at.open == 0 && (at.failures == 0 || now.After(at.until.Add(10*time.Minute))) {
			delete(h.all, name)
		}
	}
}

func hostOf(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return ""
	}
	return u.Host
}
