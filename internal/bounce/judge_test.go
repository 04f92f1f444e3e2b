package bounce

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/waypost-mail/waypost"
)

func newJudge(t testing.TB) *Judge {
	t.Helper()
	j, err := NewJudge()
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestEverySampleIsDecidedByItsRule(t *testing.T) {
	j := newJudge(t)
	for _, r := range j.rules {
		if len(r.samples) == 0 {
			t.Errorf("rule %s has no sample", r.id)
		}
		for _, s := range r.samples {
			want := waypost.Verdict{Hard: Hard(r.reason), Reason: r.reason, Rule: r.id}
			if diff := cmp.Diff(want, j.Judge(Reply{Text: s})); diff != "" {
				t.Errorf("%q (-want +got):\n%s", s, diff)
			}
		}
	}
}

// Two rules must not disagree on the phrase of one of them: an earlier rule
// that takes a later rule's phrase and calls it soft makes the phrase dead.
func TestNoPhraseIsDecidedTheOtherWay(t *testing.T) {
	j := newJudge(t)
	seen := make(map[string]string)
	for _, r := range j.rules {
		for _, p := range r.any {
			unconditional := r.status == nil && !r.temporary
			if other, ok := seen[p]; ok && unconditional {
				t.Errorf("phrase %q stands in %s and %s", p, other, r.id)
			}
			if unconditional {
				seen[p] = r.id
			}
			reply := sampleOf(r, p)
			if v := j.Judge(reply); v.Hard != Hard(r.reason) {
				t.Errorf("phrase %q of %s is decided by %s as %s", p, r.id, v.Rule, v.Reason)
			}
		}
	}
}

// sampleOf makes a reply of a phrase that fulfils the rule's conditions.
func sampleOf(r rule, phrase string) Reply {
	text := strings.NewReplacer(" * ", " x ", "|", "", "^", "", "$", "").Replace(phrase)
	reply := Reply{Code: 550, Text: "550 " + text}
	if r.temporary {
		reply = Reply{Code: 450, Text: "450 " + text}
	}
	if r.codes != nil {
		reply.Code = r.codes[0]
	}
	if r.status != nil {
		reply.Enhanced = strings.TrimSuffix(r.status[0], "*")
		if strings.HasSuffix(reply.Enhanced, ".") {
			reply.Enhanced += "9"
		}
	}
	return reply
}

func TestVerdicts(t *testing.T) {
	j := newJudge(t)
	f := func(r Reply, hard bool, reason waypost.Reason) {
		t.Helper()
		if v := j.Judge(r); v.Hard != hard || v.Reason != reason {
			t.Errorf("%+v: got %+v, want hard=%v %s", r, v, hard, reason)
		}
	}
	// Codes come from the fields, or from the text when those are inexact.
	f(Reply{}, false, Unknown)
	f(Reply{Code: 550}, false, Unknown)
	f(Reply{Code: 550, Enhanced: "5.1.1"}, true, MailboxUnknown)
	f(Reply{Code: 550, Enhanced: "5.0.0", Text: "550 5.1.1 nope"}, true, MailboxUnknown)
	f(Reply{Code: 550, Enhanced: "5.0.0", Text: "sorry (#5.1.6)"}, true, Moved)
	f(Reply{Enhanced: "garbage", Text: "hello"}, false, Unknown)
	f(Reply{Text: "contact 5.1.1.1 or 15.1.1"}, false, Unknown)
	// The same words with a temporary code are soft.
	f(Reply{Code: 450, Text: "450 user unknown"}, false, System)
	f(Reply{Text: "450 4.1.1 <a@b.example>: Recipient address rejected: User unknown in virtual alias table"}, false, System)
	// Texts beat even 5.1.1.
	f(Reply{Code: 550, Enhanced: "5.1.1", Text: "550 5.1.1 blocked using dnsbl.example"}, false, Blocked)
	f(Reply{Code: 550, Enhanced: "5.1.1", Text: "550 5.1.1 <a@b.example>: mailbox full"}, false, MailboxFull)
	f(Reply{Code: 550, Enhanced: "5.1.1", Text: "host a.example[192.0.2.1] said: 550 5.1.1 unknown (in reply to MAIL FROM command)"}, false, Blocked)
	// Nobody is judged by a name.
	f(Reply{Text: "550 5.1.1 <spam@rbl.example>: user unknown"}, true, MailboxUnknown)
	f(Reply{Text: "host spam.example[192.0.2.1] said: 550 user unknown (in reply to RCPT TO command)"}, true, MailboxUnknown)
	f(Reply{Text: "host spam.blacklist.example [192.0.2.1]: 550 user unknown"}, true, MailboxUnknown)
	// Lines of one reply.
	f(Reply{Text: "550-5.1.1 The email account that you tried to\n550-5.1.1 reach does not\n550 5.1.1 exist."}, true, MailboxUnknown)
	f(Reply{Text: "550-5.2.1 The email account that you tried to reach is 550 5.2.1 disabled"}, true, Disabled)
	// Broken and other characters.
	f(Reply{Text: "550 Usu\xe1rio inv\xe1lido ou inexistente"}, true, MailboxUnknown)
	f(Reply{Text: "550 Empf\u00c4nger   unbekannt"}, true, MailboxUnknown)
	f(Reply{Text: "550 " + strings.Repeat("x", 20<<10) + " user unknown"}, false, Unknown)
}

func TestJudgingTwiceGivesTheSame(t *testing.T) {
	texts := []string{"550 user unknown, mailbox full, spam", "550 5.7.1 blocked", "host not found", "421"}
	first := newJudge(t)
	for range 20 {
		again := newJudge(t)
		for _, s := range texts {
			if a, b := first.Judge(Reply{Text: s}), again.Judge(Reply{Text: s}); a != b {
				t.Fatalf("%q: %+v, then %+v", s, a, b)
			}
		}
	}
}

func TestRuleFilesAreRefusedWithTheirLine(t *testing.T) {
	f := func(data, want string) {
		t.Helper()
		rules, err := parseRules("x", data)
		if err == nil {
			_, err = compile(rules)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %q", data, err, want)
		}
	}
	f("phrase", "line 1")
	f("rule a", "needs an id")
	f("rule a nonsense", "no reason")
	f("# x\nrule a spam sometimes", "line 2")
	f("rule a spam code=x", "no number")
	f("rule a spam\nx\nrule a auth", "two rules")
	f("rule a spam\na *  * b", "empty part")
	many := new(strings.Builder)
	for i := range maxRules + 1 {
		fmt.Fprintf(many, "rule r%d spam\n", i)
	}
	f(many.String(), "at most")
}

func FuzzJudge(f *testing.F) {
	j := newJudge(f)
	for _, r := range j.rules {
		f.Add(550, "5.0.0", r.samples[0])
	}
	f.Add(0, "", "host [1] said: (in reply to ")
	f.Add(421, "4.", "550-550-550 a@b@c[[1.1[ \xff\xfe\u2028")
	f.Fuzz(func(t *testing.T, code int, enhanced, text string) {
		v := j.Judge(Reply{Code: code, Enhanced: enhanced, Text: text})
		if v.Rule == "" || v.Hard != Hard(v.Reason) {
			t.Errorf("verdict %+v", v)
		}
		if again := j.Judge(Reply{Code: code, Enhanced: enhanced, Text: text}); again != v {
			t.Errorf("first %+v, then %+v", v, again)
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	j := newJudge(b)
	replies := []Reply{
		{Text: "550 5.1.1 <a@example.com>: Recipient address rejected: User unknown in local recipient table"},
		{Text: "host mx.example.com[192.0.2.1] said: 550-5.7.1 [192.0.2.7] Our system has detected that this message is likely suspicious due to the very low reputation of the sending domain. To best protect our users from spam, the message has been blocked. (in reply to end of DATA command)"},
		{Code: 550, Text: "550 Requested action not taken: mailbox unavailable"},
		{Text: "connect to mx.example.com[192.0.2.1]:25: Connection timed out"},
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		j.Judge(replies[i%len(replies)])
	}
}
