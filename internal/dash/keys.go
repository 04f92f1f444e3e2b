package dash

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var keysScreen = screen{Path: "/keys", Title: "API keys", Icon: "key", Group: "Manage", Role: waypost.RoleOwner, Routes: []route{
	{"GET /keys", waypost.RoleOwner, (*Dash).keys},
	{"POST /keys", waypost.RoleOwner, (*Dash).createKey},
	{"GET /keys/new", waypost.RoleOwner, (*Dash).newKey},
	{"GET /keys/{id}/edit", waypost.RoleOwner, (*Dash).editKey},
	{"POST /keys/{id}/edit", waypost.RoleOwner, (*Dash).updateKey},
	{"GET /keys/{id}/delete", waypost.RoleOwner, (*Dash).askKey},
	{"POST /keys/{id}/delete", waypost.RoleOwner, (*Dash).deleteKey},
}}

// keyScopes are what a key may be bounded to, in the words of the form.
var keyScopes = []option{
	{"send", "Send mail"},
	{"read", "Read settings, messages with their contents, events and statistics"},
	{"manage", "Change settings, suppressions and the queue"},
	{"keys", "Make and end keys that may no more than itself"},
}

var keyKinds = map[waypost.KeyKind]string{
	waypost.KeyAccount: "account", waypost.KeySubAccount: "sub-account", waypost.KeyIngestion: "agent", waypost.KeySubmission: "SMTP",
}

// keysPage is the list of keys.
type keysPage struct {
	Rows  []keyRow
	Query string
	More  string
}

// keyRow is one key of the list.
type keyRow struct {
	Key    waypost.APIKey
	Kind   string
	Of     string // the sub-account or provider
	State  chip
	Change bool
}

const keysPerPage = 100

func (d *Dash) keys(v *visit) error {
	q := newForm(v.r.URL.Query())
	p := keysPage{Query: clip(q.Get("q"), 100)}
	offset := int(min(formID(q, "from"), 1_000_000))
	list, err := d.cfg.Store.Keys(v.ctx(), v.account(), 0, store.Page{Limit: keysPerPage + 1, Offset: offset, Search: p.Query})
	if err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	providers, err := d.providerNames(v)
	if err != nil {
		return err
	}
	subs, err := d.subNames(v)
	if err != nil {
		return err
	}
	for i := range list[:min(len(list), keysPerPage)] {
		k := &list[i]
		row := keyRow{Key: *k, Kind: keyKinds[k.Kind], State: makeChip("ok", "live"), Change: k.Kind == waypost.KeyAccount || k.Kind == waypost.KeySubAccount}
		switch {
		case k.SubAccount != 0:
			row.Of = subs[k.SubAccount]
		case k.Provider != 0:
			row.Of = providers[k.Provider]
		}
		switch {
		case !k.Live(v.now):
			row.State = makeChip("quiet", "expired")
		case !k.Expires.IsZero() && k.Expires.Sub(v.now) < 14*24*time.Hour:
			row.State = makeChip("warn", "ends "+until(k.Expires, v.now))
		}
		p.Rows = append(p.Rows, row)
	}
	if len(list) > keysPerPage {
		p.More = link("/keys", "q", p.Query, "from", strconv.Itoa(offset+keysPerPage))
	}
	return d.show(v, "keys", p)
}

func (d *Dash) subNames(v *visit) (map[int64]string, error) {
	subs, err := d.subAccounts(v)
	if err != nil {
		return nil, err
	}
	out := map[int64]string{}
	for i := range subs {
		out[subs[i].ID] = subs[i].Name
	}
	return out, nil
}

// keyPage is the form of a key.
type keyPage struct {
	ID     int64
	Hint   string
	Form   *form
	Scopes []option
	Kinds  []option
	Subs   []option
}

func (d *Dash) showKeyForm(v *visit, status int, p keyPage) error {
	subs, err := d.subAccounts(v)
	if err != nil {
		return err
	}
	p.Scopes, p.Subs = keyScopes, subOptions(subs)[1:]
	p.Kinds = []option{{"subaccount", "A sub-account: sends mail, reads and sets up what is its own"}, {"account", "The account: everything, of every sub-account, but sending"}}
	return d.showStatus(v, status, "key-form", p)
}

func (d *Dash) newKey(v *visit) error {
	return d.showKeyForm(v, http.StatusOK, keyPage{Form: filled("kind", "subaccount")})
}

// keyBody reads the form into the words of the API.
func keyBody(f *form) map[string]any {
	scopes := []string{}
	for _, s := range keyScopes {
		if f.On("scope." + s.Value) {
			scopes = append(scopes, s.Value)
		}
	}
	networks := strings.Fields(strings.ReplaceAll(f.Get("networks"), ",", " "))
	body := map[string]any{"name": f.Get("name"), "scopes": scopes, "networks": append([]string{}, networks...), "perHour": wholeNumber(f, "perHour"), "expires": ""}
	if day := f.Get("expires"); day != "" {
		t, err := time.Parse(time.DateOnly, day)
		if err != nil {
			f.wrong("expires", "Write a day as 2030-01-31.")
		} else { // the whole day counts
			body["expires"] = t.AddDate(0, 0, 1).Format(time.RFC3339)
		}
	}
	return body
}

// refuseKey puts what the API says of one network beside the field of all.
func refuseKey(f *form, err error) bool {
	if !f.refuse(err, "name", "kind", "subAccountId", "perHour", "expires", "networks") {
		return false
	}
	if strings.HasPrefix(f.Message, "networks[") {
		_, said, _ := strings.Cut(f.Message, "]: ")
		f.wrong("networks", capital(said)+".")
		f.Message = ""
	}
	return true
}

func (d *Dash) createKey(v *visit) error {
	f := newForm(v.r.PostForm)
	body := keyBody(f)
	body["kind"] = f.Get("kind")
	if f.Get("kind") == "subaccount" {
		body["subAccountId"] = formID(f, "subAccountId")
	}
	if !f.OK() {
		return d.showKeyForm(v, http.StatusUnprocessableEntity, keyPage{Form: f})
	}
	var made struct {
		Key  string `json:"key"`
		Name string `json:"name"`
	}
	if err := d.call(v, 0, http.MethodPost, "/account/key", body, &made); err != nil {
		if !refuseKey(f, err) {
			return err
		}
		return d.showKeyForm(v, http.StatusUnprocessableEntity, keyPage{Form: f})
	}
	header := "X-SubAccount-ApiKey"
	if f.Get("kind") == "account" {
		header = "X-Account-ApiKey"
	}
	return d.once(v, oncePage{
		Title: "Your new API key", Text: "It is shown only now: nobody can read it again later. Put it where your program keeps its secrets.",
		Value: made.Key, Note: "Programs send it in the header " + header + ".", Back: "/keys", Crumb: "API keys",
	})
}

// oncePage shows a secret this once, and leads on when the person kept it.
type oncePage struct {
	Title, Text, Value, Note string
	More                     []fact // what belongs to it and is no secret
	Back, Crumb              string
}

func (d *Dash) once(v *visit, p oncePage) error { return d.show(v, "once", p) }

// keyOf finds the key that a request's path names.
func (d *Dash) keyOf(v *visit) (waypost.APIKey, error) {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return waypost.APIKey{}, errNoPage
	}
	const most = 1000
	for offset := 0; ; offset += most {
		all, err := d.cfg.Store.Keys(v.ctx(), v.account(), 0, store.Page{Limit: most, Offset: offset})
		if err != nil {
			return waypost.APIKey{}, fmt.Errorf("find key %d: %w", id, err)
		}
		if i := slices.IndexFunc(all, func(k waypost.APIKey) bool { return k.ID == id }); i >= 0 {
			return all[i], nil
		}
		if len(all) < most {
			return waypost.APIKey{}, errNoPage
		}
	}
}

func (d *Dash) editKey(v *visit) error {
	k, err := d.keyOf(v)
	if err != nil {
		return err
	}
	f := filled("name", k.Name, "networks", strings.Join(k.Networks, "\n"))
	if k.PerHour > 0 {
		f.Values.Set("perHour", strconv.Itoa(k.PerHour))
	}
	if !k.Expires.IsZero() {
		f.Values.Set("expires", k.Expires.UTC().Add(-time.Second).Format(time.DateOnly))
	}
	for _, s := range k.Scopes {
		f.Values.Set("scope."+s, "1")
	}
	return d.showKeyForm(v, http.StatusOK, keyPage{ID: k.ID, Hint: k.Hint, Form: f})
}

func (d *Dash) updateKey(v *visit) error {
	k, err := d.keyOf(v)
	if err != nil {
		return err
	}
	f := newForm(v.r.PostForm)
	page := keyPage{ID: k.ID, Hint: k.Hint, Form: f}
	body := keyBody(f)
	if !f.OK() {
		return d.showKeyForm(v, http.StatusUnprocessableEntity, page)
	}
	if err := d.call(v, 0, http.MethodPut, fmt.Sprintf("/account/key/%d", k.ID), body, nil); err != nil {
		if !refuseKey(f, err) {
			return err
		}
		return d.showKeyForm(v, http.StatusUnprocessableEntity, page)
	}
	d.say(v, "ok", "The key "+k.Hint+" is changed.")
	return v.redirect("/keys")
}

func (d *Dash) askKey(v *visit) error {
	k, err := d.keyOf(v)
	if err != nil {
		return err
	}
	used := "It was never used."
	if !k.LastUsed.IsZero() {
		used = "It was last used " + ago(k.LastUsed, v.now) + "."
	}
	return d.confirm(v, confirmPage{
		Title: "End the key " + orElse(k.Name, k.Hint) + "?", Text: used + " Whoever uses it is refused at once, and an ended key never comes back.",
		Action: fmt.Sprintf("/keys/%d/delete", k.ID), Button: "End this key", Back: "/keys",
	})
}

func (d *Dash) deleteKey(v *visit) error {
	k, err := d.keyOf(v)
	if err != nil {
		return err
	}
	err = d.call(v, 0, http.MethodDelete, fmt.Sprintf("/account/key/%d", k.ID), nil, nil)
	return d.after(v, err, "The key "+k.Hint+" is ended.", "/keys")
}
