package api

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/ingest"
	"github.com/waypost-mail/waypost/internal/queue"
	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/senderdomain"
	"github.com/waypost-mail/waypost/internal/smtp"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/track"
	"github.com/waypost-mail/waypost/internal/webhook"
)

// Config is what the API needs.
type Config struct {
	Store   store.Store
	Queue   *queue.Queue
	Door    *ingest.Door
	Box     *secret.Box
	Checker *senderdomain.Checker
	Domains senderdomain.Config
	Probe   func(ctx context.Context, c smtp.Config, from, to string) smtp.ProbeResult // the connection test
	Greet   func(ctx context.Context, c smtp.Config) smtp.ProbeResult                  // a connection that ends after EHLO
	Node    func(ctx context.Context) []HealthCheck                                    // health of this node, nil for none
	Log     *slog.Logger
	Version string

	Webhooks *webhook.Sender // for tests of webhooks

	Geo *track.Geo // where visits come from; nil: not told

	SubmissionDomain string // of user names of SMTP submission; "" : waypost.SubmissionDomain

	AllowPrivate   bool           // providers may be on private addresses (D-14)
	PublicURL      string         // how the world reaches the API, without a slash at its end; for the reference
	AcceptBytes    int64          // send calls being read and stored, default 64 MiB
	KeyPerHour     int            // requests an hour of a key that has no bound of its own, 0: no bound
	TrustedProxies []netip.Prefix // whose X-Forwarded-For tells where a request came from
	PseudoIP       netip.Addr     // what /account/ip shows (D-8); zero: 192.0.2.1
	LegacySunset   time.Time      // from when v1 is the contract of requests that name none (D-1); zero: never
}

// API answers requests. Make it with New.
type API struct {
	cfg    Config
	router *router
	huma   huma.API
	keys   *keyCache
	heads  store.Heads

	used     usage
	throttle throttle
	room     *room       // of send calls
	cursors  pageCursors // where pages of lists ended
}

// The base path of every operation.
const base = "/api/v1"

// ReferencePath is where the server shows the readable reference.
const ReferencePath = "/docs/api"

// New makes the handler of everything below /api/v1.
func New(cfg Config) *API {
	useErrorShape()
	config := huma.DefaultConfig("Waypost", cfg.Version)
	config.CreateHooks = nil // no "$schema" in answers: strict clients refuse it
	config.DocsPath = ""     // its page loads scripts from elsewhere
	config.SchemasPath = ""
	config.OpenAPIPath = base + "/openapi"
	config.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	config.DefaultFormat = "application/json"
	config.Components.SecuritySchemes = securitySchemes()
	a := &API{cfg: cfg, router: &router{ServeMux: http.NewServeMux()}, keys: newKeyCache(cfg.Store), heads: store.Heads{Queue: cfg.Store}, cursors: newPageCursors(), room: newRoom(cfg.AcceptBytes)}
	a.used.last, a.throttle.buckets = map[int64]time.Time{}, map[int64]bucket{}
	config.Servers = []*huma.Server{{URL: cfg.PublicURL}}
	config.Info.Description = aboutAPI
	config.Tags = documentTags()
	config.OnAddOperation = append(config.OnAddOperation, jsonAlone)
	a.huma = humago.New(a.router, config)
	a.huma.UseMiddleware(a.authorize)
	a.routes()
	return a
}

// router remembers what it was given, so that a test can hold it against the
// document.
type router struct {
	*http.ServeMux
	patterns []string
}

// HandleFunc implements [humago.Mux].
func (r *router) HandleFunc(pattern string, handle func(http.ResponseWriter, *http.Request)) {
	r.patterns = append(r.patterns, pattern)
	r.ServeMux.HandleFunc(pattern, handle)
}

func (a *API) routes() {
	a.emailRoutes()
	a.templateRoutes()
	a.suppressionRoutes()
	a.providerRoutes()
	a.probeRoutes()
	a.poolRoutes()
	a.routeRoutes()
	a.queueRoutes()
	a.domainRoutes()
	a.messageRoutes()
	a.reportRoutes()
	a.bounceRoutes()
	a.healthRoutes()
	a.subAccountRoutes()
	a.ipRoutes()
	a.statRoutes()
	a.keyRoutes()
	a.webhookRoutes()
	a.smtpCredentialRoutes()
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	steps, r := streamsSteps(w, r)
	if steps != nil {
		w = steps
		defer steps.end()
	}
	defer a.recover(w, r)
	r, refused := a.applyContract(w, r, time.Now())
	w.Header().Set("Cache-Control", "no-store")
	if refused != nil {
		writeError(w, refused)
		return
	}
	if p := r.URL.Path; len(p) > 1 && strings.HasSuffix(p, "/") { // D-3
		r.URL.Path = strings.TrimRight(p, "/")
		r.URL.RawPath = strings.TrimRight(r.URL.RawPath, "/")
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = io.NopCloser(r.Body) // the framework closes it, and hearOut reads on
	}
	answer := &jsonErrors{ResponseWriter: w, request: r}
	a.huma.Adapter().ServeHTTP(answer, r)
	if answer.status >= http.StatusBadRequest {
		hearOut(w, r)
	}
}

func (a *API) recover(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { //nolint:errorlint // the sentinel itself: an answer that began cannot end well
		panic(v)
	}
	a.cfg.Log.ErrorContext(r.Context(), "BUG: panic while answering a request", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	writeError(w, fail(http.StatusInternalServerError, "the server met an error of its own; the log has the details"))
}

// jsonErrors turns the mux's own plain-text 404 and 405 into the error shape.
type jsonErrors struct {
	http.ResponseWriter
	request *http.Request
	took    bool // the answer was replaced; the plain text is dropped
	status  int  // of the answer, 0 until it is written
}

func (j *jsonErrors) WriteHeader(status int) {
	j.status = status
	plain := strings.HasPrefix(j.Header().Get("Content-Type"), "text/plain")
	if plain && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed) {
		j.took = true
		e := fail(status, "there is no "+j.request.Method+" "+j.request.URL.Path+"; "+ReferencePath+" lists every operation")
		if status == http.StatusMethodNotAllowed {
			e = fail(status, j.request.URL.Path+" does not answer "+j.request.Method+"; see the Allow header")
		}
		writeError(j.ResponseWriter, e)
		return
	}
	j.ResponseWriter.WriteHeader(status)
}

func (j *jsonErrors) Write(b []byte) (int, error) {
	if j.took {
		return len(b), nil
	}
	return j.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (j *jsonErrors) Unwrap() http.ResponseWriter { return j.ResponseWriter }

// operation describes one operation; the defaults are for small JSON bodies.
func operation(method, path, summary string, kind waypost.KeyKind) huma.Operation {
	return huma.Operation{
		Method: method, Path: base + path, Summary: summary,
		OperationID:     operationID(method, path),
		Tags:            []string{tagOf(path)},
		Security:        []map[string][]string{{schemes[kind].name: {scopeOf(method, path)}}},
		DefaultStatus:   http.StatusOK,
		MaxBodyBytes:    1 << 20,
		BodyReadTimeout: time.Minute,
		Errors:          refusals(method, path),
	}
}

// refusals are the statuses, below 500, that an operation may refuse with.
func refusals(method, path string) []int {
	out := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusServiceUnavailable}
	if strings.Contains(path, "{") {
		out = append(out, http.StatusNotFound)
	}
	if method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		out = append(out, http.StatusRequestEntityTooLarge)
	}
	return out
}

func operationID(method, path string) string {
	r := strings.NewReplacer("/", "-", "{", "", "}", "")
	return strings.ToLower(method) + r.Replace(path)
}

// reply wraps a body for huma.
type reply[T any] struct{ Body T }

// raw is the input of an operation with a JSON body: read by input.go, so that
// no part of it can come back in an error.
type raw struct {
	RawBody []byte
}

// jsonAlone takes out what the framework thinks of a body that is read here:
// that any bytes would do.
func jsonAlone(_ *huma.OpenAPI, op *huma.Operation) {
	if op.RequestBody != nil && op.RequestBody.Content["application/json"] != nil {
		delete(op.RequestBody.Content, "application/octet-stream")
	}
}

// register adds an operation whose handler answers in the words of this
// package: every error becomes the one shape.
func register[I, O any](a *API, op huma.Operation, body any, handle func(ctx context.Context, in *I) (O, error)) {
	if body != nil {
		describeBody(a.huma, &op, body)
		op.SkipValidateBody = true // input.go does it, and echoes nothing
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*reply[O], error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.explain(ctx, &op, err)
		}
		return &reply[O]{out}, nil
	})
}
