package agent

import (
	"time"

	"github.com/waypost-mail/waypost"
)

// key names a message in a queue. Two instances of Postfix that write into one
// log may use the same id.
type key struct{ instance, queue string }

// method is how a queue id got its message, in the order of D-42.
type method uint8

const (
	unknown method = iota
	byReturnPath
	byHeader
	byMessageID
	byChain
)

var methodNames = [...]string{"none", "return path", "header", "Message-ID", "re-queued id"}

// String names the method for people.
func (m method) String() string { return methodNames[m] }

// entry is what is known about one queue id.
type entry struct {
	key
	uuid     waypost.UUID
	method   method
	null     bool  // from=<>: a bounce notification, never an event
	gone     bool  // removed; waits to be forgotten
	notified bool  // a non-delivery notification was made
	bounced  bool  // a recipient bounced, which explains a notification
	expired  bool  // the expiry was reported
	requeued bool  // postsuper -r
	claimed  bool  // a sent line named this id as what its message goes on under
	late     bool  // the first line about it was an outcome
	left     int32 // recipients still to do at the last from= line
	done     int32 // final outcomes since then
	round    int32 // attempts: from= lines seen
	heard    time.Time
	parent   string // of a notification: the queue id it speaks of
	deferred []deferral
	text     int // bytes of deferred

	linked uint64 // when its message became known, as a serial number

	older, younger *entry // in order of the last line about them
}

// deferral is the last deferral of one recipient.
type deferral struct {
	to        string // as logged, after aliases
	recipient string // as reported
	relay     string
	enhanced  string
	text      string
	code      int
	round     int32  // of the entry, when it came
	reason    uint64 // hash of what makes two deferrals the same
}

// size is the deferral's share of the bytes of text remembered.
func (d *deferral) size() int { return len(d.to) + len(d.recipient) + len(d.relay) + len(d.text) }

const maxDeferrals = 200 // recipients of one queue id whose deferral is remembered

type goneID struct {
	e  *entry
	at time.Time
}

// table holds the entries by queue id, by message and in order of age.
type table struct {
	byKey     map[key]*entry
	byUUID    map[waypost.UUID]*entry // the youngest queue id of each message
	links     uint64                  // serial number of the last link
	hot       *entry                  // found last
	first     *entry                  // not heard of for longest
	last      *entry
	gone      []goneID
	text      int
	instances []string
}

const maxInstances = 16

func newTable() table {
	return table{byKey: map[key]*entry{}, byUUID: map[waypost.UUID]*entry{}}
}

// get finds the entry of k. Lines about one message tend to stand together.
func (t *table) get(k key) *entry {
	if h := t.hot; h != nil && h.queue == k.queue && h.instance == k.instance {
		return h
	}
	e := t.byKey[k]
	if e != nil {
		t.hot = e
	}
	return e
}

func (t *table) oldest() *entry { return t.first }

// add makes an entry, with a key of its own memory.
func (t *table) add(k key) *entry {
	own := make([]byte, 0, len(k.instance)+len(k.queue))
	own = append(append(own, k.queue...), k.instance...)
	s := string(own)
	e := &entry{key: key{instance: t.intern(k.instance, s[len(k.queue):]), queue: s[:len(k.queue)]}}
	t.byKey[e.key] = e
	t.hot = e
	t.push(e)
	return e
}

func (t *table) intern(instance, own string) string {
	for _, known := range t.instances {
		if known == instance {
			return known
		}
	}
	if len(t.instances) < maxInstances {
		t.instances = append(t.instances, own)
	}
	return own
}

// find looks a queue id up in every instance.
func (t *table) find(queue string) *entry {
	for _, instance := range t.instances {
		if e := t.byKey[key{instance, queue}]; e != nil {
			return e
		}
	}
	return nil
}

func (t *table) drop(e *entry) {
	if t.byKey[e.key] != e {
		return
	}
	delete(t.byKey, e.key)
	if t.hot == e {
		t.hot = nil
	}
	t.unlink(e)
	t.cut(e)
	t.text -= e.text
	e.text = 0
}

// link makes e the youngest queue id of its message.
func (t *table) link(e *entry) {
	t.links++
	e.linked = t.links
	t.byUUID[e.uuid] = e
}

func (t *table) unlink(e *entry) {
	if t.byUUID[e.uuid] == e {
		delete(t.byUUID, e.uuid)
	}
}

func (t *table) push(e *entry) {
	e.older, e.younger = t.last, nil
	if t.last == nil {
		t.first = e
	} else {
		t.last.younger = e
	}
	t.last = e
}

func (t *table) cut(e *entry) {
	if e.older == nil {
		t.first = e.younger
	} else {
		e.older.younger = e.younger
	}
	if e.younger == nil {
		t.last = e.older
	} else {
		e.younger.older = e.older
	}
	e.older, e.younger = nil, nil
}

func (t *table) touch(e *entry) {
	if t.last != e {
		t.cut(e)
		t.push(e)
	}
}

const maxGone = 2048 // removed ids that wait to be forgotten

// sweep forgets ids removed before gone and ids not heard of since stale.
func (t *table) sweep(gone, stale time.Time) {
	n := 0
	for n < len(t.gone) && (t.gone[n].at.Before(gone) || len(t.gone)-n > maxGone) {
		if e := t.gone[n].e; e.gone {
			t.drop(e)
		}
		t.gone[n].e = nil
		n++
	}
	t.gone = t.gone[n:]
	for t.first != nil && t.first.heard.Before(stale) {
		t.drop(t.first)
	}
}
