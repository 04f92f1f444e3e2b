package bounce

import (
	"os"
	"strings"
	"testing"
)

func TestReplies(t *testing.T) {
	j := newJudge(t)
	data, err := os.ReadFile("testdata/replies.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		want, text, ok := strings.Cut(line, "\t")
		if !ok || want != "hard" && want != "soft" {
			t.Fatalf("line %q is not hard or soft, tab, text", line)
		}
		if v := j.Judge(Reply{Text: text}); v.Hard != (want == "hard") {
			t.Errorf("%s: judged %s by %s: %s", want, v.Reason, v.Rule, text)
		}
	}
}
