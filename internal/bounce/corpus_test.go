package bounce

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/waypost-mail/waypost"
)

// corpus gives the folder of labelled replies, or skips the test.
func corpus(t *testing.T) string {
	t.Helper()
	dir := cmp.Or(os.Getenv("WAYPOST_CORPUS"), "../../../shared/corpus")
	dir = filepath.Join(dir, "bounces")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the bounce corpus is absent; set WAYPOST_CORPUS to its folder")
	}
	return dir
}

type labelled struct {
	Text, Provider, Reason, Cls string
	Grey                        bool
}

func labelledReplies(t *testing.T) []labelled {
	t.Helper()
	file, err := os.Open(filepath.Join(corpus(t), "replies.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out []labelled
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l labelled
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// corpusClass gives the corpus' name of a reason.
func corpusClass(r waypost.Reason) string {
	switch r {
	case MailboxUnknown:
		return "user_unknown"
	case SenderRejected, LoginRequired, TLSRequired:
		return "policy"
	case Virus:
		return "spam"
	case Greylisted:
		return "rate_limited"
	case Loop:
		return "network"
	default:
		return string(r)
	}
}

type tally struct{ hardRight, hardWrong, softRight, softWrong int }

func (c *tally) add(want, got bool) {
	switch {
	case want && got:
		c.hardRight++
	case want:
		c.hardWrong++
	case got:
		c.softWrong++
	default:
		c.softRight++
	}
}

func ratio(n, of int) float64 { return float64(n) / float64(max(of, 1)) }

func (c *tally) accuracy() float64 {
	return ratio(c.hardRight+c.softRight, c.hardRight+c.hardWrong+c.softRight+c.softWrong)
}

func (c *tally) balanced() float64 {
	return (ratio(c.hardRight, c.hardRight+c.hardWrong) + ratio(c.softRight, c.softRight+c.softWrong)) / 2
}

func (c *tally) precision() float64 { return ratio(c.hardRight, c.hardRight+c.softWrong) }

func TestCorpusReplies(t *testing.T) {
	j := newJudge(t)
	var all, clear, provider tally
	reasons := make(map[string]int)
	right := 0
	replies := labelledReplies(t)
	for _, l := range replies {
		v := j.Judge(Reply{Text: l.Text})
		want := l.Cls == "hard"
		all.add(want, v.Hard)
		if !l.Grey {
			clear.add(want, v.Hard)
		}
		if l.Provider != "" {
			provider.add(want, v.Hard)
		}
		if class := corpusClass(v.Reason); class == l.Reason {
			right++
		} else {
			reasons[l.Reason+" as "+class]++
		}
		if want != v.Hard {
			t.Logf("miss: %s (grey %v), judged %s by %s: %.200q", l.Reason, l.Grey, v.Reason, v.Rule, l.Text)
		}
	}
	for _, c := range []struct {
		name string
		t    *tally
	}{{"all", &all}, {"not grey", &clear}, {"of providers", &provider}} {
		t.Logf("%-12s hard %d right, %d called soft; soft %d right, %d called hard; accuracy %.2f %%, balanced %.2f %%, hard precision %.2f %%",
			c.name, c.t.hardRight, c.t.hardWrong, c.t.softRight, c.t.softWrong,
			100*c.t.accuracy(), 100*c.t.balanced(), 100*c.t.precision())
	}
	var confused []string
	for k, n := range reasons {
		confused = append(confused, fmt.Sprintf("%s %d", k, n))
	}
	slices.Sort(confused)
	t.Logf("reason right in %.1f %%; %s", 100*ratio(right, len(replies)), strings.Join(confused, ", "))
	if all.accuracy() < 0.975 || all.balanced() < 0.97 || all.precision() < 0.995 {
		t.Errorf("below the targets: accuracy 97.5 %%, balanced 97 %%, hard precision 99.5 %%")
	}
	if provider.accuracy() < 0.95 {
		t.Errorf("replies of providers below 95 %%")
	}
}
