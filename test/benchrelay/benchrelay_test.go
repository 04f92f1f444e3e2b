package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const line = "4242 (a) b (c) S 17 4242 4242 0 -1 4194304 90 80 0 0 150 50 30 20 20 0 1 0 1000 0 0"
	got, err := parseStat([]byte(line))
	want := process{pid: 4242, parent: 17, own: 2 * time.Second, reaped: 500 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("parseStat = %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "4242", "4242 (x", "4242 (x) S 17", strings.Replace(line, "17", "x", 1), strings.Replace(line, " 150 ", " ? ", 1)} {
		if p, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parseStat(%q) = %+v, want an error", bad, p)
		}
	}
}

// TestTreeOfOurselves reads the real /proc.
func TestTreeOfOurselves(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no /proc here")
	}
	processes, err := tree([]int{os.Getppid()})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, p := range processes {
		found = found || p.pid == os.Getpid() && p.parent == os.Getppid()
	}
	if !found {
		t.Errorf("the tree below our parent, %+v, has not us, %d", processes, os.Getpid())
	}
	if anonOf([]process{{pid: os.Getpid()}}) <= 0 {
		t.Error("this test has no anonymous memory")
	}
	if _, err := tree([]int{1 << 30}); err == nil {
		t.Error("a process that does not exist has a tree")
	}
}

func TestParseAnon(t *testing.T) {
	for in, want := range map[string]int64{
		"VmRSS:\t    9000 kB\nRssAnon:\t    1234 kB\nRssFile:\t 1 kB\n": 1234 << 10,
		"Name:\tkthreadd\n":   0,
		"x\nRssAnon:\t? kB\n": 0,
	} {
		if got := parseAnon([]byte(in)); got != want {
			t.Errorf("parseAnon(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestParseCount(t *testing.T) {
	for in, want := range map[string]int{"sess=20 quit=3 mesg=1017\r": 1017, "sess=1 quit=0 mesg=0\r": 0, "sess=1 qu": -1, "mesg=\r": -1, "": -1} {
		n, ok := parseCount([]byte(in))
		if ok != (want >= 0) || ok && n != want {
			t.Errorf("parseCount(%q) = %d, %v; want %d", in, n, ok, want)
		}
	}
}

// TestText counts the bytes of texts as they are sent: with CRLF and the
// number.
func TestText(t *testing.T) {
	for _, size := range []int{minText, minText + 1, minText + 2, 101, 163, 500, 2047, 2048, 2049, 20_000} {
		got := strings.ReplaceAll(strings.Replace(text(size, numberField), numberField, number(7), 1), "\n", "\r\n")
		if len(got) != size || !strings.HasSuffix(got, "\r\n") {
			t.Errorf("a text of %d bytes has %d and ends with %q", size, len(got), got[max(0, len(got)-4):])
		}
		for line := range strings.Lines(got) {
			if len(line) > 80 {
				t.Errorf("a text of %d bytes has the line %q", size, line)
			}
		}
	}
}

// TestSameText holds what both sides are given against each other.
func TestSameText(t *testing.T) {
	w := work{first: 3, n: 2, size: 300}
	template := text(w.size, numberField)
	mail := string(w.mail(template, 3, time.Unix(0, 0)))
	_, body, _ := strings.Cut(mail, "\r\n\r\n")
	if len(body) != w.size || !strings.Contains(body, number(3)) {
		t.Errorf("the mail's text has %d bytes:\n%s", len(body), body)
	}
	call, err := w.call(template, 3, 4)
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%q", strings.ReplaceAll(body, "\r\n", "\n")); !strings.Contains(string(call), want) || strings.Contains(string(call), "customFields") {
		t.Errorf("the call\n%s\nhas not the text of the mail\n%s", call, want)
	}
	call, err = w.call(template, 3, 5)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{numberField, recipient(3), recipient(4), `"number":"` + number(4) + `"`} {
		if !strings.Contains(string(call), want) {
			t.Errorf("the call has not %q:\n%s", want, call)
		}
	}
}

func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		in   []float64
		want spread
	}{
		{[]float64{5}, spread{5, 5, 5}},
		{[]float64{9, 1, 2}, spread{2, 1, 9}},
		{[]float64{4, 1, 2, 8}, spread{3, 1, 8}},
	} {
		if got := spreadOf(tc.in); got != tc.want {
			t.Errorf("spreadOf(%v) = %v, want %v", tc.in, got, tc.want)
		}
	}
}

func TestRelayed(t *testing.T) {
	const own = "X-Client-Addr: 127.0.0.1\nX-Rcpt-Args: <a@b.example>\nReceived: from x ([127.0.0.1])\n\tby smtp-sink (smtp-sink) with ESMTP id 7f;\n\tTue, 24 Nov 2026 07:00:00 +0000 (UTC)\n"
	got, err := relayed([]byte(own + "Received: from y\nSubject: s\n\nbody\n\n"))
	if want := "Received: from y\r\nSubject: s\r\n\r\nbody\r\n"; err != nil || string(got) != want {
		t.Errorf("relayed = %q, %v; want %q", got, err, want)
	}
	if got, err := relayed([]byte("Subject: s\n\nbody\n")); err == nil {
		t.Errorf("relayed = %q without the sink's headers", got)
	}
}

func TestFilesystem(t *testing.T) {
	if _, err := os.Stat("/proc/self/mountinfo"); err != nil {
		t.Skip("no /proc here")
	}
	if got := filesystemOf("/proc/self"); got != "proc" {
		t.Errorf("/proc is on %s", got)
	}
}

func TestParseFlags(t *testing.T) {
	if o, err := parse([]string{"-n", "7", "-size", "2048", "-batch", "10"}); err != nil || o.n != 7 || o.batch != 10 || o.rounds != 3 || o.side != "both" {
		t.Errorf("parse = %+v, %v", o, err)
	}
	for _, bad := range []string{"-n 0", "-batch 1001", "-size 10", "-side exim", "more", "-rounds 0"} {
		if o, err := parse(strings.Fields(bad)); err == nil {
			t.Errorf("parse(%q) = %+v, want an error", bad, o)
		}
	}
}
