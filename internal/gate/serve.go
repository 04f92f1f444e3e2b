package gate

import (
	"context"
	"errors"
	"net"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// Serve lets a server answer on l, which stands behind the gate by way of door
// and may be door itself, until ctx ends. Sessions then have two seconds for
// what they are sending, and grace for what is being stored. It returns nil
// after such an end, else why the server stopped; nil too when l was closed.
func Serve(ctx context.Context, srv *gosmtp.Server, door *Listener, l net.Listener, grace time.Duration) error {
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		door.Drain() // those that wait for a command are woken
		if srv.Shutdown(limit) != nil {
			_ = srv.Close()
			door.CloseAll()
		}
	})
	err := srv.Serve(l)
	if !stop() {
		<-stopped
		return nil
	}
	_ = srv.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
