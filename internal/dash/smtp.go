package dash

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/waypost-mail/waypost"
)

var smtpScreen = screen{Path: "/smtp", Title: "SMTP access", Icon: "mail", Group: "Manage", Role: waypost.RoleOwner, Routes: []route{
	{"GET /smtp", waypost.RoleOwner, (*Dash).smtp},
	{"POST /smtp", waypost.RoleOwner, (*Dash).createSMTP},
	{"GET /smtp/{id}/delete", waypost.RoleOwner, (*Dash).askSMTP},
	{"POST /smtp/{id}/delete", waypost.RoleOwner, (*Dash).deleteSMTP},
}}

// smtpCredential is the API's answer of one login for SMTP submission.
type smtpCredential struct {
	ID       int64     `json:"id"`
	Name     string    `json:"name"`
	Username string    `json:"username"`
	Password string    `json:"password"`
	Hint     string    `json:"hint"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"lastUsed"`
}

// smtpPage are the logins of a sub-account.
type smtpPage struct {
	Form *form // the choice of the sub-account, and the new login
	Sub  waypost.SubAccount
	Subs []option
	Rows []smtpCredential
}

func (d *Dash) smtp(v *visit) error {
	return d.showSMTP(v, http.StatusOK, filled("sub", v.r.URL.Query().Get("sub")))
}

func (d *Dash) showSMTP(v *visit, status int, f *form) error {
	p := smtpPage{Form: f}
	var err error
	if p.Sub, p.Subs, err = d.chosenSub(v, f); err != nil {
		return err
	}
	if err := d.call(v, p.Sub.ID, http.MethodGet, "/subaccount/smtp", nil, &p.Rows); err != nil {
		return err
	}
	return d.showStatus(v, status, "smtp", p)
}

// createSMTP makes a login and shows its password this once.
func (d *Dash) createSMTP(v *visit) error {
	f := newForm(v.r.PostForm)
	sub, err := d.subOf(v, f.Get("sub"))
	if err != nil {
		return err
	}
	var made smtpCredential
	if err := d.call(v, sub.ID, http.MethodPost, "/subaccount/smtp", map[string]string{"name": f.Get("name")}, &made); err != nil {
		if !f.refuse(err, "name") {
			return err
		}
		return d.showSMTP(v, http.StatusUnprocessableEntity, f)
	}
	return d.once(v, oncePage{
		Title: "The password of " + made.Name, Text: "It is shown only now: nobody can read it again later.", Value: made.Password,
		More: []fact{{"User name", made.Username}}, Note: "Ports, and whether SMTP submission is served at all, are set by the configuration of the installation.",
		Back: link("/smtp", "sub", strconv.FormatInt(sub.ID, 10)), Crumb: "SMTP access",
	})
}

// smtpOf finds the login that a request's path names.
func (d *Dash) smtpOf(v *visit) (waypost.APIKey, error) {
	k, err := d.keyOf(v)
	if err == nil && k.Kind != waypost.KeySubmission {
		err = errNoPage
	}
	return k, err
}

func (d *Dash) askSMTP(v *visit) error {
	k, err := d.smtpOf(v)
	if err != nil {
		return err
	}
	return d.confirm(v, confirmPage{
		Title: "End the login " + k.Name + "?", Text: "Whoever uses it is refused at once, and an ended login never comes back.",
		Action: fmt.Sprintf("/smtp/%d/delete", k.ID), Button: "End this login", Back: link("/smtp", "sub", strconv.FormatInt(k.SubAccount, 10)),
	})
}

func (d *Dash) deleteSMTP(v *visit) error {
	k, err := d.smtpOf(v)
	if err != nil {
		return err
	}
	err = d.call(v, k.SubAccount, http.MethodDelete, fmt.Sprintf("/subaccount/smtp/%d", k.ID), nil, nil)
	return d.after(v, err, "The login "+k.Name+" is ended.", link("/smtp", "sub", strconv.FormatInt(k.SubAccount, 10)))
}
