package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

// parts are what runs in the background. They stop in the reverse of the order
// in which they were started.
type parts struct {
	running []*part
	closers []func() error
	fail    context.CancelCauseFunc // called when one ends by itself
}

type part struct {
	name  string
	stop  context.CancelFunc
	ended chan struct{}
	err   error
}

// start runs something until it is stopped. Its context does not end with that
// of the command, so that the stop has an order.
func (p *parts) start(ctx context.Context, name string, run func(context.Context) error) {
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	it := &part{name: name, stop: stop, ended: make(chan struct{})}
	p.running = append(p.running, it)
	go func() {
		defer close(it.ended)
		err := run(own)
		switch {
		case err != nil:
			it.err = fmt.Errorf("%s: %w", name, err)
			p.fail(it.err)
		case own.Err() == nil:
			p.fail(fmt.Errorf("%s: ended by itself", name))
		}
	}()
}

// stop ends everything and gives the errors of those parts that failed to end
// well; one that failed before is the cause of the command's context already.
func (p *parts) stop() error {
	var errs []error
	for _, it := range slices.Backward(p.running) {

		early := false
		select {
		case <-it.ended:
			early = true
		default:
		}
		it.stop()
		<-it.ended
		if !early {
			errs = append(errs, it.err)
		}
	}
	for _, closer := range p.closers {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}

// logFile opens a log that lives as long as the parts.
func (p *parts) logFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log %s: %w", filepath.Base(path), err)
	}
	p.closers = append(p.closers, f.Close)
	return f, nil
}

// logger opens a log for slog.
func (p *parts) logger(path string) (*slog.Logger, error) {
	f, err := p.logFile(path)
	if err != nil {
		return nil, err
	}
	return slog.New(slog.NewTextHandler(f, nil)), nil
}

// await waits for a part to say that it is ready.
func await[T any](ctx context.Context, ready <-chan T) (T, error) {
	select {
	case v := <-ready:
		return v, nil
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
}
