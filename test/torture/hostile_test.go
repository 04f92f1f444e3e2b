package torture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/smtp" //nolint:depguard // a sender that shares nothing with ours
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/waypost-mail/waypost"
)

const (
	// mostResident is what the server may hold of memory, in MiB, however many
	// strangers are at its doors. It is judged at the full count: a machine of
	// many processors has its own idea of how much a heap may grow at first.
	mostResident, fullCount = 256, 10_000
	// holding is for how long a hostile HTTP client stays at it.
	holding = 15 * time.Second
	// atOnce are the SMTP sessions of the drill that are open at a time: far
	// more than the server takes.
	atOnce = 600
)

// TestHostile has strangers misuse all doors of a server at once, from as many
// addresses as they like, while mail flows: sessions of SMTP that say nothing,
// too much or the wrong thing, and clients of HTTP that never come to an end.
func TestHostile(t *testing.T) {
	t.Parallel()
	reports, mails := port(t), port(t)
	w := newWorld(t, "", 1, 0, "", "--smtp", reports, "--submission", mails)
	stop := w.send(t)
	w.busy(t, 0)
	before := w.nodes[0].memory(t)

	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	s := &strangers{n: *hostiles, doors: []string{reports, mails}, page: w.addrs[0]}
	accepted, offered := w.load.count(), w.relay.offered.Load()
	var crowd sync.WaitGroup
	crowd.Go(func() { s.mail(ctx) })
	crowd.Go(func() { s.browse(ctx) })
	done := make(chan struct{})
	go func() { crowd.Wait(); close(done) }()

	eventually(t, "strangers at the doors", func() bool { return s.browsing.Load()+s.browsed.Load() >= int64(*hostiles)/2 })
	w.busy(t, 0) // calls are taken
	w.busy(t, 1) // and messages offered to the mail server
	w.bounced(t, reports)
	select {
	case <-done:
	case <-time.After(patience):
		leave()
		<-done
	}
	w.busy(t, 0)
	stop()
	peak := w.nodes[0].memory(t)
	if *hostiles >= fullCount && peak.peak > mostResident {
		t.Errorf("the server held %d MiB of memory; at most %d", peak.peak, mostResident)
	}
	r := &report{name: fmt.Sprintf("%d hostile sessions of SMTP and %d hostile clients of HTTP while mail flows", *hostiles, *hostiles)}
	r.add("sessions of SMTP", "%d, of them %d let in", s.sessions.Load(), s.greeted.Load())
	r.add("clients of HTTP", "%d, at most %d at once; %d answers", s.browsed.Load(), s.most.Load(), s.answers.Load())
	r.add("mail meanwhile", "%d messages accepted, %d offered", w.load.count()-accepted, w.relay.offered.Load()-offered)
	r.add("memory of the server", "%d MiB before, %d MiB at most, %d MiB after", before.now, peak.peak, peak.now)
	w.audit(t, r, 0)
	w.nodes[0].stop(t)
	w.whole(t, r)
	r.print(t)
}

// bounced delivers a genuine report as a mail server does: it comes again when
// it is told to.
func (w *world) bounced(t *testing.T, door string) {
	t.Helper()
	id, to := "", ""
	w.load.mu.Lock()
	for id, to = range w.load.accepted {
		if strings.HasPrefix(to, "hardbounce") && w.load.seen[id] {
			break
		}
	}
	w.load.mu.Unlock()
	uuid, err := waypost.ParseUUID(id)
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ SubAccountID int64 }
	w.must(t, http.MethodGet, "/account/message/"+id, nil, &m)
	path := waypost.ReturnPath{UUID: uuid, SubAccount: m.SubAccountID, Domain: waypost.BounceLabel + "." + sender}.String()
	dsn := strings.ReplaceAll(fmt.Sprintf(`From: MAILER-DAEMON@people.example
To: %s
Subject: Undelivered
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; people.example

Final-Recipient: rfc822; %s
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b--
`, path, to), "\n", "\r\n")
	w.told++
	var last error
	if !within(t.Context(), func() bool { last = deliver(t.Context(), door, path, dsn); return last == nil }) {
		t.Errorf("a genuine report to %s is not taken: %v", path, last)
	}
}

// deliver gives a report to a listener in one session.
func deliver(ctx context.Context, door, path, dsn string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", door)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(patience))
	c, err := smtp.NewClient(conn, bounceHost)
	if err != nil {
		return err
	}
	if err := errors.Join(c.Mail(""), c.Rcpt(path)); err != nil {
		return err
	}
	body, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(body, dsn); err != nil {
		return err
	}
	return body.Close() // has read the reply
}

// strangers are those at the doors.
type strangers struct {
	n     int
	doors []string // of SMTP
	page  string   // of HTTP

	sessions, greeted                atomic.Int64
	browsing, most, browsed, answers atomic.Int64
}

// dial comes from an address of its own.
func (s *strangers) dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, byte(1+rand.IntN(200)), byte(rand.IntN(250)), byte(1+rand.IntN(250)))}}
	return d.DialContext(ctx, "tcp", addr)
}

// sayings are what hostile sessions of SMTP say.
var sayings = []string{
	"", "EHLO ", "\x00\x00\x00\x00", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"EHLO x\nMAIL FROM:<>\n", "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n.\r\n.\r\n",
	"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n", "EHLO " + strings.Repeat("x", 200<<10) + "\r\n",
	"EHLO x\r\n" + strings.Repeat("NOOP\r\n", 5000), "EHLO x\r\n" + strings.Repeat("RSET\r\nMAIL FROM:<>\r\n", 2000),
	"EHLO x\r\nMAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<"+strings.Repeat("a", 300)+"@b.example>\r\n", 300),
	"EHLO x\r\nMAIL FROM:<> SIZE=99999999999999999999\r\nBDAT 4294967295\r\n" + strings.Repeat("x", 64<<10),
	"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster@" + bounceHost + ">\r\nDATA\r\n" + strings.Repeat("x", 300<<10),
	"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<abuse@" + bounceHost + ">\r\nDATA\r\n" + strings.Repeat("Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n", 4000) + "\r\n.\r\n",
	"EHLO x\r\nAUTH PLAIN " + strings.Repeat("A", 12<<10) + "\r\n", "EHLO x\r\nAUTH LOGIN\r\n" + strings.Repeat("====\r\n", 100),
	"EHLO x\r\nMAIL FROM:<a\u2028b@c.example> BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<bounces+x+1@" + bounceHost + ">\r\nQUIT\r\n",
}

// mail opens session after session, many at a time.
func (s *strangers) mail(ctx context.Context) {
	var left atomic.Int64
	left.Store(int64(s.n))
	var open sync.WaitGroup
	for range min(atOnce, s.n) {
		open.Go(func() {
			for i := left.Add(-1); i >= 0 && ctx.Err() == nil; i = left.Add(-1) {
				s.session(ctx, s.doors[i%2], sayings[rand.IntN(len(sayings))])
				s.sessions.Add(1)
			}
		})
	}
	open.Wait()
}

// session says something and stays for a while, or until it is sent away.
func (s *strangers) session(ctx context.Context, door, text string) {
	c, err := s.dial(ctx, door)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	_ = c.SetDeadline(time.Now().Add(time.Second + rand.N(2*time.Second)))
	banner := make([]byte, 512)
	if n, err := c.Read(banner); err != nil || !bytes.HasPrefix(banner[:n], []byte("220")) {
		return
	}
	s.greeted.Add(1)
	if _, err := io.WriteString(c, text); err == nil && rand.IntN(3) > 0 { // one in three reads nothing
		_, _ = io.Copy(io.Discard, c)
	}
	for ctx.Err() == nil { // and says nothing more
		pause := time.NewTimer(100 * time.Millisecond)
		<-pause.C
		if _, err := c.Write(nil); err != nil {
			return
		}
		if _, err := c.Read(banner[:1]); err != nil {
			return // the time is up, or the server ended it
		}
	}
}

// requests are what hostile clients of HTTP send at once; drip is what they go
// on with, a byte at a time, and read whether they read.
var requests = []struct {
	text, drip string
	read       bool
}{
	{"", "", true},
	{"G", "ET /healthz HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 100), true},
	{"GET /healthz HTTP/1.1\r\nHost: x\r\n", strings.Repeat("X-A: b\r\n", 100), true},
	{"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000\r\n\r\nemail=", strings.Repeat("a", 100), true},
	{"POST /api/v1/subaccount/email HTTP/1.1\r\nHost: x\r\nX-SubAccount-ApiKey: wps_none\r\nContent-Length: 60000000\r\n\r\n{", strings.Repeat(" ", 100), true},
	{"POST /track/tpsp/none HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n", strings.Repeat("a", 100), true},
	{"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + strings.Repeat("\x00\xff", 500), "", true},
	{strings.Repeat("GET /docs/api HTTP/1.1\r\nHost: x\r\n\r\n", 200), "", false},
	{strings.Repeat("GET /login HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n", 50), "", false},
	{"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 100<<10) + "\r\n\r\n", "", true},
	{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", strings.Repeat("\x00", 100), true},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", strings.Repeat("\x00", 100), true},
	{"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", true},
}

// browse has all clients at the door at once.
func (s *strangers) browse(ctx context.Context) {
	var open sync.WaitGroup
	for i := range s.n {
		open.Go(func() { s.client(ctx, i) })
		if i%100 == 99 { // a wave at a time: the queue of a listener is short
			pause := time.NewTimer(20 * time.Millisecond)
			<-pause.C
		}
	}
	open.Wait()
}

func (s *strangers) client(ctx context.Context, i int) {
	c, err := s.dial(ctx, s.page)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	now := s.browsing.Add(1)
	for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
	}
	defer s.browsed.Add(1)
	defer s.browsing.Add(-1)
	r := &requests[i%len(requests)]
	ends := time.Now().Add(holding + rand.N(holding/5))
	_ = c.SetDeadline(ends)
	if _, err := io.WriteString(c, r.text); err != nil {
		return
	}
	if r.read {
		go func() { // until the connection is closed
			b := make([]byte, 16)
			if n, _ := c.Read(b); n > 0 {
				s.answers.Add(1)
				_, _ = io.Copy(io.Discard, c)
			}
		}()
	}
	for j := 0; time.Now().Before(ends) && ctx.Err() == nil; j++ {
		pause := time.NewTimer(time.Second)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
		if j < len(r.drip) {
			if _, err := c.Write([]byte{r.drip[j]}); err != nil {
				return
			}
		}
	}
}

// resident is what a program holds of memory, in MiB.
type resident struct{ now, peak int }

var residentLine = regexp.MustCompile(`Vm(RSS|HWM):\s+(\d+) kB`)

// memory reads what a program holds; zero where the system does not tell.
func (p *program) memory(t *testing.T) (r resident) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if errors.Is(err, os.ErrNotExist) {
		return r
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range residentLine.FindAllStringSubmatch(string(b), -1) {
		kB, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		if m[1] == "RSS" {
			r.now = kB >> 10
		} else {
			r.peak = kB >> 10
		}
	}
	return r
}
