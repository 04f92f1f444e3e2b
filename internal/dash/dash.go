package dash

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
)

// Config is what the dashboard needs.
type Config struct {
	Store store.Store
	// API answers the requests by which the dashboard changes things; As gives
	// the context of one that acts for a person.
	API http.Handler
	As  func(ctx context.Context, actor waypost.APIKey) context.Context
	Log *slog.Logger

	TrustedProxies []netip.Prefix // whose X-Forwarded-For tells where a login comes from

	SSO *SSO        // nil: passwords alone
	Box *secret.Box // seals what a browser keeps of a login through SSO

	PublicURL string // how the world reaches this node, without a final slash
	Version   string
	Lines     Lines // of rates; zero: DefaultLines
	// Node tells of the process that answers; nil: nothing is known of it.
	Node func(context.Context) Node
}

// Dash answers the requests of people. Make it with New.
type Dash struct {
	cfg      Config
	pages    map[string]*template.Template // by name of the template's file
	rail     []*screen
	mux      *http.ServeMux
	shut     *http.CrossOriginProtection
	guard    *guard
	hashing  chan struct{} // bounds concurrent password hashing
	attempts chan struct{} // and attempts to log in
	queued   atomic.Int32  // attempts to log in that are under way or wait
	hub      *hub
	lookouts *lookouts
	subjects *subjects
	secure   bool // the public URL is https: cookies never travel in the clear
}

// New makes the dashboard. It panics on a template that does not parse: a bug
// that every test of this package would show.
func New(cfg Config) *Dash {
	if cfg.Lines == (Lines{}) {
		cfg.Lines = DefaultLines
	}
	d := &Dash{
		cfg: cfg, rail: rail(), mux: http.NewServeMux(), shut: http.NewCrossOriginProtection(),
		guard: &guard{cfg.Store}, hashing: make(chan struct{}, maxHashing), attempts: make(chan struct{}, maxHashing),
		subjects: newSubjects(cfg.Store), secure: strings.HasPrefix(cfg.PublicURL, "https:"),
	}
	d.hub, d.lookouts = newHub(cfg.Store, cfg.Log), newLookouts()
	d.pages = d.parse()
	d.mux.HandleFunc("GET /assets/{name}", asset)
	d.mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		r.SetPathValue("name", "waypost.svg")
		asset(w, r)
	})
	for _, s := range allScreens() {
		for _, rt := range s.Routes {
			d.mux.HandleFunc(rt.Pattern, d.answer(s, rt))
		}
	}
	d.mux.HandleFunc("/", d.answer(nil, route{Role: waypost.RoleViewer, Handle: func(*Dash, *visit) error { return errNoPage }}))
	return d
}

// ServeHTTP answers one request.
func (d *Dash) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer d.recover(w, r)
	lock(w.Header(), d.secure)
	if err := d.shut.Check(r); err != nil {
		d.fault(&visit{w: w, r: r, now: time.Now()}, errForeign)
		return
	}
	d.mux.ServeHTTP(w, r)
}
