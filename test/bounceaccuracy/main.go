// Command bounceaccuracy measures the bounce reader and judge on a labelled
// corpus and prints a confusion matrix and every miss. The folder is that of
// WAYPOST_CORPUS, or its subfolder bounces: mails/*.eml with
// dsn_labels.jsonl, and replies.jsonl.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/waypost-mail/waypost/internal/bounce"
)

func main() {
	if err := run(os.Stdout, os.Getenv("WAYPOST_CORPUS")); err != nil {
		fmt.Fprintln(os.Stderr, "bounceaccuracy:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, dir string) error {
	if dir == "" {
		return errors.New("set WAYPOST_CORPUS to the folder of a labelled corpus")
	}
	if sub := filepath.Join(dir, "bounces"); exists(sub) {
		dir = sub
	}
	judge, err := bounce.NewJudge()
	if err != nil {
		return err
	}
	if err := mails(w, dir, judge); err != nil {
		return err
	}
	return replies(w, dir, judge)
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// eachLine decodes a file of one JSON document a line.
func eachLine[T any](path string, do func(T) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20)
	for n := 1; lines.Scan(); n++ {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return fmt.Errorf("%s, line %d: %w", path, n, err)
		}
		if err := do(v); err != nil {
			return err
		}
	}
	return lines.Err()
}

type label struct {
	File, Kind string
	Recipients []struct {
		Accept      []string
		Cls, Reason string
		Accepted    []string `json:"status_accept"`
	}
}

// matrix counts what was wanted against what was said.
type matrix map[[2]string]int

func (m matrix) print(w io.Writer, title string) {
	var rows, columns []string
	for k := range m {
		rows, columns = append(rows, k[0]), append(columns, k[1])
	}
	slices.Sort(rows)
	slices.Sort(columns)
	rows, columns = slices.Compact(rows), slices.Compact(columns)
	fmt.Fprintf(w, "\n%s (rows: label, columns: read as)\n%-14s", title, "")
	for _, c := range columns {
		fmt.Fprintf(w, "%12s", c)
	}
	for _, r := range rows {
		fmt.Fprintf(w, "\n%-14s", r)
		for _, c := range columns {
			fmt.Fprintf(w, "%12d", m[[2]string{r, c}])
		}
	}
	fmt.Fprintln(w)
}

// share is the part of a row, or of all for "", that is on the diagonal.
func (m matrix) share(row string) float64 {
	right, all := 0, 0
	for k, n := range m {
		if row == "" || k[0] == row {
			all += n
			if k[0] == k[1] {
				right += n
			}
		}
	}
	return 100 * float64(right) / float64(max(all, 1))
}

// precision is the part of a column that is on the diagonal.
func (m matrix) precision(column string) float64 {
	all := 0
	for k, n := range m {
		if k[1] == column {
			all += n
		}
	}
	return 100 * float64(m[[2]string{column, column}]) / float64(max(all, 1))
}

func word(hard bool) string {
	if hard {
		return "hard"
	}
	return "soft"
}

func mails(w io.Writer, dir string, judge *bounce.Judge) error {
	kinds, verdicts := matrix{}, matrix{}
	named, found := 0, 0
	fmt.Fprintln(w, "misses of mails:")
	err := eachLine(filepath.Join(dir, "dsn_labels.jsonl"), func(l label) error {
		file, err := os.Open(filepath.Join(dir, "mails", l.File))
		if err != nil {
			return err
		}
		rep := bounce.Parse(file, 0)
		_ = file.Close()
		kinds[[2]string{l.Kind, string(rep.Kind)}]++
		if string(rep.Kind) != l.Kind {
			fmt.Fprintf(w, "  kind       %s: %s, read as %s\n", l.File, l.Kind, rep.Kind)
		}
		if l.Kind != string(bounce.KindBounce) {
			return nil
		}
		for _, want := range l.Recipients {
			if want.Cls != "hard" && want.Cls != "soft" {
				continue
			}
			named++
			i := slices.IndexFunc(rep.Recipients, func(r bounce.Recipient) bool {
				return slices.ContainsFunc(want.Accept, func(a string) bool { return strings.EqualFold(a, r.Address) })
			})
			if i < 0 {
				verdicts[[2]string{want.Cls, "not found"}]++
				fmt.Fprintf(w, "  recipient  %s: %s not found\n", l.File, strings.Join(want.Accept, " or "))
				continue
			}
			found++
			v := judge.Judge(rep.Recipients[i].Reply)
			verdicts[[2]string{want.Cls, word(v.Hard)}]++
			if word(v.Hard) != want.Cls {
				fmt.Fprintf(w, "  verdict    %s: %s (%s), judged %s by %s: %.160q\n", l.File, want.Cls, want.Reason, v.Reason, v.Rule, rep.Recipients[i].Reply.Text)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	kinds.print(w, "kinds of mails")
	verdicts.print(w, "recipients of bounces")
	right := verdicts[[2]string{"hard", "hard"}] + verdicts[[2]string{"soft", "soft"}]
	fmt.Fprintf(w, "\nbounces recognised  %6.2f %%   target 98.5\nrecipients right    %6.2f %%   target 95\nhard or soft right  %6.2f %%   target 97; a recipient that was not found is never hard\n  of those found    %6.2f %%\n  not found: wrong  %6.2f %%\nhard precision      %6.2f %%   target 99.5\ndelays as failures  %6d     target 0\n",
		kinds.share("bounce"), 100*float64(found)/float64(max(named, 1)),
		100*float64(right+verdicts[[2]string{"soft", "not found"}])/float64(max(named, 1)), 100*float64(right)/float64(max(found, 1)), verdicts.share(""),
		verdicts.precision("hard"), kinds[[2]string{"delayed", "bounce"}])
	return nil
}

type reply struct {
	Text, Provider, Reason, Cls string
	Grey                        bool
}

func replies(w io.Writer, dir string, judge *bounce.Judge) error {
	all, providers := matrix{}, matrix{}
	fmt.Fprintln(w, "\nmisses of replies:")
	err := eachLine(filepath.Join(dir, "replies.jsonl"), func(r reply) error {
		v := judge.Judge(bounce.Reply{Text: r.Text})
		k := [2]string{r.Cls, word(v.Hard)}
		all[k]++
		if r.Provider != "" {
			providers[k]++
		}
		if k[0] != k[1] {
			fmt.Fprintf(w, "  %s (%s, grey %v), judged %s by %s: %.200q\n", r.Cls, r.Reason, r.Grey, v.Reason, v.Rule, r.Text)
		}
		return nil
	})
	if err != nil {
		return err
	}
	all.print(w, "replies")
	fmt.Fprintf(w, "\nhard or soft right  %6.2f %%   target 97.5\nbalanced            %6.2f %%   target 97\nhard precision      %6.2f %%   target 99.5\nof big providers    %6.2f %%   target 95\n",
		all.share(""), (all.share("hard")+all.share("soft"))/2, all.precision("hard"), providers.share(""))
	return nil
}
