package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
)

// Preview is the message of one recipient, made as it would be relayed, and
// what would become of it.
type Preview struct {
	compose.Preview
	DKIM bool           // signed, as the sender domain is set up
	Drop waypost.Reason // not empty: a send call would drop it at once
	Text string         // why
}

// Preview makes the message of the entry of "to" at an index and stores
// nothing. The error is a *Refused when the caller must change something.
func (q *Queue) Preview(ctx context.Context, s *Submission, index int) (Preview, error) {
	now := time.Now().Truncate(time.Millisecond)
	one := *s
	one.To = s.To[index : index+1]
	p, err := q.plan(ctx, &one, true, now)
	if err != nil {
		return Preview{}, err
	}
	d := &p.drafts[0]
	out := Preview{Drop: d.Drop, Text: d.Text}
	o := compose.Options{HeaderPrefix: q.cfg.HeaderPrefix, SenderDomain: domainOf(p.content.From.Email), Track: q.cfg.Track.site(""), Now: now}
	if p.domain != nil {
		o.Signers, o.SenderDomain, o.Track = p.signing.signers, p.signing.name, q.cfg.Track.site(p.signing.track)
	}
	out.DKIM = len(o.Signers) > 0
	if d.Drop == waypost.DropInvalid {
		return Preview{}, &Refused{Field: fmt.Sprintf("to[%d].email", index), Message: d.Text}
	}
	if out.Preview, err = p.prepared.Preview(&d.Message, o); err != nil {
		return Preview{}, &Refused{Field: "body", Message: err.Error()}
	}
	return out, nil
}
