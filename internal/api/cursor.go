package api

import (
	"context"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose/merge"
	"github.com/waypost-mail/waypost/internal/store"
)

// Programs go through lists by offset, whose cost grows with every page. The
// place where a page ended is remembered, so that the next one starts there
// (D-39); one that comes from elsewhere is counted off as it says.

// cursor is where a page of a list ended.
type cursor struct {
	event   int64
	message waypost.UUID
	noted   time.Time
}

// The bounds of what is remembered.
const (
	mostCursors = 20_000
	cursorLives = 10 * time.Minute
)

// pageCursors remembers by selection and offset.
type pageCursors struct{ known *lru.Cache[string, cursor] }

func newPageCursors() pageCursors {
	known, err := lru.New[string, cursor](mostCursors)
	if err != nil {
		panic("BUG: size of a cache: " + err.Error())
	}
	return pageCursors{known}
}

func (p pageCursors) find(key string) (cursor, bool) {
	c, ok := p.known.Get(key)
	return c, ok && time.Since(c.noted) < cursorLives
}

func (p pageCursors) note(key string, c cursor) {
	c.noted = time.Now()
	p.known.Add(key, c)
}

// cursorKey gives the key of a selection at an offset.
func cursorKey[Q store.EventQuery | store.MessageQuery](q Q) func(offset int) string {
	switch q := any(&q).(type) {
	case *store.EventQuery:
		q.Offset, q.Limit = 0, 0
	case *store.MessageQuery:
		q.Offset, q.Limit = 0, 0
	}
	base := fmt.Sprintf("%T%v", q, q)
	return func(offset int) string { return fmt.Sprintf("%s@%d", base, offset) }
}

// mostCounted is how many entries are counted off for an offset that no page
// ended at: some hundred milliseconds' work.
const mostCounted = 100_000

func tooFar() *Error {
	return badField("offset", "more than %d entries would have to be counted off; go there page by page, or begin behind an entry with before", mostCounted)
}

// contentHead is what lists show of a content.
type contentHead struct {
	from    waypost.Address
	subject string
	groups  []string

	variables map[string]any // of the call, for the subject
}

func headOf(c *waypost.Content) contentHead {
	return contentHead{c.From, c.Subject, c.Groups, merge.Named(c.Subject, c.Variables)}
}

// withMessages finds what is shown of the messages of events.
func (a *API) withMessages(ctx context.Context, all []waypost.Event) ([]foundEvent, error) {
	ids := make([]waypost.UUID, 0, len(all))
	for i := range all {
		ids = append(ids, all[i].Message)
	}
	messages := map[waypost.UUID]waypost.Message{}
	if len(ids) > 0 {
		var err error
		if messages, err = a.cfg.Store.Messages(ctx, ids); err != nil {
			return nil, fmt.Errorf("read the messages of events: %w", err)
		}
	}
	heads := map[waypost.UUID]contentHead{}
	out := make([]foundEvent, len(all))
	for i := range all {
		m := messages[all[i].Message] // none when past its retention
		head, ok := heads[m.Content]
		if !ok && !m.ID.IsZero() {
			c, err := a.heads.Get(ctx, m.Content)
			if err != nil && !isNotFound(err) {
				return nil, fmt.Errorf("read the content of message %s: %w", m.ID, err)
			}
			head = headOf(&c)
			heads[m.Content] = head
		}
		out[i] = a.found(&all[i], &m, &head)
	}
	return out, nil
}

// mostListed bounds the text of the messages in one answer, in bytes.
const mostListed = 32 << 20

// withContents reads the contents of messages; those of one call are read
// once.
func (a *API) withContents(ctx context.Context, all []waypost.Message) ([]foundMessage, error) {
	contents, size := map[waypost.UUID]waypost.Content{}, 0
	out := make([]foundMessage, len(all))
	for i := range all {
		c, ok := contents[all[i].Content]
		if !ok {
			var err error
			c, err = a.heads.Get(ctx, all[i].Content)
			if err != nil && !isNotFound(err) { // may be past its retention
				return nil, fmt.Errorf("read the content of message %s: %w", all[i].ID, err)
			}
			contents[all[i].Content] = c
			if size += len(c.HTML) + len(c.Text) + len(c.AMP); size > mostListed {
				return nil, badField("limit", "these messages have more than %d MB of text; ask for fewer at once", mostListed>>20)
			}
		}
		out[i] = foundMessage{
			Message: all[i], content: c, publicIP: a.publicIP(&all[i]), mx: a.mx(ctx, &all[i], 0),
		}
	}
	return out, nil
}
