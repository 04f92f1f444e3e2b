package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// contender is a mail system that relays everything into the sink on a port of
// loopback. Its methods are called in the order of this list.
type contender interface {
	name() string
	// start installs it in an empty directory and returns when it takes mail.
	start(ctx context.Context, dir string, sinkPort int) error
	// send hands in the messages and returns when all were accepted.
	send(ctx context.Context, w work) error
	// queued counts the messages that it has accepted and not finished.
	queued(ctx context.Context) (int, error)
	// processes are the roots of the process trees that do its work.
	processes() []int
	// keyRecord is the TXT record of the DKIM key it signs with, with its name.
	keyRecord() (host, value string)
	// log is the end of what it logged, for error messages.
	log() string
	stop()
}

const (
	warmUp      = 100 // messages before the clock starts
	probes      = 3   // messages whose signature is verified
	stallLimit  = time.Minute
	sampleEvery = 250 * time.Millisecond
)

// bench is one run of the command.
type bench struct {
	options
	programs programs
	dir      string
	rank     int // names the directories of rounds
}

// round is what was measured once.
type round struct {
	took time.Duration
	cpu  time.Duration
	anon int64 // bytes
}

// result is all rounds of a contender.
type result struct {
	name     string
	messages int
	rounds   []round
}

// lineup makes the contenders of a run, new ones for every round.
func (b *bench) lineup() []contender {
	var all []contender
	if b.side != "postfix" {
		batches := []int{b.batch, 1}
		if b.batch == 1 || b.profile != "" {
			batches = batches[:1]
		}
		for _, batch := range batches {
			all = append(all, &waypostServer{binary: b.binary, profile: b.profile, batch: batch, sessions: b.sessions})
		}
	}
	if b.side != "waypost" {
		all = append(all, &postfixServer{programs: b.programs, sessions: b.sessions})
	}
	return all
}

// run verifies every contender once, then lets them take turns.
func (b *bench) run(ctx context.Context) ([]result, error) {
	for _, c := range b.lineup() {
		if err := b.verify(ctx, c); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name(), err)
		}
	}
	var results []result
	for i := range b.rounds {
		for j, c := range b.lineup() {
			r, err := b.measure(ctx, c)
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", c.name(), i+1, err)
			}
			fmt.Printf("round %d  %-34s %7.0f messages/s  %6.2f CPU ms\n", i+1, c.name(), rate(b.n, r.took), perMessage(b.n, r.cpu))
			if i == 0 {
				results = append(results, result{name: c.name(), messages: b.n})
			}
			results[j].rounds = append(results[j].rounds, r)
		}
	}
	return results, nil
}

// place makes the directory of one installation.
func (b *bench) place() (string, error) {
	b.rank++
	dir := filepath.Join(b.dir, fmt.Sprint(b.rank))
	if err := os.Mkdir(dir, 0o755); err != nil { //nolint:gosec // see run
		return "", fmt.Errorf("make a directory: %w", err)
	}
	return dir, nil
}

// verify sends a few messages into a sink that keeps them and looks at their
// signatures.
func (b *bench) verify(ctx context.Context, c contender) error {
	dir, err := b.place()
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := startSink(ctx, b.programs.sink, dir, true)
	if err != nil {
		return err
	}
	defer s.stop()
	defer c.stop()
	if err := c.start(ctx, dir, s.port); err != nil {
		return withLog(err, c)
	}
	if err := deliver(ctx, c, s, work{n: probes, size: b.size}); err != nil {
		return withLog(err, c)
	}
	s.stop() // closes the files
	return verifySignatures(s.dump, c)
}

// measure is one round.
func (b *bench) measure(ctx context.Context, c contender) (round, error) {
	dir, err := b.place()
	if err != nil {
		return round{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := startSink(ctx, b.programs.sink, dir, false)
	if err != nil {
		return round{}, err
	}
	defer s.stop()
	defer c.stop()
	if err := c.start(ctx, dir, s.port); err != nil {
		return round{}, withLog(err, c)
	}
	if err := deliver(ctx, c, s, work{first: b.n, n: warmUp, size: b.size}); err != nil {
		return round{}, withLog(fmt.Errorf("warm-up: %w", err), c)
	}
	r, err := b.timed(ctx, c, s)
	return r, withLog(err, c)
}

func (b *bench) timed(ctx context.Context, c contender, s *sink) (round, error) {
	cpu, err := cpuOf(c.processes())
	if err != nil {
		return round{}, err
	}
	memory := sampleMemory(c.processes(), sampleEvery)
	started := time.Now()
	err = deliver(ctx, c, s, work{n: b.n, size: b.size, timed: true})
	anon := memory.stop()
	if err != nil {
		return round{}, err
	}
	after, err := cpuOf(c.processes())
	if err != nil {
		return round{}, err
	}
	return round{took: s.lastAt().Sub(started), cpu: after - cpu, anon: anon}, nil
}

// deliver sends w and returns when all of it is at the sink and the contender's
// queue is empty.
func deliver(ctx context.Context, c contender, s *sink, w work) error {
	before := s.received()
	if err := c.send(ctx, w); err != nil {
		return fmt.Errorf("hand in messages: %w", err)
	}
	if err := s.await(ctx, before+w.n); err != nil {
		return err
	}
	err := poll(ctx, 50*time.Millisecond, stallLimit, func() (bool, error) {
		n, err := c.queued(ctx)
		return n == 0, err
	})
	if err != nil {
		return fmt.Errorf("wait for an empty queue: %w", err)
	}
	if got := s.received() - before; got != w.n {
		return fmt.Errorf("%d messages were handed in and %d arrived at the sink", w.n, got)
	}
	return nil
}

// withLog adds the end of a contender's log to an error.
func withLog(err error, c contender) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if text := c.log(); text != "" {
		return fmt.Errorf("%w; the end of its log:\n%s", err, text)
	}
	return err
}
