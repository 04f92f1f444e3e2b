package queue

import (
	"net"

	"github.com/waypost-mail/waypost/internal/track"
)

// Tracking is where the tracking URLs of messages point (D-27).
type Tracking struct {
	Keys   *track.Keys
	Base   string // the installation's public URL, without a final slash
	Scheme string // of the tracking hosts of sender domains: http or https
	Port   string // of those hosts, "" for the scheme's own
}

// site is that of a message: the tracking host of its sender domain when there
// is one, else the installation's.
func (t *Tracking) site(host string) *track.Site {
	switch {
	case t == nil:
		return nil
	case host == "":
		return &track.Site{Keys: t.Keys, Base: t.Base}
	case t.Port != "":
		host = net.JoinHostPort(host, t.Port)
	}
	return &track.Site{Keys: t.Keys, Base: t.Scheme + "://" + host}
}
