package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// process is what /proc/PID/stat says of one process (proc(5)).
type process struct {
	pid, parent int
	own         time.Duration // user and system time of itself
	reaped      time.Duration // and of children that it has waited for
}

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 on Linux.
const tick = 10 * time.Millisecond

// parseStat reads one stat line. The program's name, in parentheses, may hold
// anything; what counts comes after the last one.
func parseStat(line []byte) (process, error) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 1 || end < open {
		return process{}, fmt.Errorf("%q is no stat line", line)
	}
	fields := append([][]byte{bytes.TrimSpace(line[:open]), nil}, bytes.Fields(line[end+1:])...)
	if len(fields) < 17 {
		return process{}, fmt.Errorf("stat line has %d fields", len(fields))
	}
	var bad error
	field := func(i int) int64 { // numbered from 1, as in proc(5)
		v, err := strconv.ParseInt(string(fields[i-1]), 10, 64)
		if err != nil {
			bad = fmt.Errorf("stat field %d: %w", i, err)
		}
		return v
	}
	p := process{
		pid: int(field(1)), parent: int(field(4)),
		own:    time.Duration(field(14)+field(15)) * tick,
		reaped: time.Duration(field(16)+field(17)) * tick,
	}
	return p, bad
}

// tree reads the processes of the trees below roots.
func tree(roots []int) ([]process, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("read /proc, which this benchmark needs: %w", os.ErrNotExist)
	}
	all := map[int][]process{} // by parent
	var out []process
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err != nil {
			continue // it ended meanwhile
		}
		p, err := parseStat(line)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f, err)
		}
		all[p.parent] = append(all[p.parent], p)
		for _, r := range roots {
			if p.pid == r {
				out = append(out, p)
			}
		}
	}
	if len(out) < len(roots) {
		return nil, fmt.Errorf("of the processes %v only %d live", roots, len(out))
	}
	for i := 0; i < len(out); i++ {
		out = append(out, all[out[i].pid]...)
	}
	return out, nil
}

// cpuOf sums the CPU time that the trees have used so far. The time of a child
// that ended is in its parent's.
func cpuOf(roots []int) (time.Duration, error) {
	processes, err := tree(roots)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, p := range processes {
		sum += p.own + p.reaped
	}
	return sum, nil
}

// anonOf sums the resident anonymous memory of processes, in bytes.
func anonOf(processes []process) int64 {
	var sum int64
	for _, p := range processes {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/status")
		if err == nil {
			sum += parseAnon(status)
		}
	}
	return sum
}

// parseAnon finds RssAnon in /proc/PID/status; 0 when it has none.
func parseAnon(status []byte) int64 {
	_, after, _ := bytes.Cut(status, []byte("\nRssAnon:"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	kb, err := strconv.ParseInt(string(bytes.TrimSpace(bytes.TrimSuffix(line, []byte("kB")))), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

// sampler remembers the most memory that it saw.
type sampler struct {
	quit chan struct{}
	done sync.WaitGroup
	peak int64
}

// lookAgain is after how many samples the tree is walked again: reading all of
// /proc takes milliseconds of the cores that are being measured.
const lookAgain = 8

// sampleMemory samples the trees below roots until stop.
func sampleMemory(roots []int, every time.Duration) *sampler {
	s := &sampler{quit: make(chan struct{})}
	s.done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		var processes []process
		for i := 0; ; i++ {
			if i%lookAgain == 0 {
				if found, err := tree(roots); err == nil {
					processes = found
				}
			}
			s.peak = max(s.peak, anonOf(processes))
			select {
			case <-s.quit:
				return
			case <-tick.C:
			}
		}
	})
	return s
}

// stop ends sampling and returns the peak in bytes.
func (s *sampler) stop() int64 {
	close(s.quit)
	s.done.Wait()
	return s.peak
}
