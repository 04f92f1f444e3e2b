package server

import (
	"context"
	"fmt"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/track"
)

// trackingKeys are derived from the key file, so that every node with the same
// file knows the tokens of the others.
func trackingKeys(box *secret.Box) (*track.Keys, error) {
	first, keys, err := box.Derive("tracking token")
	if err != nil {
		return nil, err
	}
	return track.NewKeys(first, keys), nil
}

// trackingSite is where the messages of this node point. Every node that sends
// has one, whether or not it plays the role track itself.
func trackingSite(c *Config, keys *track.Keys) *queue.Tracking {
	t := &queue.Tracking{Keys: keys, Base: c.PublicURL, Scheme: c.TrackScheme}
	if u, err := url.Parse(c.PublicURL); err == nil && (t.Scheme == "" || t.Scheme == u.Scheme) {
		t.Scheme, t.Port = u.Scheme, u.Port()
	}
	return t
}

// newTracker makes what answers tracking URLs; nil when this node does not.
func newTracker(c *Config, keys *track.Keys, door *ingest.Door) (*track.Tracker, error) {
	if !c.has("track") {
		return nil, nil
	}
	proxies, err := track.ParseNetworks(c.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("trusted-proxies: %w", err)
	}
	return track.New(track.Config{Keys: keys, Record: door.Track, Log: c.Log, ForgetIP: c.ForgetIP, Proxies: proxies})
}

// follow stores opens and clicks until ctx ends.
func (n *node) follow(ctx context.Context) error {
	if n.tracker == nil {
		return nil
	}
	return n.tracker.Run(ctx)
}

// trackMetrics are the counters of a tracker.
func trackMetrics(t *track.Tracker) []prometheus.Collector {
	counter := func(name, help string, of func(track.Counts) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(of(t.Counts())) })
	}
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "waypost_track_waiting", Help: "Opens and clicks that wait for storage."},
			func() float64 { return float64(t.Counts().Waiting) }),
		counter("waypost_track_stored_total", "Opens and clicks stored.", func(c track.Counts) int64 { return c.Stored }),
		counter("waypost_track_dropped_total", "Opens and clicks lost because storage was away for too long.", func(c track.Counts) int64 { return c.Dropped }),
		counter("waypost_track_refused_total", "Tracking requests whose token was none of this installation.", func(c track.Counts) int64 { return c.Refused }),
	}
}

// places opens the geo database; nil without one.
func places(c *Config) (*track.Geo, error) {
	if c.GeoDatabase == "" {
		return nil, nil //nolint:nilnil // a nil Geo knows no place
	}
	g, err := track.OpenGeo(c.GeoDatabase)
	if err != nil {
		return nil, fmt.Errorf("geo-database: %w", err)
	}
	return g, nil
}
