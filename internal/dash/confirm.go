package dash

import "net/http"

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
