package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// waypostServer is the server over SQLite, with one provider: the sink.
type waypostServer struct {
	binary   string
	profile  string // run in this process and profile it, into this file
	batch    int    // recipients of one call
	sessions int

	dir    string
	zone   *zone
	server *child
	inside *inProcess // in place of server when profiling
	client *client
	dkim   dnsRecord
}

func (s *waypostServer) name() string {
	if s.batch == 1 {
		return "Waypost, one call a message"
	}
	return fmt.Sprintf("Waypost, calls of %d recipients", s.batch)
}

func (s *waypostServer) start(ctx context.Context, dir string, sinkPort int) error {
	s.dir = dir
	var err error
	if s.zone, err = startZone(ctx); err != nil {
		return err
	}
	settings := waypostSettings{
		data: filepath.Join(dir, "data"), dns: s.zone.addr, bounceHost: "bounce.waypost.example", sessions: s.sessions,
	}
	keys, addr, err := s.launch(ctx, settings)
	if err != nil {
		return err
	}
	s.client = newClient("http://"+addr, keys, s.sessions)
	return s.setUp(ctx, sinkPort)
}

// waypostSettings are what the binary and the server inside this process have
// in common.
type waypostSettings struct {
	data, dns, bounceHost string
	sessions              int
}

// launch makes the installation and starts the server. It returns its keys and
// its address.
func (s *waypostServer) launch(ctx context.Context, settings waypostSettings) (installation, string, error) {
	if s.profile != "" {
		var keys installation
		var addr string
		var err error
		s.inside, keys, addr, err = startInProcess(ctx, settings, s.profile, s.logFile())
		return keys, addr, err
	}
	keys, err := initialise(ctx, s.binary, settings.data)
	if err != nil {
		return keys, "", err
	}
	var addr string
	s.server, addr, err = serve(ctx, s.binary, settings, s.logFile())
	return keys, addr, err
}

// setUp makes the provider and a sender domain whose records the zone answers.
func (s *waypostServer) setUp(ctx context.Context, sinkPort int) error {
	if err := s.client.createProvider(ctx, sinkPort); err != nil {
		return err
	}
	id, records, err := s.client.createDomain(ctx)
	if err != nil {
		return err
	}
	for _, r := range records {
		s.zone.set(r)
	}
	s.dkim = records[0]
	return s.client.verifyDomain(ctx, id)
}

// send makes calls over keep-alive connections, as many at a time as there are
// sessions.
func (s *waypostServer) send(ctx context.Context, w work) error {
	if s.inside != nil && w.timed {
		if err := s.inside.startProfile(); err != nil {
			return err
		}
	}
	return s.client.sendAll(ctx, w, s.batch)
}

func (s *waypostServer) queued(ctx context.Context) (int, error) { return s.client.queued(ctx) }

func (s *waypostServer) processes() []int {
	if s.inside != nil {
		return []int{os.Getpid()}
	}
	return []int{s.server.pid()}
}

func (s *waypostServer) keyRecord() (host, value string) { return s.dkim.Host, s.dkim.Value }

func (s *waypostServer) logFile() string { return filepath.Join(s.dir, "waypost.log") }
func (s *waypostServer) log() string     { return logTail(s.logFile()) }

func (s *waypostServer) stop() {
	if s.client != nil {
		s.client.close()
	}
	s.server.stop()
	s.inside.stop()
	s.zone.stop()
}

// startLimit is how long a server may take to be ready.
const startLimit = 2 * time.Minute
