package agent

import "github.com/waypost-mail/waypost"

// messages finds the youngest queue id of a message. Only a sent line that may
// be a hop of a filter asks for it, and on most hosts none does: the index is
// made when it is first asked for, and kept up from then on.
type messages struct {
	index
	kept  bool
	links uint64 // messages learned so far
}

// youngest gives the youngest queue id of a message.
func (t *table) youngest(u *waypost.UUID) *entry {
	if !t.byUUID.kept {
		t.indexMessages()
	}
	if t.byUUID.used == 0 {
		return nil
	}
	hash, mask := hashUUID(u), t.byUUID.mask()
	tag := indexTag(hash)
	for i := hash & mask; ; i = (i + 1) & mask {
		found := t.byUUID.tags[i]
		if found == 0 {
			return nil
		}
		if found != tag {
			continue
		}
		s := t.byUUID.slots[i]
		if s.hash() != hash {
			continue
		}
		if e := t.entry(s.number()); e.uuid == *u {
			return e
		}
	}
}

// indexMessages makes the index of what the table holds.
func (t *table) indexMessages() {
	t.byUUID.kept = true
	for e := t.oldest(); e != nil; e = t.at(e.younger) {
		if e.uuid.IsZero() {
			continue
		}
		if other := t.youngest(&e.uuid); other == nil || other.linked < e.linked {
			t.relink(e)
		}
	}
}

// link makes e the youngest queue id of its message.
func (t *table) link(e *entry) {
	t.byUUID.links++
	e.linked = t.byUUID.links
	if t.byUUID.kept {
		t.relink(e)
	}
}

func (t *table) relink(e *entry) {
	if old := t.youngest(&e.uuid); old != nil {
		t.unlink(old)
	}
	t.byUUID.put(hashUUID(&e.uuid), e.number)
}

func (t *table) unlink(e *entry) {
	if t.byUUID.kept && !e.uuid.IsZero() {
		t.byUUID.remove(hashUUID(&e.uuid), e.number)
	}
}
