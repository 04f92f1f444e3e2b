// Package maillog makes logs of Postfix of any size for tests and benchmarks.
//
// What it promises. [Write] gives the same bytes for the same [Options], and
// with them the number of events an agent must find. The messages overlap as
// on a busy host: their lines stand between each other's, a deferred message
// comes back after minutes, queue ids are built of microsecond and inode and
// an inode is given to the next message once its message is gone. About six
// lines a message, 140 bytes a line, one line in seven about no message.
//
// Of a hundred messages 85 are delivered at once, 4 bounce, 10 are deferred
// and then delivered or, one in ten of these, given up after some attempts; 1
// has three recipients. It needs memory for the messages in flight only. What
// fails is the writer it is given. It imports internal/mtalog, whose Writer
// gives the lines their shape.
package maillog

import (
	"bufio"
	"container/heap"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/mtalog"
)

// Options say what to write. The zero value of each is a default.
type Options struct {
	Messages int           // 10,000
	Seed     uint64        // another one gives another log of the same kind
	Start    time.Time     // 24 November 2026, 00:00 UTC
	Every    time.Duration // between two messages' arrivals: 2ms
	Form     mtalog.Form
}

// Totals is what was written and what an agent must report of it. Deferrals
// are those with a new reason for their recipient.
type Totals struct {
	Lines, Bytes                              int64
	Delivered, Bounced, SoftBounced, Deferred int64
}

// Events is the number of events in all.
func (t Totals) Events() int64 { return t.Delivered + t.Bounced + t.SoftBounced + t.Deferred }

// Write writes a log.
func Write(out io.Writer, o Options) (Totals, error) {
	if o.Messages == 0 {
		o.Messages = 10_000
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	}
	if o.Every == 0 {
		o.Every = 2 * time.Millisecond
	}
	g := &generator{
		out: bufio.NewWriterSize(out, 256<<10), opts: o, rnd: rand.New(rand.NewPCG(o.Seed, 0x9e3779b97f4a7c15)),
		shape: mtalog.Writer{Host: "mx-out.example.com", Form: o.Form},
	}
	for n := 0; n < o.Messages || len(g.queue) > 0; {
		at := o.Start.Add(time.Duration(n) * o.Every)
		if n < o.Messages && (len(g.queue) == 0 || !at.After(g.queue[0].at)) {
			g.arrive(n, at)
			n++
			continue
		}
		m := g.queue[0]
		if g.step(m); m.stage == gone {
			heap.Pop(&g.queue)
			g.inodes = append(g.inodes, m.inode)
		} else {
			heap.Fix(&g.queue, 0)
		}
	}
	if g.err == nil {
		g.err = g.out.Flush()
	}
	if g.err != nil {
		return g.totals, fmt.Errorf("write generated log: %w", g.err)
	}
	return g.totals, nil
}

type stage uint8

const (
	entering stage = iota
	named
	queued
	trying
	leaving
	gone
)

// message is one that is on its way.
type message struct {
	at       time.Time // of its next line
	number   int
	serial   uint64 // tells apart lines of the same time
	stage    stage
	id       mtalog.QueueID
	inode    int
	sender   string
	messages string // Message-ID
	left     int    // recipients of this attempt still to write
	rcpts    int
	attempts int // still to fail
	fate     fate
	failed   bool // this attempt
	reported bool // its deferrals
}

type fate uint8

const (
	delivered fate = iota
	bounced
	expired
)

type generator struct {
	out    *bufio.Writer
	opts   Options
	rnd    *rand.Rand
	shape  mtalog.Writer
	queue  queue
	inodes []int // free
	made   int   // inodes in all
	serial uint64
	line   []byte
	totals Totals
	err    error
}

func (g *generator) arrive(n int, at time.Time) {
	if len(g.inodes) == 0 {
		g.made++
		g.inodes = append(g.inodes, 0x9EE000+g.made)
	}
	last := len(g.inodes) - 1
	m := &message{at: at, number: n, inode: g.inodes[last], rcpts: 1}
	g.inodes = g.inodes[:last]
	m.id = mtalog.QueueID(fmt.Sprintf("%05X%X", at.Nanosecond()/1000, m.inode))
	u := waypost.UUID{6: 0x70, 8: 0x80, 9: byte(g.opts.Seed)}
	ms := at.UnixMilli()
	for i := range 6 {
		u[i] = byte(ms >> (40 - 8*i))
	}
	for i := range 4 {
		u[12+i] = byte(n >> (24 - 8*i))
	}
	m.sender = waypost.ReturnPath{UUID: u, SubAccount: 4821, Domain: "sp-bounce.sender.example"}.String()
	m.messages = u.String() + "@sp-bounce.sender.example"
	switch draw := g.rnd.IntN(100); {
	case draw < 4:
		m.fate = bounced
	case draw < 14:
		m.attempts = 1 + g.rnd.IntN(4)
		if draw == 13 {
			m.fate = expired
		}
	case draw == 14:
		m.rcpts = 3
	}
	m.serial = g.serial
	g.serial++
	heap.Push(&g.queue, m)
}

func origin(process string, pid int) mtalog.Origin {
	return mtalog.Origin{Tag: "postfix/" + process, PID: pid}
}

// step writes the next line of a message.
func (g *generator) step(m *message) {
	manager := origin("qmgr", 1194)
	g.line = g.line[:0]
	switch m.stage {
	case entering:
		smtpd := origin("smtpd", 21950+m.number%8)
		if m.number%4 == 0 {
			g.plain(m.at, smtpd, "connect from app.customer.example[192.0.2.10]")
		}
		g.line = g.shape.Client(g.line, m.at, smtpd, m.id, "app.customer.example[192.0.2.10]")
		g.next(m, named, 1, 2)
	case named:
		g.line = g.shape.MessageID(g.line, m.at, origin("cleanup", 21970+m.number%8), m.id, m.messages)
		g.next(m, queued, 1, 3)
		if m.number%4 == 3 {
			g.plain(m.at, origin("smtpd", 21950+m.number%8), "disconnect from app.customer.example[192.0.2.10] ehlo=1 mail=4 rcpt=4 data=4 quit=1 commands=14")
		}
	case queued:
		if m.fate == expired && m.attempts == 0 {
			g.line = g.shape.Expired(g.line, m.at, manager, m.id, m.sender)
			g.totals.SoftBounced += int64(m.rcpts)
			g.next(m, leaving, 1, 2)
			break
		}
		g.line = g.shape.Sender(g.line, m.at, manager, m.id, m.sender, int64(1500+m.number%4000), m.rcpts)
		m.left, m.failed = m.rcpts, m.attempts > 0
		g.next(m, trying, 30, 900)
	case trying:
		g.attempt(m)
	case leaving:
		g.line = g.shape.Removed(g.line, m.at, manager, m.id)
		m.stage = gone
	case gone:
	}
	for _, c := range g.line {
		if c == '\n' {
			g.totals.Lines++
		}
	}
	g.totals.Bytes += int64(len(g.line))
	if _, err := g.out.Write(g.line); err != nil && g.err == nil {
		g.err = err
	}
}

// next moves a message on after some milliseconds.
func (g *generator) next(m *message, s stage, least, most int) {
	m.stage = s
	m.at = m.at.Add(time.Duration(least+g.rnd.IntN(most-least+1)) * time.Millisecond)
}

// plain writes a line that is about no message.
func (g *generator) plain(at time.Time, from mtalog.Origin, text string) {
	layout := time.Stamp
	if g.opts.Form == mtalog.RFC3339 {
		layout = "2006-01-02T15:04:05.000000-07:00"
	}
	g.line = append(at.UTC().AppendFormat(g.line, layout), ' ')
	g.line = append(append(append(g.line, g.shape.Host...), ' '), from.Tag...)
	g.line = append(strconv.AppendInt(append(g.line, '['), int64(from.PID), 10), "]: "...)
	g.line = append(append(g.line, text...), '\n')
}

var reasons = [...]struct{ code, text string }{
	{"4.2.1", "host mx2.dest.example[203.0.113.6] said: 450 4.2.1 The user you are trying to contact is receiving mail too quickly (in reply to RCPT TO command)"},
	{"4.7.1", "host mx2.dest.example[203.0.113.6] said: 451 4.7.1 Greylisted, please come back in a while (in reply to RCPT TO command)"},
	{"4.4.1", "connect to mx2.dest.example[203.0.113.6]:25: Connection timed out"},
}

// attempt writes the outcome of one recipient.
func (g *generator) attempt(m *message) {
	m.left--
	d := mtalog.Delivery{
		Queue: m.id, Recipient: "user" + strconv.Itoa(m.number) + "." + strconv.Itoa(m.left) + "@dest.example",
		Relay: "mx1.dest.example[203.0.113.5]:25", ConnUse: m.number % 6,
		Delay:  time.Duration(40+m.number%800) * time.Millisecond,
		Delays: [4]time.Duration{10 * time.Millisecond, 0, 60 * time.Millisecond, 90 * time.Millisecond},
	}
	switch {
	case m.failed:
		why := reasons[m.number%len(reasons)]
		d.Status, d.Enhanced, d.Description, d.Relay = "deferred", why.code, why.text, "mx2.dest.example[203.0.113.6]:25"
		if !m.reported {
			g.totals.Deferred++
		}
	case m.fate == bounced:
		d.Status, d.Enhanced = "bounced", "5.1.1"
		d.Description = "host mx1.dest.example[203.0.113.5] said: 550 5.1.1 <" + d.Recipient + ">: Recipient address rejected: User unknown (in reply to RCPT TO command)"
		g.totals.Bounced++
	default:
		d.Status, d.Enhanced = "sent", "2.0.0"
		d.Description = "250 2.0.0 OK 17640" + strconv.Itoa(m.number) + " d9443c01a7336-dest.17954 - mx"
		g.totals.Delivered++
	}
	g.line = g.shape.Delivery(g.line, m.at, origin("smtp", 22200+m.number%20), d)
	switch {
	case m.left > 0:
		g.next(m, trying, 1, 40)
	case m.failed:
		m.reported = true
		m.attempts--
		g.next(m, queued, 300_000, 1_200_000)
	default:
		g.next(m, leaving, 0, 2)
	}
}

// queue orders messages by the time of their next line.
type queue []*message

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].serial < q[j].serial
	}
	return q[i].at.Before(q[j].at)
}
func (q *queue) Push(x any) { *q = append(*q, x.(*message)) }
func (q *queue) Pop() any {
	m := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return m
}
