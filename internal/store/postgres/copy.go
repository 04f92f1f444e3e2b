package postgres

import (
	"encoding/binary"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// rows holds rows in the binary form of COPY (PostgreSQL manual, COPY, "Binary
// Format"), without the header and trailer around them. Callers encode their
// own rows; the committer only strings them together.
type rows []byte

const (
	copyHeader  = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	copyTrailer = "\xff\xff"
)

// row begins a row of n fields.
func (r *rows) row(n int) { *r = binary.BigEndian.AppendUint16(*r, uint16(n)) }

func (r *rows) size(n int) { *r = binary.BigEndian.AppendUint32(*r, uint32(n)) }

func (r *rows) null() { *r = append(*r, 0xff, 0xff, 0xff, 0xff) }

func (r *rows) int64(v int64) {
	r.size(8)
	*r = binary.BigEndian.AppendUint64(*r, uint64(v))
}

func (r *rows) int32(v int) {
	r.size(4)
	*r = binary.BigEndian.AppendUint32(*r, uint32(int32(v)))
}

func (r *rows) int16(v int16) {
	r.size(2)
	*r = binary.BigEndian.AppendUint16(*r, uint16(v))
}

func (r *rows) bool(v bool) {
	r.size(1)
	if v {
		*r = append(*r, 1)
		return
	}
	*r = append(*r, 0)
}

func (r *rows) uuid(u waypost.UUID) {
	r.size(len(u))
	*r = append(*r, u[:]...)
}

func (r *rows) text(s string) {
	s = clean(s)
	r.size(len(s))
	*r = append(*r, s...)
}

func (r *rows) bytes(b []byte) {
	if b == nil {
		r.null()
		return
	}
	r.size(len(b))
	*r = append(*r, b...)
}

// event adds a row of eventCopy. Its id is set by stamp.
func (r *rows) event(e *waypost.Event, visit string) {
	r.row(21)
	r.int64(0)
	r.bool(e.Evidence)
	r.int64(e.Account)
	r.int64(e.SubAccount)
	r.int64(e.Provider)
	r.uuid(e.Message)
	r.int64(millis(e.At))
	r.int32(e.Code)
	r.int32(e.Attempt)
	r.int16(int16(e.Type))
	r.bool(e.Late)
	r.text(string(e.Source))
	r.text(e.Recipient)
	r.text(e.Enhanced)
	r.text(e.Text)
	r.text(string(e.Reason))
	r.text(e.Rule)
	r.text(string(e.Queue))
	r.text(e.Relay)
	r.int64(e.Facets.Domain)
	r.text(visit)
}

// stamp sets the id of the event row that begins at the offset given.
func (r rows) stamp(at int, id int64) { binary.BigEndian.PutUint64(r[at+6:], uint64(id)) }

// delivery adds a row of deliveryCopy: the event is due for the webhook at
// once. The clock of whoever reported the event may be ahead of ours.
func (r *rows) delivery(webhook int64, e *waypost.Event) {
	created := store.EventTime(e.ID).UnixMilli()
	r.row(6)
	r.int64(e.Account)
	r.int64(webhook)
	r.int64(e.ID)
	r.uuid(e.Message)
	r.int64(created)
	r.int64(min(created, max(millis(e.At), 0)))
}

// attempt adds a row of attemptCopy.
func (r *rows) attempt(a *waypost.Attempt) {
	r.row(10)
	r.uuid(a.Message)
	r.int32(a.N)
	r.int64(a.Provider)
	r.int64(millis(a.At))
	r.int64(int64(a.Took))
	r.int16(int16(a.Result))
	r.text(a.Stage)
	r.int32(a.Code)
	r.text(a.Enhanced)
	r.text(a.Text)
}

// The statements that rows are copied by; the columns are in their order.
const (
	contentCopy = `COPY content (id, account, sub_account, body, own_id) FROM STDIN BINARY`
	messageCopy = `COPY message (id, account, sub_account, content, domain, pool, provider, submitted, mailbox,
recipient, to_name, to_email, cc, variables, groups, own_webhook, folded, bcc) FROM STDIN BINARY`
	queueCopy = `COPY queue (message, account, provider, due, lease, attempt, mailbox, unknown) FROM STDIN BINARY`
	eventCopy = `COPY event (id, evidence, account, sub_account, provider, message, at, code, attempt, type, late,
source, recipient, enhanced, text, reason, rule, queue, relay, domain, visit) FROM STDIN BINARY`
	deliveryCopy = `COPY delivery (account, webhook, event, message, created, due) FROM STDIN BINARY`
	attemptCopy  = `COPY attempt (message, n, provider, at, took, result, stage, code, enhanced, text) FROM STDIN BINARY`
)
