package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-smtp"
)

// mostMemory is what a server may take for a call with 1,000 recipients and 20 MB
// of files, and while it relays them.
const mostMemory = 200 << 20

// TestMemoryOfALargeCall makes that call to a real server process, has it relay
// a part of the messages, and looks at the most memory that the process had.
func TestMemoryOfALargeCall(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector needs memory of its own")
	}
	const relayed = 16
	ns, hole := newZone(t), newHole(t)
	s := install(t, "")
	s.serve(t, ns.addr())
	provider := providerAt("hole", hole.port)
	provider["maxRatePerHour"], provider["burst"] = relayed, true
	s.get(t, s.asAccount("POST", "/api/v1/account/tpsp/", provider), &tpsp{})
	s.addDomain(t, ns)
	before := s.proc.peak(t)

	random := rand.New(rand.NewPCG(1, 2))
	var files []m
	for i := range 4 {
		data := make([]byte, 5<<20)
		for j := range data {
			data[j] = byte(random.Uint32())
		}
		files = append(files, m{"filename": fmt.Sprintf("%d.bin", i), "content": base64.StdEncoding.EncodeToString(data)})
	}
	var to []m
	for i := range 1000 {
		to = append(to, m{"email": fmt.Sprintf("reader-%d@people.example", i), "name": "Reader", "customFields": m{"n": i}})
	}
	body := letter("hole", "x@people.example")
	body["to"], body["attachments"], body["htmlBody"] = to, files, "<p>Hello {{n}}</p>"
	if answers := s.send(t, body); len(answers) != 1000 || answers[999].ErrorCode != 0 {
		t.Fatalf("%d answers, the last %+v", len(answers), answers[len(answers)-1])
	}
	accepted := s.proc.peak(t)
	eventually(t, "the first messages to be relayed", waitMail, func() bool { return hole.messages.Load() >= relayed })
	after := s.proc.peak(t)
	t.Logf("most memory of the process: %d MB at rest, %d MB when the call was accepted, %d MB when %d messages of %d MB were relayed",
		before>>20, accepted>>20, after>>20, relayed, hole.bytes.Load()/relayed>>20)
	if after > mostMemory {
		t.Errorf("more than %d MB", mostMemory>>20)
	}
}

// peak is the most memory that a process ever had resident, in bytes.
func (p *process) peak(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := bytes.Cut(status, []byte("VmHWM:"))
	fields := strings.Fields(string(rest))
	if !ok || len(fields) < 2 || fields[1] != "kB" {
		t.Fatalf("no VmHWM in %s", status)
	}
	n, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// hole is a mail server that takes everything and keeps nothing.
type hole struct {
	port     int
	messages atomic.Int64
	bytes    atomic.Int64
}

func newHole(t testing.TB) *hole {
	t.Helper()
	h := &hole{port: freePort(t)}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &holeSession{h}, nil }))
	server.Domain, server.MaxMessageBytes, server.ErrorLog = "hole.example", 64<<20, silent{}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", loopback(h.port))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		running.Wait()
	})
	return h
}

type holeSession struct{ *hole }

func (*holeSession) Mail(string, *smtp.MailOptions) error { return nil }
func (*holeSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (*holeSession) Reset()                               {}
func (*holeSession) Logout() error                        { return nil }

func (s *holeSession) Data(r io.Reader) error {
	n, err := io.Copy(io.Discard, r)
	if err == nil && n > 1<<20 { // not the connection test
		s.bytes.Add(n)
		s.messages.Add(1)
	}
	return err
}

// TestMemoryOfManyCalls hands in calls with a file of their own each, one after
// another and then several at once, while what was accepted is relayed.
func TestMemoryOfManyCalls(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector needs memory of its own")
	}
	const calls, callers, file = 20, 8, 10 << 20
	ns, hole := newZone(t), newHole(t)
	s := install(t, "")
	s.serve(t, ns.addr())
	provider := providerAt("hole", hole.port)
	provider["maxRatePerHour"], provider["burst"] = 1_000_000, true
	s.get(t, s.asAccount("POST", "/api/v1/account/tpsp/", provider), &tpsp{})
	s.addDomain(t, ns)
	data := make([]byte, file)
	random := rand.New(rand.NewPCG(3, 4))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	body := letter("hole", "x@people.example")
	body["attachments"] = []m{{"filename": "a.bin", "content": base64.StdEncoding.EncodeToString(data)}}
	for range calls {
		s.send(t, body)
	}
	row := s.proc.peak(t)
	var work sync.WaitGroup
	for range callers {
		work.Go(func() {
			for range 2 {
				s.send(t, body)
			}
		})
	}
	work.Wait()
	eventually(t, "all messages to be relayed", waitMail, func() bool { return hole.messages.Load() >= calls+2*callers })
	after := s.proc.peak(t)
	t.Logf("most memory of the process: %d MB after %d calls in a row, %d MB after %d callers at once", row>>20, calls, after>>20, callers)
	// Twenty in a row come to 200 MB, eight callers to a little more; a bound
	// that a late garbage collection passes would say nothing.
	if most := mostMemory * 3 / 2; after > most {
		t.Errorf("more than %d MB", most>>20)
	}
}
