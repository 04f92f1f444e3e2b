// Command benchrelay measures Waypost beside Postfix with OpenDKIM: the same
// messages, made durable, signed with RSA-2048 and relayed on loopback into
// smtp-sink, in one run on one machine.
//
//	make bench-relay N=2000 SIZE=2048 BATCH=1000
//	go run ./test/benchrelay -n 2000 -size 2048 -batch 1000 -rounds 3 -side both
//
// Three contenders take turns, round after round, each freshly installed and
// warmed up: Waypost with calls of BATCH recipients, Waypost with one call a
// message over keep-alive connections, and a private Postfix whose milter is
// OpenDKIM, tuned and fed over SMTP. Waypost is the real binary over SQLite
// and asks a small DNS server in here whether the domain's records exist.
//
// Before the first round a few messages of every contender go into a sink that
// keeps them, and their signatures are verified; a contender that does not
// sign, or not with 2048 bits, is an error and not a result.
//
// The clock runs from the first request to the last message at the sink. CPU
// is what the contender's processes used from the same moment until their
// queue was empty: for Postfix the whole tree below master and OpenDKIM. The
// sink and the injector are in nobody's figure, though they share the cores.
// Memory is the sum of anonymous pages of those processes, sampled four times
// a second. The table gives medians; ratios are ratios of medians.
//
// Everything lives in a directory below -dir, removed at the end. A directory
// in memory makes fsync free and is warned about. The Postfix side needs root,
// postfix and opendkim; the sink is part of Postfix and always needed.
//
// This is a benchmark, not a test: it asserts nothing about speed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// options are the flags.
type options struct {
	n, size, batch   int
	sessions, rounds int
	side, dir        string
	binary, profile  string
	tags             string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchrelay:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("benchrelay", flag.ContinueOnError)
	f.IntVar(&o.n, "n", 2000, "messages a round")
	f.IntVar(&o.size, "size", 2048, "bytes of a message's text")
	f.IntVar(&o.batch, "batch", 1000, "recipients of one call, 1 to 1000")
	f.IntVar(&o.sessions, "sessions", 20, "connections of the injector and SMTP sessions to the sink")
	f.IntVar(&o.rounds, "rounds", 3, "rounds of each contender")
	f.StringVar(&o.side, "side", "both", "waypost, postfix or both")
	f.StringVar(&o.dir, "dir", "", "directory on the disk to measure; the system's temporary one without it")
	f.StringVar(&o.binary, "binary", "", "waypost binary to measure; built from this tree without it")
	f.StringVar(&o.tags, "tags", "", "build tags of the binary, such as openssl, which needs cgo; releases have none")
	f.StringVar(&o.profile, "profile", "", "write a CPU profile of one round of Waypost, run inside this process, to this file; compare nothing")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("%q: there are flags only", f.Arg(0))
	case o.n < 1 || o.rounds < 1 || o.sessions < 1:
		return o, errors.New("-n, -rounds and -sessions must be at least 1")
	case o.batch < 1 || o.batch > 1000:
		return o, errors.New("-batch must be 1 to 1000, as many as one call takes")
	case o.size < minText || o.size > maxText:
		return o, fmt.Errorf("-size must be %d to %d bytes", minText, maxText)
	case o.side != "both" && o.side != "waypost" && o.side != "postfix":
		return o, fmt.Errorf("-side %s: must be waypost, postfix or both", o.side)
	}
	return o, nil
}

// run makes the bench directory, runs every round and prints the result.
func run(ctx context.Context, o options) error {
	if o.profile != "" {
		o.side, o.rounds = "waypost", 1
	}
	programs, err := findPrograms(o.side)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "benchrelay-")
	if err != nil {
		return fmt.Errorf("make the bench directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("bench directory: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // postfix and opendkim drop their rights and must pass
		return fmt.Errorf("open the bench directory to postfix: %w", err)
	}
	m, err := examine(dir)
	if err != nil {
		return err
	}
	fmt.Printf("%d messages of %d bytes a round, %d rounds, %d sessions, signed with RSA-2048, durable\n", o.n, o.size, o.rounds, o.sessions)
	m.print(os.Stdout)
	b := bench{options: o, programs: programs, dir: dir}
	if err := b.build(ctx); err != nil {
		return err
	}
	results, err := b.run(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return err
	}
	if o.profile != "" {
		fmt.Printf("\nCPU profile written; read it with: go tool pprof -top %s\n", o.profile)
		return nil
	}
	report(os.Stdout, results, o.side == "both")
	return nil
}
