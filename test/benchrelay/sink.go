package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/waypost-mail/waypost/test/ports"
)

// sink is Postfix's smtp-sink: it takes everything and throws it away, and
// reports a running count of messages after every one.
type sink struct {
	*child
	port int
	dump string // directory of the messages of a sink that keeps them

	mu   sync.Mutex
	n    int
	last time.Time // when n was reached
}

// sinkUser is whose rights smtp-sink takes when started by root, as it asks.
const sinkUser = "nobody"

// startSink starts a sink on a free port. One that keeps writes every message
// to a file of its own, which makes it slow.
func startSink(ctx context.Context, program, dir string, keep bool) (*sink, error) {
	port, err := ports.Take(ctx)
	if err != nil {
		return nil, err
	}
	s := &sink{port: port}
	args := []string{"-c", "-4"}
	if os.Geteuid() == 0 {
		args = append(args, "-u", sinkUser)
	}
	if keep {
		s.dump = filepath.Join(dir, "messages")
		if err := os.Mkdir(s.dump, 0o777); err != nil {
			return nil, fmt.Errorf("directory of the sink: %w", err)
		}
		if err := os.Chmod(s.dump, 0o777); err != nil { //nolint:gosec // written by sinkUser
			return nil, fmt.Errorf("directory of the sink: %w", err)
		}
		args = append(args, "-d", "message.")
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	cmd := exec.CommandContext(ctx, program, append(args, addr, "1000")...) //nolint:gosec // found by findPrograms
	cmd.Dir = s.dump
	counts, out, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe of the sink: %w", err)
	}
	cmd.Stdout = out
	s.child, err = startChild(cmd, "smtp-sink", filepath.Join(dir, "sink.log"))
	_ = out.Close()
	if err != nil {
		_ = counts.Close()
		return nil, err
	}
	go s.count(counts)
	if err := awaitListener(ctx, "tcp", addr, s.child); err != nil {
		s.stop()
		return nil, fmt.Errorf("%w\n%s", err, logTail(filepath.Join(dir, "sink.log")))
	}
	return s, nil
}

// count reads the counter until the sink ends.
func (s *sink) count(r io.ReadCloser) {
	defer func() { _ = r.Close() }()
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadSlice('\r')
		if n, ok := parseCount(line); ok {
			s.mu.Lock()
			if n > s.n {
				s.n, s.last = n, time.Now()
			}
			s.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// parseCount finds the number of messages in "sess=3 quit=1 mesg=17\r".
func parseCount(line []byte) (int, bool) {
	_, after, found := bytes.Cut(line, []byte("mesg="))
	if !found {
		return 0, false
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(after)))
	return n, err == nil
}

// received is how many messages have come.
func (s *sink) received() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// lastAt is when the latest message came.
func (s *sink) lastAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// await returns when n messages have come. It fails when none comes for
// stallLimit.
func (s *sink) await(ctx context.Context, n int) error {
	for {
		had := s.received()
		err := poll(ctx, 5*time.Millisecond, stallLimit, func() (bool, error) {
			return s.received() > had || had >= n, s.ended()
		})
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("%d of %d messages arrived, and no more: %w", s.received(), n, err)
		case s.received() >= n:
			return nil
		}
	}
}
