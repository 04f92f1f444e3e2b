package dash

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/waypost-mail/waypost"
)

// probeResult is a connection test as the API answers it (D-13).
type probeResult struct {
	Success    bool        `json:"success"`
	FailedStep string      `json:"failedStep"`
	Message    string      `json:"message"`
	Hint       string      `json:"hint"`
	Steps      []probeStep `json:"steps"`
	TLS        *struct {
		Version string `json:"version"`
		Cipher  string `json:"cipher"`
	} `json:"tls"`
	Capabilities []string `json:"capabilities"`
}

type probeStep struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Code int    `json:"code"`
	Text string `json:"text"`
	MS   int64  `json:"ms"`

	State string `json:"-"` // "now" and "wait" of one that has not ended, else ""
}

// Class says how the step stands.
func (s probeStep) Class() string {
	switch {
	case s.State != "":
		return s.State
	case s.OK:
		return "ok"
	}
	return "bad"
}

// stepWords say what a step of the connection test does.
var stepWords = map[string]string{
	"dns": "Find the address", "connect": "Connect", "banner": "Greeting", "ehlo": "EHLO", "starttls": "STARTTLS", "tls": "TLS handshake",
	"auth": "Log in", "mail": "MAIL FROM", "rcpt": "RCPT TO", "data": "DATA and message", "quit": "QUIT",
}

// Words say what the step does.
func (s probeStep) Words() string { return orElse(stepWords[s.Name], s.Name) }

// providerFields are the fields of the form, by the API's names.
var providerFields = []string{
	"name", "smtpHost", "smtpPort", "smtpSecurity", "smtpAuth", "smtpUsername", "smtpPassword", "heloName", "tlsSkipVerify", "allowPlainAuth",
	"maxRatePerHour", "burst", "retryPermanent", "retrySchedule", "maxConnections", "maxMessagesPerConnection", "testFrom", "testTo",
}

var (
	securityOptions = []option{{"starttls", "STARTTLS (usual on port 587)"}, {"tls", "TLS from the start (usual on port 465)"}, {"none", "None: everything in the clear"}}
	authOptions     = []option{{"auto", "Automatic"}, {"plain", "PLAIN"}, {"login", "LOGIN"}, {"none", "None"}}
)

// providerPage is the form of a provider, new or to be changed.
type providerPage struct {
	Form     *form
	ID       int64 // 0: a new one
	Name     string
	Test     *probeResult
	Security []option
	Auth     []option
	Boxes    []boxLimit
	HasLogin bool // a password is stored
}

// boxLimit is a row of the limits of mailbox categories.
type boxLimit struct {
	Name       string
	PerHour    string
	Sessions   string
	WrongHour  string
	WrongConns string
}

func newProviderForm() *form {
	return filled("smtpPort", "587", "smtpSecurity", "starttls", "smtpAuth", "auto", "maxRatePerHour", strconv.Itoa(waypost.DefaultMaxPerHour),
		"retryPermanent", "1", "createIPPool", "1")
}

// providerForm is the form filled with a provider as it is.
func providerForm(p *waypost.Provider) *form {
	f := filled("name", p.Name, "smtpHost", p.Host, "smtpPort", strconv.Itoa(p.Port), "smtpSecurity", p.Security, "smtpAuth", p.Auth,
		"smtpUsername", p.Username, "heloName", p.HELO, "maxRatePerHour", strconv.Itoa(p.MaxPerHour), "retrySchedule", p.Retry.String(),
		"maxConnections", strconv.Itoa(p.MaxConnections), "maxMessagesPerConnection", strconv.Itoa(p.MaxPerSession))
	for name, on := range map[string]bool{"tlsSkipVerify": p.TLSSkipVerify, "allowPlainAuth": p.PlainAuth, "burst": p.Burst, "retryPermanent": p.RetryPermanent} {
		if on {
			f.Values.Set(name, "1")
		}
	}
	for box, l := range p.Settings {
		f.Values.Set("limit."+box.String(), strconv.Itoa(l.MaxPerHour))
		f.Values.Set("conns."+box.String(), strconv.Itoa(l.MaxConnections))
	}
	return f
}

// boxRows are the rows of mailbox categories, with what was typed.
func boxRows(f *form) []boxLimit {
	out := make([]boxLimit, 0, waypost.Mailboxes)
	for box := range waypost.Mailboxes {
		name := box.String()
		zero := func(s string) string {
			if s == "0" {
				return ""
			}
			return s
		}
		out = append(out, boxLimit{
			name, zero(f.Get("limit." + name)), zero(f.Get("conns." + name)),
			f.Wrong["providerSettings."+name+".maxSendPerHour"], f.Wrong["providerSettings."+name+".maxConcurrentConnections"],
		})
	}
	return out
}

// providerBody is the API's request of a form. A password left empty is left
// out: an update keeps the stored one.
func providerBody(f *form) map[string]any {
	body := map[string]any{}
	for _, name := range []string{"name", "smtpHost", "smtpSecurity", "smtpAuth", "smtpUsername", "heloName", "retrySchedule", "testFrom", "testTo"} {
		body[name] = f.Get(name)
	}
	if password := f.Raw("smtpPassword"); password != "" {
		body["smtpPassword"] = password
	} else if f.Get("smtpUsername") == "" {
		body["smtpPassword"] = ""
	}
	for _, name := range []string{"tlsSkipVerify", "allowPlainAuth", "burst", "retryPermanent", "createIPPool"} {
		body[name] = f.On(name)
	}
	for _, name := range []string{"smtpPort", "maxRatePerHour", "maxConnections", "maxMessagesPerConnection"} {
		body[name] = wholeNumber(f, name)
	}
	settings := map[string]map[string]int{}
	for box := range waypost.Mailboxes {
		name := box.String()
		hour, conns := wholeNumber(f, "limit."+name), wholeNumber(f, "conns."+name)
		if hour != 0 || conns != 0 {
			settings[name] = map[string]int{"maxSendPerHour": hour, "maxConcurrentConnections": conns}
		}
	}
	body["providerSettings"] = settings
	return body
}

// wholeNumber reads a number; what is none is -1, which the API refuses.
func wholeNumber(f *form, name string) int {
	s := strings.ReplaceAll(f.Get(name), ",", "")
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func (d *Dash) showProviderForm(v *visit, status int, p providerPage) error {
	p.Security, p.Auth, p.Boxes = securityOptions, authOptions, boxRows(p.Form)
	return d.showStatus(v, status, "provider-form", p)
}

func (d *Dash) newProvider(v *visit) error {
	return d.showProviderForm(v, http.StatusOK, providerPage{Form: newProviderForm()})
}

// createProvider saves a provider after its connection test, or with "test"
// only makes the test.
func (d *Dash) createProvider(v *visit) error {
	f := newForm(v.r.PostForm)
	page := providerPage{Form: f}
	if f.On("test") {
		var result probeResult
		if err := d.callTest(v, http.MethodPost, "/tpsp/test/custom-smtp", providerBody(f), &result); err != nil {
			return d.refusedProvider(v, page, err)
		}
		return d.showTest(v, http.StatusOK, page, &result)
	}
	var made struct {
		ID   int64  `json:"id"`
		Key  string `json:"eventIngestionApiKey"`
		Pool string `json:"ippool"`
	}
	if err := d.callTest(v, http.MethodPost, "/account/tpsp", providerBody(f), &made); err != nil {
		return d.refusedProvider(v, page, err)
	}
	v.w.Header().Set("Content-Location", "/providers/"+strconv.FormatInt(made.ID, 10))
	return d.showProvider(v, made.ID, providerView{Key: made.Key, KeyTitle: "The provider is saved. This is the key of its agent"})
}

// showTest shows the form with a connection test. Whoever followed the test has
// the form still, with what is never sent back: the password.
func (d *Dash) showTest(v *visit, status int, page providerPage, test *probeResult) error {
	if v.probing != nil && v.probing.begun {
		v.probing.result = test
		return nil
	}
	page.Test = test
	return d.showProviderForm(v, status, page)
}

// refusedProvider shows the form again, with the connection test when that is
// what failed.
func (d *Dash) refusedProvider(v *visit, page providerPage, err error) error {
	if r, refused := errors.AsType[*Refusal](err); refused {
		var test probeResult
		if json.Unmarshal(r.Body, &test) == nil && len(test.Steps) > 0 {
			return d.showTest(v, http.StatusUnprocessableEntity, page, &test)
		}
	}
	names := providerFields
	for box := range waypost.Mailboxes {
		names = append(names, "providerSettings."+box.String()+".maxSendPerHour", "providerSettings."+box.String()+".maxConcurrentConnections")
	}
	if !page.Form.refuse(err, names...) {
		return err
	}
	return d.showProviderForm(v, http.StatusUnprocessableEntity, page)
}

func (d *Dash) editProvider(v *visit) error {
	p, err := d.providerOf(v)
	if err != nil {
		return err
	}
	return d.showProviderForm(v, http.StatusOK, providerPage{Form: providerForm(&p), ID: p.ID, Name: p.Name, HasLogin: len(p.Password) > 0})
}

func (d *Dash) updateProvider(v *visit) error {
	p, err := d.providerOf(v)
	if err != nil {
		return err
	}
	f := newForm(v.r.PostForm)
	body := providerBody(f)
	delete(body, "createIPPool")
	err = d.callTest(v, http.MethodPut, "/account/tpsp/"+strconv.FormatInt(p.ID, 10), body, nil)
	if err != nil {
		return d.refusedProvider(v, providerPage{Form: f, ID: p.ID, Name: p.Name, HasLogin: len(p.Password) > 0}, err)
	}
	d.say(v, "ok", "The provider is changed.")
	return v.redirect("/providers/" + strconv.FormatInt(p.ID, 10))
}
