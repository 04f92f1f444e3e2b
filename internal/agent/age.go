package agent

// push makes e the youngest.
func (t *table) push(e *entry) {
	e.older, e.younger = t.last, 0
	if last := t.at(t.last); last != nil {
		last.younger = e.number + 1
	} else {
		t.first = e.number + 1
	}
	t.last = e.number + 1
}

// cut takes e out of the order of age.
func (t *table) cut(e *entry) {
	if older := t.at(e.older); older != nil {
		older.younger = e.younger
	} else {
		t.first = e.younger
	}
	if younger := t.at(e.younger); younger != nil {
		younger.older = e.older
	} else {
		t.last = e.older
	}
	e.older, e.younger = 0, 0
}

// hear notes that there was a line about e, at a time that never goes back.
func (t *table) hear(e *entry, now int64) {
	if now-e.heard >= hearing {
		t.heard(e, now)
	}
}

func (t *table) heard(e *entry, now int64) {
	e.heard = now
	if t.last != e.number+1 {
		t.cut(e)
		t.push(e)
	}
}

const maxGone = 512 // removed ids that wait to be forgotten

// leaving is the removed ids that wait to be forgotten, in a ring.
type leaving struct {
	ring [maxGone]goneID
	from uint32 // the first of them
	len  uint32

	// Of no meaning: computing it fetches both halves of the next entry to be
	// forgotten into the processor's cache, long before its turn comes.
	ahead uint32
}

type goneID struct {
	number, serial uint32 // of the entry; another serial means that it is used again
	at             int64  // microseconds since 1970
}

// leave puts a removed id among those that wait; the one that waits longest
// makes room when there is none.
func (t *table) leave(e *entry, at int64) {
	if t.gone.len == maxGone {
		t.forget()
	}
	t.gone.ring[(t.gone.from+t.gone.len)%maxGone] = goneID{e.number, e.serial, at}
	t.gone.len++
}

// forget drops the id that waits for longest.
func (t *table) forget() {
	g := t.gone.ring[t.gone.from%maxGone]
	t.gone.from++
	t.gone.len--
	if e := t.entry(g.number); e.serial == g.serial && e.gone {
		t.drop(e)
	}
	next := t.entry(t.gone.ring[t.gone.from%maxGone].number)
	t.gone.ahead = next.deferred ^ next.serial
}

// sweep forgets ids removed before gone and ids not heard of since stale.
// Both are microseconds since 1970.
func (t *table) sweep(gone, stale int64) {
	for t.gone.len > 0 && t.gone.ring[t.gone.from%maxGone].at < gone {
		t.forget()
	}
	for e := t.oldest(); e != nil && e.heard < stale; e = t.oldest() {
		t.drop(e)
	}
}
