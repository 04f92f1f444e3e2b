package postgres

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// fact is a store.Fact with its texts made storable.
type fact struct {
	store.Fact
	answer *store.Recorded // in op.recorded
}

// Record hands its facts to the committer of settlements.
func (d *DB) Record(ctx context.Context, facts []store.Fact) ([]store.Recorded, error) {
	if len(facts) == 0 {
		return nil, ctx.Err()
	}
	o := &op{act: "record facts", size: 400 * len(facts), facts: storable(facts)}
	if err := d.settles.do(ctx, o); err != nil {
		return nil, err
	}
	return o.recorded, nil
}

// storable makes the texts of facts storable.
func storable(facts []store.Fact) []fact {
	out := make([]fact, len(facts))
	for i, f := range facts {
		f.Key, f.Once, f.First = clean(f.Key), clean(f.Once), clean(f.First)
		if f.Deferral {
			f.Once, f.Suppress = "", nil
		}
		if f.Suppress != nil {
			s := *f.Suppress
			s.Email = clean(s.Email)
			f.Suppress = &s
		}
		out[i] = fact{Fact: f}
	}
	return out
}

// record judges the facts of a group in their order and queues what they
// store. It gives ops that hold the events.
func (d *DB) record(ctx context.Context, t *tx, group []*op) ([]*op, error) {
	var all []*fact
	for _, o := range group {
		if len(o.facts) > 0 {
			o.recorded = make([]store.Recorded, len(o.facts))
		}
		for i := range o.facts {
			o.facts[i].answer = &o.recorded[i]
			all = append(all, &o.facts[i])
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	first, err := t.judge(ctx, all)
	if err != nil {
		return nil, err
	}
	sent, err := t.relayed(ctx, all)
	if err != nil {
		return nil, err
	}
	out := &op{}
	for _, f := range all {
		if *f.answer == store.Duplicate {
			continue
		}
		if e, ok := sent[f.Event.Message]; ok && f.Relayed {
			delete(sent, f.Event.Message)
			if err := out.addEvent(proven(e, f)); err != nil {
				return nil, err
			}
		}
		if f.Deferral {
			continue
		}
		e := f.Event
		e.Evidence = e.Evidence || *f.answer == store.Evidence
		if e.Visit != nil {
			v := *e.Visit
			v.First = first[f]
			e.Visit = &v
		}
		if err := out.addEvent(&e); err != nil {
			return nil, err
		}
	}
	d.enter(t, out)
	t.queueDeferrals(all)
	t.queueSuppressions(all)
	return []*op{out}, nil
}

// proven completes the CSSent of a message by the fact that proves it.
func proven(e waypost.Event, f *fact) *waypost.Event {
	e.At, e.Source, e.Queue, e.Relay = f.Event.At, f.Event.Source, f.Event.Queue, f.Event.Relay
	if e.Source == "" {
		e.Source = waypost.SourceAgent
	}
	return &e
}

// The kinds of fact_key.
const (
	keyFact  = 1
	keyOnce  = 2
	keyFirst = 3
)

// judge answers for each fact whether it is new, a duplicate or evidence, and
// gives those of a visit that are the first to carry their key.
func (t *tx) judge(ctx context.Context, all []*fact) (first map[*fact]bool, err error) {
	fresh, err := t.claimKeys(ctx, all, keyFact, func(f *fact) string { return f.Key })
	if err != nil {
		return nil, err
	}
	var news, visits []*fact
	for _, f := range all {
		*f.answer = store.Duplicate
		if f.Key == "" || fresh[f] {
			*f.answer = store.Stored
			news = append(news, f)
		}
	}
	fresh, err = t.claimKeys(ctx, news, keyOnce, func(f *fact) string { return f.Once })
	if err != nil {
		return nil, err
	}
	for _, f := range news {
		switch {
		case f.Once != "" && !fresh[f]:
			*f.answer = store.Evidence
		case f.Event.Visit != nil && !f.Event.Evidence && !f.Deferral:
			visits = append(visits, f)
		}
	}
	return t.claimKeys(ctx, visits, keyFirst, func(f *fact) string { return f.First })
}

const addKeys = `INSERT INTO fact_key (message, kind, key)
SELECT message, $3, key FROM unnest($1::uuid[], $2::text[]) AS v(message, key)
ON CONFLICT DO NOTHING RETURNING message, key`

type factKey struct {
	message waypost.UUID
	key     string
}

// claimKeys stores the keys of facts and gives the facts that brought a new
// one: of several with the same key, the first.
func (t *tx) claimKeys(ctx context.Context, all []*fact, kind int16, key func(*fact) string) (map[*fact]bool, error) {
	byKey := map[factKey]*fact{}
	var keys []factKey
	for _, f := range all {
		k := factKey{f.Event.Message, key(f)}
		if k.key != "" && byKey[k] == nil {
			byKey[k] = f
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	slices.SortFunc(keys, func(a, b factKey) int {
		return cmp.Or(bytes.Compare(a.message[:], b.message[:]), cmp.Compare(a.key, b.key))
	})
	messages, texts := make([]pgtype.UUID, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		messages[i], texts[i] = pgtype.UUID{Bytes: k.message, Valid: true}, k.key
	}
	rows, err := t.conn.Query(ctx, addKeys, messages, texts, kind)
	if err != nil {
		return nil, err
	}
	fresh := map[*fact]bool{}
	var k factKey
	_, err = pgx.ForEachRow(rows, []any{into(&k.message), &k.key}, func() error {
		fresh[byKey[k]] = true
		return nil
	})
	return fresh, err
}

// finishProven deletes the rows of messages that the provider has taken, says
// evidence of the time given: those whose last attempt is unknown, and those
// whose last attempt, or claim when somebody holds or held them, or acceptance
// came before it. Who claimed such a row has died, or is told by Settle that it
// is no longer held.
const finishProven = `DELETE FROM queue q USING unnest($1::uuid[], $2::bigint[]) AS v(message, at), message m
WHERE q.message = v.message AND m.id = q.message AND (q.unknown OR v.at > CASE WHEN q.lease <> 0 THEN q.claimed
  ELSE coalesce((SELECT max(a.at) FROM attempt a WHERE a.message = q.message), m.submitted) END)
RETURNING m.id, m.account, m.sub_account, q.provider, m.recipient, q.attempt, ` + facetColumns

// relayed finishes the messages that facts prove to have been taken, and gives
// their CSSent.
func (t *tx) relayed(ctx context.Context, all []*fact) (map[waypost.UUID]waypost.Event, error) {
	latest := map[waypost.UUID]int64{}
	for _, f := range all {
		if f.Relayed && *f.answer != store.Duplicate {
			latest[f.Event.Message] = max(latest[f.Event.Message], millis(f.Event.At))
		}
	}
	if len(latest) == 0 {
		return nil, nil
	}
	ids := make([]pgtype.UUID, 0, len(latest))
	for id := range latest {
		ids = append(ids, pgtype.UUID{Bytes: id, Valid: true})
	}
	slices.SortFunc(ids, func(a, b pgtype.UUID) int { return bytes.Compare(a.Bytes[:], b.Bytes[:]) })
	ats := make([]int64, len(ids))
	for i, id := range ids {
		ats[i] = latest[id.Bytes]
	}
	rows, err := t.conn.Query(ctx, finishProven, ids, ats)
	if err != nil {
		return nil, err
	}
	out := map[waypost.UUID]waypost.Event{}
	e := waypost.Event{Type: waypost.CSSent}
	var r facetRow
	dest := append([]any{into(&e.Message), &e.Account, &e.SubAccount, &e.Provider, &e.Recipient, &e.Attempt}, r.dest()...)
	_, err = pgx.ForEachRow(rows, dest, func() error {
		var err error
		e.Facets, err = r.value()
		out[e.Message] = e
		return err
	})
	return out, err
}

const addDeferrals = `INSERT INTO deferral (message, at, code, enhanced, text, count)
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::int[], $4::text[], $5::text[], $6::bigint[])
ON CONFLICT (message) DO UPDATE SET at = excluded.at, code = excluded.code, enhanced = excluded.enhanced,
  text = excluded.text, count = deferral.count + excluded.count`

// queueDeferrals notes the last deferral of each message, and how many came.
func (t *tx) queueDeferrals(all []*fact) {
	last, count := map[waypost.UUID]*fact{}, map[waypost.UUID]int64{}
	for _, f := range all {
		if f.Deferral && *f.answer == store.Stored {
			last[f.Event.Message] = f
			count[f.Event.Message]++
		}
	}
	if len(last) == 0 {
		return
	}
	var messages []pgtype.UUID
	for id := range last {
		messages = append(messages, pgtype.UUID{Bytes: id, Valid: true})
	}
	slices.SortFunc(messages, func(a, b pgtype.UUID) int { return bytes.Compare(a.Bytes[:], b.Bytes[:]) })
	var ats, n []int64
	var codes []int32
	var enhanced, texts []string
	for _, id := range messages {
		e := &last[id.Bytes].Event
		ats, n = append(ats, millis(e.At)), append(n, count[id.Bytes])
		codes = append(codes, int32(e.Code))
		enhanced, texts = append(enhanced, clean(e.Enhanced)), append(texts, clean(e.Text))
	}
	t.queue(addDeferrals, messages, ats, codes, enhanced, texts, n)
}

// queueSuppressions adds the addresses that come with stored events.
func (t *tx) queueSuppressions(all []*fact) {
	var list []waypost.Suppression
	for _, f := range all {
		if f.Suppress != nil && *f.answer == store.Stored {
			list = append(list, *f.Suppress)
		}
	}
	if len(list) > 0 {
		t.queue(addSuppressions, suppressionArgs(list)...)
	}
}
