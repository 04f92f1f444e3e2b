package dash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/waypost-mail/waypost"
)

// ndjson is the content type by which the page's script asks to follow a
// connection test.
const ndjson = "application/x-ndjson"

// followable makes a route whose connection test the page can follow. Without
// the script it answers as any other. With it, the answer is a JSON value a
// line: "probe" is the test as it stands, "step" with "at" a line of it that
// changed, and the last one is what the route came to: the finished test, a
// whole page, or the address of one.
func followable(handle func(*Dash, *visit) error) func(*Dash, *visit) error {
	return func(d *Dash, v *visit) error {
		if v.r.Header.Get("Accept") != ndjson {
			return handle(d, v)
		}
		s := &probeStream{ResponseWriter: v.w, pages: d.pages["provider-form"], header: http.Header{}}
		v.w, v.probing = s, s
		err := handle(d, v)
		if err != nil && s.begun {
			d.fault(v, err)
			err = nil
		}
		return s.end(err)
	}
}

// probeLine is one line of the answer.
type probeLine struct {
	Probe string `json:"probe,omitempty"` // HTML of the test
	Step  string `json:"step,omitempty"`  // HTML of one line of it
	At    int    `json:"at"`              // its place
	Page  string `json:"page,omitempty"`  // HTML of a page
	URL   string `json:"url,omitempty"`   // of that page, or where to go without one
}

// probeStream writes the lines. Until the test begins it lets everything
// through; a page that is made afterwards is held for the last line.
type probeStream struct {
	http.ResponseWriter
	pages  *template.Template
	begun  bool
	failed error // to write a line: a template that does not work
	plan   []string
	done   int
	result *probeResult // what the route came to, when it is the test itself
	header http.Header
	held   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (s *probeStream) Header() http.Header {
	if s.begun {
		return s.header
	}
	return s.ResponseWriter.Header()
}

// WriteHeader implements [http.ResponseWriter].
func (s *probeStream) WriteHeader(status int) {
	if !s.begun {
		s.ResponseWriter.WriteHeader(status)
	}
}

// Write implements [http.ResponseWriter].
func (s *probeStream) Write(b []byte) (int, error) {
	if s.begun {
		return s.held.Write(b)
	}
	return s.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (s *probeStream) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// begin shows the steps that are to come.
func (s *probeStream) begin(plan []string) {
	s.begun, s.plan = true, plan
	h := s.ResponseWriter.Header()
	h.Set("Content-Type", ndjson)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")                                                                   // a reverse proxy must not hold it back
	_ = http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Now().Add(2 * time.Minute)) // not every writer knows deadlines
	steps := make([]probeStep, len(plan))
	for i, name := range plan {
		steps[i] = probeStep{Name: name, State: "wait"}
		if i == 0 {
			steps[i].State = "now"
		}
	}
	s.line(&probeLine{Probe: s.html("probing", steps)})
}

// step shows a step that ended, and that the next one goes on.
func (s *probeStream) step(one probeStep) {
	s.line(&probeLine{At: s.done, Step: s.html("step", one)})
	s.done++
	if one.OK && s.done < len(s.plan) {
		s.line(&probeLine{At: s.done, Step: s.html("step", probeStep{Name: s.plan[s.done], State: "now"})})
	}
}

// end writes the last line, unless nothing was begun.
func (s *probeStream) end(err error) error {
	if !s.begun {
		return err
	}
	l := &probeLine{URL: s.header.Get("Location")}
	switch {
	case s.result != nil:
		l.Probe = s.html("probe", s.result)
	case l.URL == "":
		l.Page, l.URL = s.held.String(), s.header.Get("Content-Location")
	}
	s.line(l)
	return s.failed
}

func (s *probeStream) html(name string, data any) string {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, name, data); err != nil && s.failed == nil {
		s.failed = fmt.Errorf("BUG: template %s: %w", name, err)
	}
	return b.String()
}

// line writes a line at once. When the person is gone, the request's context
// ends the test.
func (s *probeStream) line(l *probeLine) {
	b, err := json.Marshal(l)
	if err != nil {
		panic("BUG: a line of a connection test cannot be written as JSON: " + err.Error())
	}
	_, _ = s.ResponseWriter.Write(append(b, '\n'))
	_ = http.NewResponseController(s.ResponseWriter).Flush()
}

// callTest is call for a request whose connection test the person may follow.
func (d *Dash) callTest(v *visit, method, path string, body, out any) error {
	if v.probing == nil {
		return d.call(v, 0, method, path, body, out)
	}
	r, err := d.request(v.ctx(), waypost.APIKey{Kind: waypost.KeyAccount, Account: v.account(), Hint: v.person.Email, Created: v.person.Created}, method, path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", ndjson)
	w := &lineRecorder{recorder: newRecorder(), to: v.probing}
	d.cfg.API.ServeHTTP(w, r)
	return w.answer(method+" "+path, out)
}

// lineRecorder is a recorder that passes a test's steps on, and keeps the
// answer in the last line.
type lineRecorder struct {
	*recorder
	to   *probeStream
	rest []byte // of a line that is not whole yet
}

// Write implements [http.ResponseWriter].
func (w *lineRecorder) Write(b []byte) (int, error) {
	if w.header.Get("Content-Type") != ndjson {
		return w.recorder.Write(b)
	}
	w.rest = append(w.rest, b...)
	for {
		line, rest, whole := bytes.Cut(w.rest, []byte{'\n'})
		if !whole {
			return len(b), nil
		}
		w.rest = rest
		if err := w.line(line); err != nil {
			return 0, err
		}
	}
}

func (w *lineRecorder) line(b []byte) error {
	var l struct {
		Plan   []string        `json:"plan"`
		Step   *probeStep      `json:"step"`
		Status int             `json:"status"`
		Answer json.RawMessage `json:"answer"`
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return fmt.Errorf("read a line of a connection test: %w", err)
	}
	switch {
	case l.Plan != nil:
		w.to.begin(l.Plan)
	case l.Step != nil:
		w.to.step(*l.Step)
	case l.Status != 0:
		w.status = l.Status
		w.body.Write(l.Answer)
	}
	return nil
}
