package dash

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/waypost-mail/waypost"
)

// visit is one request of a person.
type visit struct {
	w       http.ResponseWriter
	r       *http.Request
	now     time.Time
	screen  *screen
	person  waypost.Person // zero until identified
	session session
	token   string
	flash   []flash      // to be shown by the page of this very answer
	probing *probeStream // by which the person follows a connection test; nil: not at all
}

func (d *Dash) visit(w http.ResponseWriter, r *http.Request) *visit {
	return &visit{w: w, r: r, now: time.Now()}
}

func (v *visit) ctx() context.Context { return v.r.Context() }

// account is the tenant that every look-up of the visit names.
func (v *visit) account() int64 { return v.person.Account }

// known tells whether the person is logged in.
func (v *visit) known() bool { return v.person.ID != 0 }

// frame is what the layout and every page's template get.
type frame struct {
	Version string
	Host    string
	Person  *waypost.Person // nil before the login
	Rail    []railGroup
	Screen  *screen
	Flash   []flash
	Now     time.Time
	URL     string // of this very page, with its query
	// Passwords tells whether they open sessions here.
	Passwords bool
	Page      any // the screen's own
}

// Can tells whether the person has at least the role named.
func (f frame) Can(role string) bool {
	return f.Person != nil && may(f.Person, waypost.Role(role))
}

// railGroup is a part of the rail with the lines that the person may see.
type railGroup struct {
	Name    string
	Screens []*screen
}

func (d *Dash) railFor(p *waypost.Person) []railGroup {
	var out []railGroup
	for _, s := range d.rail {
		least := s.Role
		if least == "" {
			least = waypost.RoleViewer
		}
		if s.Title == "" || !may(p, least) {
			continue
		}
		if len(out) == 0 || out[len(out)-1].Name != s.Group {
			out = append(out, railGroup{Name: s.Group})
		}
		g := &out[len(out)-1]
		g.Screens = append(g.Screens, s)
	}
	return out
}

// show answers with the page of a template.
func (d *Dash) show(v *visit, name string, page any) error {
	return d.showStatus(v, http.StatusOK, name, page)
}

// showStatus answers with a status other than 200: a form that was refused, a
// page that reports a fault. The page is made whole before anything is sent,
// so that a template that fails leaves no half of a page.
func (d *Dash) showStatus(v *visit, status int, name string, page any) error {
	t := d.pages[name]
	if t == nil {
		return fmt.Errorf("BUG: there is no template %q", name)
	}
	f := frame{
		Version: d.cfg.Version, Host: v.r.Host, Screen: v.screen, Now: v.now, Page: page, Passwords: d.passwords(),
		URL: v.r.URL.RequestURI(), Flash: append(d.takeFlash(v), v.flash...),
	}
	if v.known() {
		f.Person, f.Rail = &v.person, d.railFor(&v.person)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "layout", f); err != nil {
		return fmt.Errorf("BUG: template %s: %w", name, err)
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes()) // the caller may be gone
	return nil
}

// redirect leads to another page of the dashboard after a change.
func (v *visit) redirect(to string) error {
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// today is the present day of the statistics, in UTC.
func (v *visit) today() time.Time { return v.now.UTC().Truncate(24 * time.Hour) }
