package api_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"

	"github.com/waypost-mail/waypost"
)

// callWith is call with further headers.
func (w *world) callWith(method, path string, kind waypost.KeyKind, body any, headers map[string]string) (int, http.Header, string) {
	w.Helper()
	var text []byte
	switch b := body.(type) {
	case nil:
	case string:
		text = []byte(b)
	default:
		var err error
		if text, err = json.Marshal(b); err != nil {
			w.Fatal(err)
		}
	}
	r := httptest.NewRequestWithContext(w.Context(), method, path, bytes.NewReader(text))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(w.headers[kind], w.keys[kind])
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec.Code, rec.Header(), rec.Body.String()
}

// wantV1 calls in the contract v1 and fails unless the status is as given; it
// decodes the answer.
func (w *world) wantV1(status int, method, path string, kind waypost.KeyKind, body any) map[string]any {
	w.Helper()
	got, _, text := w.callWith(method, path, kind, body, map[string]string{"X-SendPost-Public-Contract": "v1"})
	if got != status {
		w.Fatalf("%s %s: status %d, want %d: %s", method, path, got, status, text)
	}
	var out any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		w.Fatalf("%s %s: %v: %s", method, path, err, text)
	}
	if list, ok := out.([]any); ok {
		return map[string]any{"list": list}
	}
	return out.(map[string]any)
}

// content is what is stored of the call that made a message.
func (w *world) content(id string) (waypost.Content, waypost.Message) {
	w.Helper()
	uuid, err := waypost.ParseUUID(id)
	if err != nil {
		w.Fatal(err)
	}
	m, err := w.store.Message(w.Context(), w.account.ID, uuid)
	if err != nil {
		w.Fatal(err)
	}
	c, err := w.store.Content(w.Context(), m.Content)
	if err != nil {
		w.Fatal(err)
	}
	return c, m
}
