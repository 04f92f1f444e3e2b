package dash

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

var templatesScreen = screen{Path: "/templates", Title: "Templates", Icon: "template", Group: "Sending", Routes: []route{
	{"GET /templates", waypost.RoleViewer, (*Dash).templates},
	{"POST /templates", waypost.RoleOperator, (*Dash).createTemplate},
	{"GET /templates/new", waypost.RoleOperator, (*Dash).newTemplate},
	{"POST /templates/preview", waypost.RoleViewer, (*Dash).previewTyped},
	{"GET /templates/{id}", waypost.RoleViewer, (*Dash).template},
	{"POST /templates/{id}", waypost.RoleOperator, (*Dash).updateTemplate},
	{"GET /templates/{id}/preview", waypost.RoleViewer, (*Dash).previewStored},
	{"POST /templates/{id}/copy", waypost.RoleOperator, (*Dash).copyTemplate},
	{"GET /templates/{id}/delete", waypost.RoleOperator, (*Dash).askTemplate},
	{"POST /templates/{id}/delete", waypost.RoleOperator, (*Dash).deleteTemplate},
}}

// templatesPage is the list of templates.
type templatesPage struct {
	Rows  []waypost.Template
	Query string
	More  string
}

const templatesPerPage = 50

func (d *Dash) templates(v *visit) error {
	q := newForm(v.r.URL.Query())
	p := templatesPage{Query: clip(q.Get("q"), 100)}
	offset := int(min(formID(q, "from"), 1_000_000))
	list, err := d.cfg.Store.Templates(v.ctx(), v.account(), store.Page{Limit: templatesPerPage + 1, Offset: offset, Search: p.Query})
	if err != nil {
		return fmt.Errorf("list the templates: %w", err)
	}
	p.Rows = list[:min(len(list), templatesPerPage)]
	if len(list) > templatesPerPage {
		p.More = link("/templates", "q", p.Query, "from", strconv.Itoa(offset+templatesPerPage))
	}
	return d.show(v, "templates", p)
}

// templateOf finds the template that a request's path names.
func (d *Dash) templateOf(v *visit) (waypost.Template, error) {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	if err != nil {
		return waypost.Template{}, errNoPage
	}
	t, err := d.cfg.Store.Template(v.ctx(), v.account(), id)
	if err != nil {
		return t, fmt.Errorf("read template %d: %w", id, err)
	}
	return t, nil
}

// templatePage is the editor.
type templatePage struct {
	ID   int64
	Name string // as stored
	Form *form
}

func (d *Dash) newTemplate(v *visit) error {
	return d.show(v, "template", templatePage{Form: filled("sample", "{}")})
}

func (d *Dash) template(v *visit) error {
	t, err := d.templateOf(v)
	if err != nil {
		return err
	}
	f := filled("name", t.Name, "subject", t.Subject, "html", t.HTML, "text", t.Text, "sample", sample(&t))
	return d.show(v, "template", templatePage{t.ID, t.Name, f})
}

func templateBody(f *form) map[string]string {
	return map[string]string{"name": f.Get("name"), "subject": f.Get("subject"), "html": f.Raw("html"), "text": f.Raw("text")}
}

func (d *Dash) createTemplate(v *visit) error {
	return d.saveTemplate(v, templatePage{Form: newForm(v.r.PostForm)}, http.MethodPost, "/account/template")
}

func (d *Dash) updateTemplate(v *visit) error {
	t, err := d.templateOf(v)
	if err != nil {
		return err
	}
	return d.saveTemplate(v, templatePage{t.ID, t.Name, newForm(v.r.PostForm)}, http.MethodPut, fmt.Sprintf("/account/template/%d", t.ID))
}

func (d *Dash) saveTemplate(v *visit, p templatePage, method, path string) error {
	var saved struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	}
	if err := d.call(v, 0, method, path, templateBody(p.Form), &saved); err != nil {
		if !p.Form.refuse(err, "name", "subject", "html", "text") {
			return err
		}
		for field, text := range p.Form.Wrong {
			p.Form.Wrong[field] = capital(text)
		}
		return d.showStatus(v, http.StatusUnprocessableEntity, "template", p)
	}
	d.say(v, "ok", saved.Name+" is saved.")
	return v.redirect(fmt.Sprintf("/templates/%d", saved.ID))
}

func (d *Dash) copyTemplate(v *visit) error {
	t, err := d.templateOf(v)
	if err != nil {
		return err
	}
	var made struct {
		ID int64 `json:"id"`
	}
	err = d.call(v, 0, http.MethodPost, fmt.Sprintf("/account/template/%d/copy", t.ID), nil, &made)
	return d.after(v, err, "This is the copy.", fmt.Sprintf("/templates/%d", orNumber(made.ID, t.ID)))
}

func orNumber(n, other int64) int64 {
	if n == 0 {
		return other
	}
	return n
}

func (d *Dash) askTemplate(v *visit) error {
	t, err := d.templateOf(v)
	if err != nil {
		return err
	}
	return d.confirm(v, confirmPage{
		Title: "Delete the template " + t.Name + "?", Text: "Send calls that name it are refused from then on. Messages that were accepted are sent all the same.",
		Action: fmt.Sprintf("/templates/%d/delete", t.ID), Button: "Delete this template", Back: fmt.Sprintf("/templates/%d", t.ID),
	})
}

func (d *Dash) deleteTemplate(v *visit) error {
	t, err := d.templateOf(v)
	if err != nil {
		return err
	}
	err = d.call(v, 0, http.MethodDelete, fmt.Sprintf("/account/template/%d", t.ID), nil, nil)
	return d.after(v, err, t.Name+" is deleted.", "/templates")
}
