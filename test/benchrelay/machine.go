package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// machine is what a figure depends on besides the contenders.
type machine struct {
	cores      int
	cpu        string
	load       string // of the last one, five and fifteen minutes
	filesystem string // type of the bench directory's
	fsyncs     float64
}

// examine looks at the machine and the disk of dir.
func examine(dir string) (machine, error) {
	m := machine{cores: runtime.NumCPU(), cpu: cpuName(), filesystem: filesystemOf(dir)}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.load = strings.Join(strings.Fields(string(b))[:3], " ")
	}
	var err error
	m.fsyncs, err = fsyncRate(dir)
	return m, err
}

func (m *machine) print(w io.Writer) {
	fmt.Fprintf(w, "machine: %d cores, %s, load %s; %s, %.0f fsyncs/s of a bare 2 KB append\n", m.cores, m.cpu, m.load, m.filesystem, m.fsyncs)
	if m.filesystem == "tmpfs" || m.filesystem == "ramfs" {
		fmt.Fprintln(w, "WARNING: the bench directory is in memory, where fsync costs nothing; name one on a disk with -dir")
	}
}

func cpuName() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// filesystemOf names the type of the filesystem that holds a directory: that
// of the longest mount point above it.
func filesystemOf(dir string) string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "unknown filesystem"
	}
	defer func() { _ = f.Close() }()
	best, kind := -1, "unknown filesystem"
	for in := bufio.NewScanner(f); in.Scan(); {
		mount, rest, ok := strings.Cut(in.Text(), " - ")
		fields := strings.Fields(mount)
		if !ok || len(fields) < 5 {
			continue
		}
		point := fields[4]
		below := dir == point || strings.HasPrefix(dir, strings.TrimSuffix(point, "/")+"/")
		if below && len(point) >= best {
			best, kind = len(point), strings.Fields(rest)[0]
		}
	}
	return kind
}

// fsyncRate appends 2 KB and syncs, over and over for half a second: how much
// durability costs here without any program.
func fsyncRate(dir string) (float64, error) {
	name := filepath.Join(dir, "fsync")
	f, err := os.Create(name)
	if err != nil {
		return 0, fmt.Errorf("measure fsync: %w", err)
	}
	defer func() { _, _ = f.Close(), os.Remove(name) }()
	block := make([]byte, 2048)
	n, started := 0, time.Now()
	for time.Since(started) < 500*time.Millisecond {
		if _, err := f.Write(block); err != nil {
			return 0, fmt.Errorf("measure fsync: %w", err)
		}
		if err := f.Sync(); err != nil {
			return 0, fmt.Errorf("measure fsync: %w", err)
		}
		n++
	}
	return float64(n) / time.Since(started).Seconds(), nil
}
