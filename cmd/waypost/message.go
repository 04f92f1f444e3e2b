package main

import (
	"fmt"

	"github.com/waypost-mail/waypost/internal/api"
)

// messageCmd looks at single messages.
type messageCmd struct {
	Explain messageExplainCmd `cmd:"" help:"Why a message went where it did, and what it waits for."`
}

type messageExplainCmd struct {
	remote
	ID string `arg:"" help:"Id of the message."`
}

// Run prints the decision, its candidates, and the message's way.
func (c *messageExplainCmd) Run(e *env) error {
	var x api.Explanation
	if ok, err := c.call(e, "GET", "/account/message/"+c.ID+"/explain", nil, &x); !ok {
		return err
	}
	var t api.Timeline
	if ok, err := c.call(e, "GET", "/account/message/"+c.ID+"/timeline", nil, &t); !ok {
		return err
	}
	fmt.Fprintf(e.stdout, "message   %s to %s, category %s\nstate     %s\npool      %s, strategy %d\nprovider  %s (%d)\nwhy       %s\n",
		t.MessageID, t.Recipient, x.Mailbox, t.State, x.Pool, x.Strategy, x.ChosenName, x.Chosen, x.Why)
	if x.NextSlot != nil && t.Waiting != nil {
		fmt.Fprintf(e.stdout, "next      %s\n", when(*x.NextSlot))
	}
	fmt.Fprintln(e.stdout)
	if err := table(e.stdout, "CANDIDATE\tWEIGHT\tUSABLE\tBREAKER\tHOUR\tCATEGORY\tPAUSED", len(x.Candidates), func(i int) []any {
		k := x.Candidates[i]
		return []any{k.Name, k.Weight, k.Usable, k.Breaker, fmt.Sprintf("%d of %d", k.Used, k.Limit), fmt.Sprintf("%d of %d", k.LaneUsed, k.LaneMost), k.Paused}
	}); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout)
	return table(e.stdout, "WHEN\tWHAT\tSOURCE\tREPLY", len(t.Entries), func(i int) []any {
		n := t.Entries[i]
		what := n.TypeName
		if what == "" {
			what = fmt.Sprintf("%s %d, %s", n.Kind, n.Attempt, n.Reason)
		}
		return []any{when(n.At), what, n.Source, n.Text}
	})
}
