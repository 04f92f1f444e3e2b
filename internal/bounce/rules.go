package bounce

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/waypost-mail/waypost"
)

// rule is one entry of a rule file:
//
//	# comment
//	rule ID REASON [status=LIST] [code=LIST] [lasting] [temporary]
//	PHRASE
//	! PHRASE
//	= SAMPLE
//
// It holds when its conditions hold, one of its phrases (when it has any) is
// in the text, and none of its phrases after "!" is. Each sample is a reply
// that this very rule must decide; the tests check it.
//
// A status list such as 5.1.1,5.7.*,-5.7.1 names enhanced codes; a minus
// excludes. A code list names reply codes. lasting refuses temporary replies.
//
// In a phrase, " * " stands for up to 80 bytes of anything, "|" at an end for
// the edge of a word, "^" and "$" for the start and the end of the reply's
// body. Phrases are folded like replies.
type rule struct {
	id        string
	reason    waypost.Reason
	any, none []string // phrases
	status    []string
	codes     []int
	lasting   bool
	temporary bool
	samples   []string

	index   int // position in the whole list
	phrased bool
}

// parseRules reads one rule file.
func parseRules(name, data string) ([]rule, error) {
	var rules []rule
	line := 0
	for s := range strings.SplitSeq(data, "\n") {
		line++
		s = strings.TrimSpace(s)
		if s == "" || s[0] == '#' {
			continue
		}
		if head, ok := strings.CutPrefix(s, "rule "); ok {
			r, err := parseHead(head)
			if err != nil {
				return nil, fmt.Errorf("bounce rules %s, line %d: %w", name, line, err)
			}
			rules = append(rules, r)
			continue
		}
		if len(rules) == 0 {
			return nil, fmt.Errorf("bounce rules %s, line %d: %q stands before the first rule", name, line, s)
		}
		r := &rules[len(rules)-1]
		if sample, ok := strings.CutPrefix(s, "= "); ok {
			r.samples = append(r.samples, sample)
		} else if not, ok := strings.CutPrefix(s, "! "); ok {
			r.none = append(r.none, not)
		} else {
			r.any = append(r.any, s)
		}
	}
	return rules, nil
}

func parseHead(s string) (rule, error) {
	fields := strings.Fields(s)
	if len(fields) < 2 {
		return rule{}, fmt.Errorf("rule %q needs an id and a reason", s)
	}
	r := rule{id: fields[0], reason: waypost.Reason(fields[1])}
	if !slices.Contains(Reasons(), r.reason) {
		return r, fmt.Errorf("rule %s: no reason is called %q", r.id, r.reason)
	}
	for _, f := range fields[2:] {
		key, value, _ := strings.Cut(f, "=")
		switch key {
		case "lasting":
			r.lasting = true
		case "temporary":
			r.temporary = true
		case "status":
			r.status = strings.Split(value, ",")
		case "code":
			for c := range strings.SplitSeq(value, ",") {
				n, err := strconv.Atoi(c)
				if err != nil {
					return r, fmt.Errorf("rule %s: code %q is no number", r.id, c)
				}
				r.codes = append(r.codes, n)
			}
		default:
			return r, fmt.Errorf("rule %s: no condition is called %q", r.id, f)
		}
	}
	return r, nil
}

// holds tells whether the rule decides a reply with those hits and codes.
func (r *rule) holds(h *hits, c codes) bool {
	if r.phrased && !h.any.has(r.index) || h.none.has(r.index) {
		return false
	}
	if r.lasting && c.temporary || r.temporary && !c.temporary {
		return false
	}
	if r.codes != nil && !slices.Contains(r.codes, c.code) {
		return false
	}
	return r.status == nil || statusIn(c.status, r.status)
}

func statusIn(status string, list []string) bool {
	if status == "" {
		return false
	}
	in := false
	for _, p := range list {
		if not, ok := strings.CutPrefix(p, "-"); ok {
			if statusLike(status, not) {
				return false
			}
		} else if !in {
			in = statusLike(status, p)
		}
	}
	return in
}

// statusLike compares a code with a pattern such as 5.1.1, 5.7.* or 5.7.60?,
// where "?" is one digit.
func statusLike(status, pattern string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "?"); ok {
		return len(status) == len(pattern) && strings.HasPrefix(status, prefix)
	}
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(status, prefix)
	}
	return status == pattern
}
