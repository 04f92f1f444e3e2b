package track

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"time"
)

const (
	// maxForm bounds the body of an unsubscription, in bytes.
	maxForm = 16 << 10
	// commitLimit is how long an unsubscription waits for its body, and then for
	// its commit.
	commitLimit = 10 * time.Second
	// retryAfter is when to try again, in seconds.
	retryAfter = 30

	// formField and formValue are the body of a one-click POST (RFC 8058,
	// section 3.2). The page's own button sends the same.
	formField = "List-Unsubscribe"
	formValue = "One-Click"
)

// confirm shows the page that asks. It changes nothing: filters follow links.
func (t *Tracker) confirm(w http.ResponseWriter, r *http.Request, s string) {
	if _, ok := t.token(s, Unsubscribe); !ok {
		t.refuse(w, r)
		return
	}
	show(w, r, http.StatusOK, askPage)
}

// unsubscribe takes the wish and answers after it is stored.
func (t *Tracker) unsubscribe(w http.ResponseWriter, r *http.Request, s string) {
	token, ok := t.token(s, Unsubscribe)
	if !ok {
		t.refuse(w, r)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(commitLimit)) // a body that drips in holds nothing for long
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := parseForm(r); err != nil {
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			show(w, r, http.StatusRequestEntityTooLarge, largePage)
			return
		}
		show(w, r, http.StatusBadRequest, formPage)
		return
	}
	if r.PostForm.Get(formField) != formValue {
		show(w, r, http.StatusBadRequest, formPage)
		return
	}
	h := t.hit(r, &token)
	t.judge(&h, nil)
	h.Visit.Machine = "" // a POST with this body is a person's wish, whoever carries it
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), commitLimit)
	defer cancel()
	known, err := t.cfg.Record(ctx, []Hit{h})
	switch {
	case err != nil:
		t.cfg.Log.ErrorContext(ctx, "an unsubscription cannot be stored; the reader is asked to come again", "message", h.Message.String(), "error", err)
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		show(w, r, http.StatusServiceUnavailable, laterPage)
	case known == 0:
		t.refused.Add(1)
		show(w, r, http.StatusNotFound, gonePage)
	default:
		show(w, r, http.StatusOK, donePage)
	}
}

// parseForm reads the body in either of the forms of RFC 8058, in memory.
func parseForm(r *http.Request) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if media != "multipart/form-data" {
		return r.ParseForm()
	}
	return r.ParseMultipartForm(2 * maxForm) // more than the body can have: nothing goes to disk
}
