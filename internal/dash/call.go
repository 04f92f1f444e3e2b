package dash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/waypost-mail/waypost"
)

// Refusal is an error answer of the API (D-2).
type Refusal struct {
	Status  int
	Message string
	Param   string
	Details []RefusedField
	Body    []byte // the whole answer: a connection test stands in it, too
}

// RefusedField is the trouble of one field.
type RefusedField struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// Error is the message.
func (r *Refusal) Error() string { return r.Message }

// call makes a request of the API in this process, as the person: with the
// rights of an account key, or of a sub-account's when sub is not 0. body and
// out may be nil. An error answer comes back as a *Refusal.
func (d *Dash) call(v *visit, sub int64, method, path string, body, out any) error {
	return d.do(v.ctx(), d.actor(v, sub), method, path, body, out)
}

// actor is the key that a person's requests of the API are made with.
func (d *Dash) actor(v *visit, sub int64) waypost.APIKey {
	actor := waypost.APIKey{Kind: waypost.KeyAccount, Account: v.account(), Hint: v.person.Email, Created: v.person.Created}
	if sub != 0 {
		actor.Kind, actor.SubAccount = waypost.KeySubAccount, sub
	}
	return actor
}

func (d *Dash) do(ctx context.Context, actor waypost.APIKey, method, path string, body, out any) error {
	r, err := d.request(ctx, actor, method, path, body)
	if err != nil {
		return err
	}
	w := newRecorder()
	d.cfg.API.ServeHTTP(w, r)
	return w.answer(method+" "+path, out)
}

// request is a request of the API in the words of JSON.
func (d *Dash) request(ctx context.Context, actor waypost.APIKey, method, path string, body any) (*http.Request, error) {
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("encode the request of %s %s: %w", method, path, err)
		}
	}
	r, err := http.NewRequestWithContext(d.cfg.As(ctx, actor), method, "http://dashboard/api/v1"+path, bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("request %s %s: %w", method, path, err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	r.RemoteAddr = "127.0.0.1:0"
	return r, nil
}

// answer reads what was recorded into out, or gives the refusal that it is.
func (w *recorder) answer(of string, out any) error {
	if w.status >= http.StatusBadRequest {
		return refusal(w)
	}
	if out == nil || w.body.Len() == 0 {
		return nil
	}
	if raw, ok := out.(*[]byte); ok {
		*raw = w.body.Bytes()
		return nil
	}
	if err := json.Unmarshal(w.body.Bytes(), out); err != nil {
		return fmt.Errorf("read the answer to %s: %w", of, err)
	}
	return nil
}

// send makes a request whose body is bytes of the person's own, such as a
// file, and reads the answer as call does. The body is not kept in memory.
func (d *Dash) send(v *visit, sub int64, path string, body io.Reader, out any) error {
	r, err := d.foreign(v, sub, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	w := newRecorder()
	d.cfg.API.ServeHTTP(w, r)
	if w.status >= http.StatusBadRequest {
		return refusal(w)
	}
	if err := json.Unmarshal(w.body.Bytes(), out); err != nil {
		return fmt.Errorf("read the answer to POST %s: %w", path, err)
	}
	return nil
}

// pipe hands an answer of the API on to the person as it is made: a file of
// whatever length.
func (d *Dash) pipe(v *visit, sub int64, path string) error {
	r, err := d.foreign(v, sub, http.MethodGet, path, http.NoBody)
	if err != nil {
		return err
	}
	_ = http.NewResponseController(v.w).SetWriteDeadline(time.Time{}) // it takes as long as it takes
	d.cfg.API.ServeHTTP(v.w, r)
	return nil
}

// foreign is a request of a sub-account's whose body or answer is no JSON of
// ours.
func (d *Dash) foreign(v *visit, sub int64, method, path string, body io.Reader) (*http.Request, error) {
	actor := waypost.APIKey{Kind: waypost.KeySubAccount, Account: v.account(), SubAccount: sub, Hint: v.person.Email, Created: v.person.Created}
	r, err := http.NewRequestWithContext(d.cfg.As(v.ctx(), actor), method, "http://dashboard/api/v1"+path, body)
	if err != nil {
		return nil, fmt.Errorf("request %s %s: %w", method, path, err)
	}
	r.RemoteAddr = "127.0.0.1:0"
	return r, nil
}

func refusal(w *recorder) error {
	var e struct {
		Error struct {
			Message string         `json:"message"`
			Param   string         `json:"param"`
			Details []RefusedField `json:"details"`
		} `json:"error"`
	}
	r := &Refusal{Status: w.status, Body: w.body.Bytes()}
	if json.Unmarshal(r.Body, &e) == nil {
		r.Message, r.Param, r.Details = e.Error.Message, e.Error.Param, e.Error.Details
	}
	if r.Message == "" {
		r.Message = http.StatusText(w.status)
	}
	return r
}

// recorder is a response that stays in this process.
type recorder struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

func newRecorder() *recorder { return &recorder{header: http.Header{}, status: http.StatusOK} }

// Header implements [http.ResponseWriter].
func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if !w.wrote {
		w.status, w.wrote = status, true
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.wrote = true
	return w.body.Write(b)
}
