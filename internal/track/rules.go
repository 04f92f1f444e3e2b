package track

import (
	_ "embed"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

//go:embed rules/machines.txt
var machines string

// Rules tell machines from people. They never change once parsed.
type Rules struct{ all []rule }

// rule is one entry of the rules' file:
//
//	# comment
//	rule ID machine|person [on=open|click] [method=HEAD] [net=CIDR,CIDR…] [within=5s] [links=10s]
//	has TEXT      the user agent has it
//	begins TEXT   the user agent begins with it
//	is TEXT       the user agent is that
//	= open|click ADDRESS AGENT
//
// It holds when its conditions do, and one of its agents, when it has any.
// Case is ignored. within holds for so long after the relay, links when every
// link of the message, of three or more, was followed in that time. Lines with
// = are samples: requests that this rule decides.
type rule struct {
	id     string
	person bool

	on     Kind // 0: both
	method string
	nets   []netip.Prefix
	within time.Duration // 0: whenever
	links  time.Duration // 0: whatever else was followed
	agents []agent

	samples []sample
}

type agent struct {
	how  string // has, begins or is
	text string // folded
}

type sample struct {
	kind  Kind
	addr  netip.Addr
	agent string
}

// LoadRules gives the rules that come with the program.
func LoadRules() (*Rules, error) { return parseRules(machines) }

// parseRules reads rules. It refuses a rule that can never decide anything,
// because an earlier one holds whenever it does: they contradict or repeat each
// other.
func parseRules(text string) (*Rules, error) {
	r := &Rules{}
	line := 0
	for s := range strings.SplitSeq(text, "\n") {
		line++
		s = strings.TrimSpace(s)
		word, rest, _ := strings.Cut(s, " ")
		rest = strings.TrimSpace(rest)
		var err error
		switch {
		case s == "" || s[0] == '#':
		case word == "rule":
			var next rule
			next, err = parseHead(rest)
			r.all = append(r.all, next)
		case len(r.all) == 0:
			err = fmt.Errorf("%q stands before the first rule", clip(word, 20))
		case word == "has" || word == "begins" || word == "is":
			last := &r.all[len(r.all)-1]
			if rest == "" && word != "is" {
				err = fmt.Errorf("%q needs a text", word)
			}
			last.agents = append(last.agents, agent{word, strings.ToLower(rest)})
		case word == "=":
			last := &r.all[len(r.all)-1]
			var s sample
			s, err = parseSample(rest)
			last.samples = append(last.samples, s)
		default:
			err = fmt.Errorf("%q is none of rule, has, begins, is, =", clip(word, 20))
		}
		if err != nil {
			return nil, fmt.Errorf("machine rules, line %d: %w", line, err)
		}
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("machine rules: %w", err)
	}
	return r, nil
}

func parseHead(s string) (rule, error) {
	words := strings.Fields(s)
	if len(words) < 2 {
		return rule{}, fmt.Errorf("want rule ID machine|person, not %q", clip(s, 60))
	}
	r := rule{id: words[0], person: words[1] == "person"}
	if len(r.id) > 40 {
		return r, fmt.Errorf("the id %q is longer than 40 bytes", clip(r.id, 40))
	}
	if !r.person && words[1] != "machine" {
		return r, fmt.Errorf("a verdict is machine or person, not %q", clip(words[1], 20))
	}
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		var err error
		switch key {
		case "on":
			r.on, err = parseKind(value)
		case "method":
			if r.method = value; value != "HEAD" && value != "GET" {
				err = fmt.Errorf("a method is HEAD or GET, not %q", clip(value, 20))
			}
		case "net":
			r.nets, err = ParseNetworks(strings.Split(value, ","))
		case "within":
			r.within, err = parseTime(value)
		case "links":
			r.links, err = parseTime(value)
		default:
			err = fmt.Errorf("there is no condition %q", clip(w, 40))
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

func parseKind(s string) (Kind, error) {
	switch s {
	case "open":
		return Open, nil
	case "click":
		return Click, nil
	}
	return 0, fmt.Errorf("%q is neither open nor click", clip(s, 20))
}

func parseTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > time.Hour {
		return 0, fmt.Errorf("%q is no time up to 1h, such as 5s", clip(s, 20))
	}
	return d, nil
}

func parseSample(s string) (sample, error) {
	words := strings.SplitN(s, " ", 3)
	if len(words) < 2 {
		return sample{}, fmt.Errorf("want = open|click ADDRESS AGENT, not %q", clip(s, 60))
	}
	kind, err := parseKind(words[0])
	if err != nil {
		return sample{}, err
	}
	addr, err := netip.ParseAddr(words[1])
	if err != nil {
		return sample{}, fmt.Errorf("%q is no address", clip(words[1], 60))
	}
	out := sample{kind: kind, addr: addr}
	if len(words) == 3 {
		out.agent = words[2]
	}
	return out, nil
}

// check finds ids that stand twice and rules that never come to decide.
func (r *Rules) check() error {
	for i := range r.all {
		b := &r.all[i]
		for j := range i {
			a := &r.all[j]
			if a.id == b.id {
				return fmt.Errorf("rule %s stands twice", a.id)
			}
			if a.covers(b) {
				return fmt.Errorf("rule %s never decides: rule %s before it holds whenever it does", b.id, a.id)
			}
		}
	}
	return nil
}

// covers tells whether a holds for every request that b holds for.
func (a *rule) covers(b *rule) bool {
	return (a.on == 0 || a.on == b.on) &&
		(a.method == "" || a.method == b.method) &&
		(a.within == 0 || b.within != 0 && b.within <= a.within) &&
		(a.links == 0 || b.links != 0 && b.links <= a.links) &&
		(len(a.nets) == 0 || len(b.nets) > 0 && !slices.ContainsFunc(b.nets, func(n netip.Prefix) bool { return !inside(n, a.nets) })) &&
		(len(a.agents) == 0 || len(b.agents) > 0 && !slices.ContainsFunc(b.agents, func(x agent) bool { return !implied(x, a.agents) }))
}

func inside(n netip.Prefix, nets []netip.Prefix) bool {
	return slices.ContainsFunc(nets, func(m netip.Prefix) bool { return m.Bits() <= n.Bits() && m.Contains(n.Addr()) })
}

// implied tells whether each user agent that x matches is matched by one of
// all.
func implied(x agent, all []agent) bool {
	return slices.ContainsFunc(all, func(a agent) bool {
		switch a.how {
		case "has":
			return strings.Contains(x.text, a.text)
		case "begins":
			return x.how != "has" && strings.HasPrefix(x.text, a.text)
		}
		return x.how == "is" && x.text == a.text
	})
}

// request is what a verdict is about.
type request struct {
	kind   Kind
	head   bool
	addr   netip.Addr
	agent  string
	after  time.Duration                   // since the relay
	burst  func(within time.Duration) bool // whether every link of the message was followed in that time
	folded string
}

// verdict gives the id of the rule that says that a machine made the request,
// "" for a person.
func (r *Rules) verdict(q *request) string {
	q.folded = strings.ToLower(q.agent)
	for i := range r.all {
		if rule := &r.all[i]; rule.holds(q) {
			if rule.person {
				return ""
			}
			return rule.id
		}
	}
	return ""
}

func (a *rule) holds(q *request) bool {
	return (a.on == 0 || a.on == q.kind) &&
		(a.method == "" || a.method == "HEAD" == q.head) &&
		(a.within == 0 || q.after < a.within) &&
		(len(a.nets) == 0 || within(q.addr, a.nets)) &&
		(len(a.agents) == 0 || a.match(q.folded)) &&
		(a.links == 0 || q.burst != nil && q.burst(a.links))
}

func (a *rule) match(agent string) bool {
	for i := range a.agents {
		switch x := &a.agents[i]; x.how {
		case "has":
			if strings.Contains(agent, x.text) {
				return true
			}
		case "begins":
			if strings.HasPrefix(agent, x.text) {
				return true
			}
		default:
			if agent == x.text {
				return true
			}
		}
	}
	return false
}
