package bounce

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type labelledReport struct {
	File, Kind string
	Recipients []struct {
		Accept      []string
		Action, Cls string
		Status      string
		Accepted    []string `json:"status_accept"`
		Grey        bool
		Reason      string
	}
}

func TestCorpusReports(t *testing.T) {
	dir := corpus(t)
	j := newJudge(t)
	data, err := os.ReadFile(filepath.Join(dir, "dsn_labels.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var bounces, recognised, named, right, falseAlarms, delaysAsFailures, kinds, mails int
	var verdicts tally
	for line := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n") {
		var l labelledReport
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(filepath.Join(dir, "mails", l.File))
		if err != nil {
			t.Fatal(err)
		}
		rep := Parse(file, 0)
		file.Close()
		mails++
		if string(rep.Kind) == l.Kind {
			kinds++
		} else {
			t.Logf("kind: %s is %s, read as %s", l.File, l.Kind, rep.Kind)
		}
		if l.Kind != "bounce" {
			if rep.Kind == KindBounce {
				falseAlarms++
				if l.Kind == "delayed" {
					delaysAsFailures++
				}
			}
			continue
		}
		bounces++
		if rep.Kind == KindBounce {
			recognised++
		}
		for _, want := range l.Recipients {
			if want.Cls != "hard" && want.Cls != "soft" {
				continue
			}
			named++
			i := slices.IndexFunc(rep.Recipients, func(r Recipient) bool {
				return slices.ContainsFunc(want.Accept, func(a string) bool { return strings.EqualFold(a, r.Address) })
			})
			if i < 0 {
				t.Logf("recipient: %s wants %v, found %+.300v", l.File, want.Accept, rep.Recipients)
				verdicts.add(want.Cls == "hard", false)
				continue
			}
			right++
			v := j.Judge(rep.Recipients[i].Reply)
			verdicts.add(want.Cls == "hard", v.Hard)
			if v.Hard != (want.Cls == "hard") {
				t.Logf("verdict: %s is %s, judged %s by %s: %+.300v", l.File, want.Reason, v.Reason, v.Rule, rep.Recipients[i].Reply)
			}
		}
	}
	t.Logf("kind %d of %d; bounces recognised %d of %d; recipients %d of %d; other mails taken for bounces %d (delays %d)",
		kinds, mails, recognised, bounces, right, named, falseAlarms, delaysAsFailures)
	t.Logf("hard or soft of all recipients: %+v, accuracy %.2f %%, hard precision %.2f %%", verdicts, 100*verdicts.accuracy(), 100*verdicts.precision())
	if ratio(recognised, bounces) < 0.985 || ratio(right, named) < 0.95 || delaysAsFailures > 0 {
		t.Error("below the targets: bounces 98.5 %, recipients 95 %, no delay taken for a failure")
	}
	if verdicts.accuracy() < 0.97 || verdicts.precision() < 0.995 {
		t.Error("below the targets: hard or soft 97 %, hard precision 99.5 %")
	}
}
