package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/pprof"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/server"
)

// inProcess is the server inside this process, for a CPU profile: the product
// has no door for profilers. The calls of this command are in the profile too;
// they are few when a call has many recipients.
type inProcess struct {
	profile *os.File
	running bool
	cancel  context.CancelFunc
	done    chan error
	log     *os.File
}

func startInProcess(ctx context.Context, s waypostSettings, profile, logFile string) (*inProcess, installation, string, error) {
	var keys installation
	var p inProcess
	var err error
	if p.log, err = os.Create(logFile); err != nil {
		return nil, keys, "", fmt.Errorf("log of the server: %w", err)
	}
	if p.profile, err = os.Create(profile); err != nil {
		_ = p.log.Close()
		return nil, keys, "", fmt.Errorf("create the profile: %w", err)
	}
	schedule, err := waypost.ParseRetrySchedule("1h")
	if err != nil {
		return nil, keys, "", fmt.Errorf("retry schedule: %w", err)
	}
	ctx, p.cancel = context.WithCancel(ctx)
	ready := make(chan server.Ready, 1)
	p.done = make(chan error, 1)
	go func() {
		p.done <- server.Run(ctx, server.Config{
			Data: s.data, HTTP: "127.0.0.1:0", DNSResolver: s.dns, BounceHost: s.bounceHost, Sessions: s.sessions,
			AllowPrivateNetworks: true, RetrySchedule: schedule, Log: slog.New(slog.NewTextHandler(p.log, nil)),
			Version: "profiled",
		}, func(r server.Ready) { ready <- r })
	}()
	timer := time.NewTimer(startLimit)
	defer timer.Stop()
	select {
	case r := <-ready:
		if r.Keys == nil {
			return &p, keys, "", errors.New("the server made no installation")
		}
		keys.AccountKey, keys.SubAccountKey = r.Keys.AccountAPIKey, r.Keys.SubAccountAPIKey
		return &p, keys, r.HTTP, nil
	case err := <-p.done:
		p.done <- nil // for stop
		return &p, keys, "", fmt.Errorf("start the server: %w", err)
	case <-timer.C:
		return &p, keys, "", fmt.Errorf("the server was not ready within %v", startLimit)
	}
}

// startProfile begins to write the profile; stop ends it.
func (p *inProcess) startProfile() error {
	if err := pprof.StartCPUProfile(p.profile); err != nil {
		return fmt.Errorf("start the profile: %w", err)
	}
	p.running = true
	return nil
}

func (p *inProcess) stop() {
	if p == nil {
		return
	}
	if p.running {
		pprof.StopCPUProfile()
	}
	p.cancel()
	<-p.done
	_, _ = p.profile.Close(), p.log.Close()
}
