package server

import (
	"context"
	"net"

	"golang.org/x/sync/errgroup"

	"github.com/waypost-mail/waypost/internal/ingest"
)

// listenSMTP opens the bounce processor's address; nil when this node has none.
func listenSMTP(ctx context.Context, c *Config) (net.Listener, error) {
	if c.SMTP == "" || !c.has("bounce") {
		return nil, nil
	}
	return listenOn(ctx, "bounces", c.SMTP)
}

// bounces starts the bounce processor on l, unless it is nil, and what keeps
// its reports within their retention.
func (n *node) bounces(ctx context.Context, work *errgroup.Group, l net.Listener) {
	work.Go(func() error { return n.door.Keep(ctx, n.cfg.Log) })
	if l == nil {
		return
	}
	work.Go(func() error {
		s, err := ingest.NewSMTP(ingest.SMTPConfig{Door: n.door, Host: n.cfg.BounceHost, Log: n.cfg.Log, Grace: n.cfg.Grace})
		if err != nil {
			return err
		}
		return s.Run(ctx, l)
	})
}
