package dash

import (
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"

	"github.com/waypost-mail/waypost/internal/store"
)

// The errors that have a page of their own.
var (
	errNoPage    = errors.New("no such page")
	errForbidden = errors.New("the person's role does not suffice")
	errForeign   = errors.New("the request came from another site")
	errNobody    = errors.New("nobody is logged in")
	errForm      = errors.New("the form cannot be read")
)

// faultPage is what went wrong, for people.
type faultPage struct {
	Status int
	Title  string
	Text   string
	Link   string
	Label  string
}

// fault answers with the page of an error. What nobody but the operator can
// mend is logged, and told without its inside.
func (d *Dash) fault(v *visit, err error) {
	var refused *Refusal
	p := faultPage{Status: http.StatusInternalServerError, Title: "Something went wrong here", Text: "The server met an error of its own; its log has the details. Try again, and look at the log if it stays.", Link: "/", Label: "To the overview"}
	switch {
	case errors.Is(err, errNobody):
		d.toLogin(v)
		return
	case errors.Is(err, errNoPage), errors.Is(err, store.ErrNotFound), errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		p = faultPage{http.StatusNotFound, "There is nothing here", "The address is wrong, or what it named was deleted.", "/", "To the overview"}
	case errors.Is(err, errForbidden):
		p = faultPage{http.StatusForbidden, "Your role does not allow this", "An owner of this installation can change roles under People.", "/", "To the overview"}
	case errors.Is(err, errForeign):
		p = faultPage{http.StatusForbidden, "This request came from another site", "Nothing was changed. Open the page here and try again.", "/", "To the overview"}
	case errors.Is(err, errForm):
		p = faultPage{http.StatusBadRequest, "The form could not be read", "It was cut short or is larger than 1 MiB. Nothing was changed.", "/", "To the overview"}
	case refused != nil:
		p = faultPage{refused.Status, "That was refused", refused.Message, "/", "To the overview"}
	case errors.Is(err, store.ErrUnavailable):
		p.Status, p.Title, p.Text = http.StatusServiceUnavailable, "Storage does not answer", "The database cannot be reached now; nothing was changed. Try again in a moment."
		d.cfg.Log.ErrorContext(v.ctx(), "storage unavailable; page refused", "path", v.r.URL.Path, "error", err)
	case v.ctx().Err() != nil:
		return // the caller is gone
	default:
		d.cfg.Log.ErrorContext(v.ctx(), "page failed", "method", v.r.Method, "path", v.r.URL.Path, "error", err)
	}
	if err := d.showStatus(v, p.Status, "fault", p); err != nil {
		d.cfg.Log.ErrorContext(v.ctx(), "fault page failed", "error", err)
		http.Error(v.w, p.Title, p.Status)
	}
}

func (d *Dash) recover(w http.ResponseWriter, r *http.Request) {
	e := recover()
	if e == nil {
		return
	}
	if e == http.ErrAbortHandler { //nolint:errorlint // the sentinel itself
		panic(e)
	}
	d.cfg.Log.ErrorContext(r.Context(), "BUG: panic while making a page", "method", r.Method, "path", r.URL.Path, "panic", e, "stack", string(debug.Stack()))
	http.Error(w, "The server met an error of its own; its log has the details.", http.StatusInternalServerError)
}

// toLogin leads to the login and, from there, back to where the person was:
// the page itself, or for a form the page that it stood on.
func (d *Dash) toLogin(v *visit) {
	next := v.r.URL.RequestURI()
	if v.r.Method != http.MethodGet {
		next = "/"
		if from, err := url.Parse(v.r.Referer()); err == nil && from.Host == v.r.Host {
			next = from.RequestURI()
		}
	}
	to := "/login"
	if next = local(next); next != "/" {
		to += "?next=" + url.QueryEscape(next)
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
}

// local gives a path of this dashboard, and "/" for anything that a browser
// could take for another site's address.
func local(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "/"
	}
	if len(next) > 2000 || next == "" || next[0] != '/' || len(next) > 1 && (next[1] == '/' || next[1] == '\\') {
		return "/"
	}
	for _, c := range []byte(next) {
		if c < ' ' || c == 0x7f || c == '\\' {
			return "/"
		}
	}
	return next
}
