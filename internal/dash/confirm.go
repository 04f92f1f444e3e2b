package dash

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// confirmPage asks before what cannot be undone: a page, so that it needs no
// script.
type confirmPage struct {
	Title  string
	Text   string
	Losses []string // what goes with it, each a sentence
	Action string   // where the answer is posted to
	Button string
	Back   string
	Hidden []fact // fields that the answer carries on
}

// confirm answers with the question.
func (d *Dash) confirm(v *visit, p confirmPage) error {
	return d.showStatus(v, http.StatusOK, "confirm", p)
}

// asked are the routes of buttons whose question the script asks (app.js, which
// then adds the field sure). Without the script, a page asks it.
var asked = map[string]confirmPage{
	"POST /messages/{id}/cancel":   {Title: "Cancel this message?", Text: "It will not be sent.", Button: "Cancel it"},
	"POST /messages/{id}/suppress": {Title: "Suppress this recipient?", Text: "The sub-account sends nothing more to the address, this message included if it waits.", Button: "Suppress the recipient"},
	"POST /queue/cancel":           {Title: "Cancel what waits here?", Text: "None of these messages will be sent.", Button: "Cancel them"},
	"POST /people/{id}/password":   {Title: "Give this person a new password?", Text: "All sessions of the person end.", Button: "Make a new password"},
	"POST /people/{id}/delete":     {Title: "Remove this person?", Text: "All sessions of the person end.", Button: "Remove the person"},
	"POST /providers/{id}/rotate":  {Title: "Make a new key for the agent?", Text: "The old one works for 24 hours more.", Button: "Make a new key"},
	"POST /providers/{id}/delete":  {Title: "Delete this provider?", Text: "What waits for it goes to other members of its pools, or is dropped.", Button: "Delete this provider"},
}

// ask answers with the question of a route when nobody was asked yet. The page
// carries the form's fields on.
func (d *Dash) ask(v *visit, pattern string) (done bool, err error) {
	p, ok := asked[pattern]
	if !ok || v.r.PostForm.Has("sure") {
		return false, nil
	}
	p.Action, p.Back = v.r.URL.Path, "/"
	if from, err := url.Parse(v.r.Referer()); err == nil && from.Host == v.r.Host {
		p.Back = local(from.RequestURI())
	}
	for name, values := range v.r.PostForm {
		for _, value := range values {
			p.Hidden = append(p.Hidden, fact{name, value})
		}
	}
	slices.SortFunc(p.Hidden, func(a, b fact) int { return strings.Compare(a.Name, b.Name) })
	p.Hidden = append(p.Hidden, fact{"sure", "1"})
	return true, d.confirm(v, p)
}

// after answers a form of one button: what the API refused is said above the
// page that it leads back to, and so is what was done.
func (d *Dash) after(v *visit, err error, done, to string) error {
	if err != nil {
		f := newForm(nil)
		if !f.refuse(err) {
			return err
		}
		d.say(v, "bad", capital(f.Message)+".")
		return v.redirect(to)
	}
	if done != "" {
		d.say(v, "ok", done)
	}
	return v.redirect(to)
}
