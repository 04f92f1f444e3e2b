package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
	"github.com/waypost-mail/waypost/internal/store"
)

// Template answers with the legacy fields of a stored template (sendpost.md,
// a.1).
type Template struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	HTML     string `json:"html"`
	Text     string `json:"text"`
	Template string `json:"template" doc:"an editor's own form of the template; kept as it came"`
	Created  int64  `json:"created" doc:"UNIX nanoseconds"`
	Updated  int64  `json:"updated" doc:"UNIX nanoseconds"`
}

// TemplateV1 is a stored template in the contract v1.
type TemplateV1 struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Subject  string `json:"subject"`
	HTML     string `json:"html"`
	Text     string `json:"text"`
	Template string `json:"template" doc:"an editor's own form of the template; kept as it came"`
	Created  int64  `json:"created" doc:"UNIX nanoseconds"`
	Updated  int64  `json:"updated" doc:"UNIX nanoseconds"`
}

// TemplateRequest is the body of a template's creation, and of its change,
// where absent fields stay as they are.
type TemplateRequest struct {
	Name     *string `json:"name,omitempty" doc:"1 to 100 characters, unique in the account"`
	Subject  *string `json:"subject,omitempty" doc:"used when a send call has none"`
	HTML     *string `json:"html,omitempty"`
	Text     *string `json:"text,omitempty"`
	Template *string `json:"template,omitempty" doc:"an editor's own form of the template"`
}

var templateViews = views[waypost.Template, Template, TemplateV1]{legacy: templateView, v1: templateViewV1}

func templateView(t waypost.Template) Template {
	return Template{t.ID, t.Name, t.HTML, t.Text, t.Design, t.Created.UnixNano(), t.Updated.UnixNano()}
}

func templateViewV1(t waypost.Template) TemplateV1 {
	return TemplateV1{t.ID, t.Name, t.Subject, t.HTML, t.Text, t.Design, t.Created.UnixNano(), t.Updated.UnixNano()}
}

// maxTemplateBody bounds a template call: two bodies and an editor's form.
const maxTemplateBody = 16 << 20

func (a *API) templateRoutes() {
	const all, one = "/account/template", "/account/template/{id}"
	create := operation(http.MethodPost, all, "Create a template", waypost.KeyAccount)
	change := operation(http.MethodPut, one, "Change a template: absent fields stay", waypost.KeyAccount)
	create.MaxBodyBytes, change.MaxBodyBytes = maxTemplateBody, maxTemplateBody
	registerBoth(a, create, TemplateRequest{}, a.createTemplate, templateViews)
	registerBoth(a, operation(http.MethodGet, all, "List the templates", waypost.KeyAccount), nil, a.listTemplates,
		views[[]waypost.Template, []Template, []TemplateV1]{legacy: each(templateView), v1: each(templateViewV1)})
	register(a, operation(http.MethodGet, all+"/count", "Count the templates", waypost.KeyAccount), nil, a.countTemplates)
	registerBoth(a, operation(http.MethodGet, one, "Read one template", waypost.KeyAccount), nil, a.getTemplate, templateViews)
	registerBoth(a, change, TemplateRequest{}, a.changeTemplate, templateViews)
	register(a, operation(http.MethodDelete, one, "Delete a template; messages that were accepted are sent all the same", waypost.KeyAccount), nil, a.deleteTemplate)
	registerBoth(a, operation(http.MethodPost, one+"/copy", "Copy a template under the first free name", waypost.KeyAccount), nil, a.copyTemplate, templateViews)
}

// apply puts the fields of a request into a template.
func (r *TemplateRequest) apply(t *waypost.Template) error {
	for field, to := range map[*string]*string{r.Name: &t.Name, r.Subject: &t.Subject, r.HTML: &t.HTML, r.Text: &t.Text, r.Template: &t.Design} {
		if field != nil {
			*to = *field
		}
	}
	t.Name = strings.TrimSpace(t.Name)
	var bad []ErrorDetail
	if n := utf8.RuneCountInString(t.Name); n < 1 || n > 100 || strings.ContainsFunc(t.Name, isControl) {
		bad = append(bad, ErrorDetail{"name", "must have 1 to 100 characters without control characters"})
	}
	if n := utf8.RuneCountInString(t.Subject); n > maxSubject {
		bad = append(bad, ErrorDetail{"subject", fmt.Sprintf("%d characters; at most %d", n, maxSubject)})
	}
	for _, part := range []struct{ field, src string }{{"subject", t.Subject}, {"html", t.HTML}, {"text", t.Text}} {
		if len(part.src) > maxText {
			bad = append(bad, ErrorDetail{part.field, fmt.Sprintf("%d bytes; at most %d", len(part.src), maxText)})
			continue
		}
		if err, wrong := errors.AsType[*compose.TemplateError](compose.CheckTemplate(part.field, part.src)); wrong {
			bad = append(bad, ErrorDetail{part.field, fmt.Sprintf("line %d, column %d: %s", err.Line, err.Column, err.Msg)})
		}
	}
	if len(t.Design) > maxText {
		bad = append(bad, ErrorDetail{"template", fmt.Sprintf("%d bytes; at most %d", len(t.Design), maxText)})
	}
	if len(bad) > 0 {
		return invalid(bad...)
	}
	return nil
}

func templateTaken(name string) *Error {
	e := fail(http.StatusForbidden, fmt.Sprintf("a template named %q exists already; choose another name", name))
	e.Body.Param = "name"
	return e
}

func (a *API) createTemplate(ctx context.Context, in *raw) (waypost.Template, error) {
	req, err := decode[TemplateRequest](in.RawBody)
	if err != nil {
		return waypost.Template{}, err
	}
	now := time.Now().Truncate(time.Millisecond)
	t := waypost.Template{Account: caller(ctx).Account, Created: now, Updated: now}
	if err := req.apply(&t); err != nil {
		return t, err
	}
	if err := a.storeTemplate(ctx, &t); err != nil {
		if errors.Is(err, store.ErrExists) {
			return t, templateTaken(t.Name)
		}
		return t, err
	}
	return t, nil
}

func (a *API) storeTemplate(ctx context.Context, t *waypost.Template) error {
	if err := a.cfg.Store.CreateTemplate(ctx, t); err != nil {
		return fmt.Errorf("store template %q: %w", t.Name, err)
	}
	a.audit(ctx, "template.create", fmt.Sprintf("template %d", t.ID), "created template %q", t.Name)
	return nil
}

func (a *API) listTemplates(ctx context.Context, in *page) ([]waypost.Template, error) {
	all, err := a.cfg.Store.Templates(ctx, caller(ctx).Account, in.of())
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	return all, nil
}

func (a *API) countTemplates(ctx context.Context, _ *struct{}) (Count, error) {
	n, err := a.cfg.Store.CountTemplates(ctx, caller(ctx).Account)
	if err != nil {
		return Count{}, fmt.Errorf("count templates: %w", err)
	}
	return Count{n}, nil
}

func (a *API) template(ctx context.Context, id int64) (waypost.Template, error) {
	t, err := a.cfg.Store.Template(ctx, caller(ctx).Account, id)
	if isNotFound(err) {
		return t, notFound("template", id)
	}
	if err != nil {
		return t, fmt.Errorf("read template %d: %w", id, err)
	}
	return t, nil
}

func (a *API) getTemplate(ctx context.Context, in *idPath) (waypost.Template, error) {
	return a.template(ctx, in.ID)
}

func (a *API) changeTemplate(ctx context.Context, in *idBody) (waypost.Template, error) {
	req, err := decode[TemplateRequest](in.RawBody)
	if err != nil {
		return waypost.Template{}, err
	}
	t, err := a.template(ctx, in.ID)
	if err != nil {
		return t, err
	}
	if err := req.apply(&t); err != nil {
		return t, err
	}
	t.Updated = time.Now().Truncate(time.Millisecond)
	switch err := a.cfg.Store.UpdateTemplate(ctx, &t); {
	case errors.Is(err, store.ErrExists):
		return t, templateTaken(t.Name)
	case isNotFound(err):
		return t, notFound("template", in.ID)
	case err != nil:
		return t, fmt.Errorf("store template %d: %w", t.ID, err)
	}
	a.audit(ctx, "template.update", fmt.Sprintf("template %d", t.ID), "changed template %q", t.Name)
	return t, nil
}

func (a *API) deleteTemplate(ctx context.Context, in *idPath) (Deleted, error) {
	t, err := a.template(ctx, in.ID)
	if err != nil {
		return Deleted{}, err
	}
	if err := a.cfg.Store.DeleteTemplate(ctx, t.Account, t.ID); err != nil {
		if isNotFound(err) {
			return Deleted{}, notFound("template", in.ID)
		}
		return Deleted{}, fmt.Errorf("delete template %d: %w", t.ID, err)
	}
	a.audit(ctx, "template.delete", fmt.Sprintf("template %d", t.ID), "deleted template %q", t.Name)
	return Deleted{t.ID, fmt.Sprintf("Template (%s) has been deleted successfully", t.Name)}, nil
}

// mostCopies is how many names are tried for a copy.
const mostCopies = 50

func (a *API) copyTemplate(ctx context.Context, in *idPath) (waypost.Template, error) {
	t, err := a.template(ctx, in.ID)
	if err != nil {
		return t, err
	}
	now, name := time.Now().Truncate(time.Millisecond), []rune(t.Name)
	t.Created, t.Updated = now, now
	for n := 1; n <= mostCopies; n++ {
		suffix := " (copy)"
		if n > 1 {
			suffix = fmt.Sprintf(" (copy %d)", n)
		}
		t.ID, t.Name = 0, string(name[:min(len(name), 100-len(suffix))])+suffix
		if err := a.storeTemplate(ctx, &t); !errors.Is(err, store.ErrExists) {
			return t, err
		}
	}
	return t, templateTaken(t.Name)
}

// applyTemplate fills what a call leaves out from the template that it names.
func (a *API) applyTemplate(ctx context.Context, m *EmailMessage, needed bool) error {
	if m.Template == "" && m.TemplateID == "" {
		if needed {
			return badField("template", "name a stored template by template or templateId; GET /api/v1/account/template lists them")
		}
		return nil
	}
	t, err := a.findTemplate(ctx, m)
	if err != nil {
		return err
	}
	for to, from := range map[*string]string{&m.Subject: t.Subject, &m.HTMLBody: t.HTML, &m.TextBody: t.Text} {
		if *to == "" {
			*to = from
		}
	}
	return nil
}

func (a *API) findTemplate(ctx context.Context, m *EmailMessage) (t waypost.Template, err error) {
	account, field, said := caller(ctx).Account, "templateId", string(m.TemplateID)
	if said != "" {
		id, bad := strconv.ParseInt(said, 10, 64)
		if bad != nil {
			return t, badField(field, "must be the id of a stored template")
		}
		t, err = a.cfg.Store.Template(ctx, account, id)
	} else {
		field, said = "template", m.Template
		t, err = a.cfg.Store.TemplateByName(ctx, account, said)
	}
	switch {
	case isNotFound(err):
		return t, badField(field, "there is no template %q in the account; GET /api/v1/account/template lists them", said)
	case err != nil:
		return t, fmt.Errorf("find template %q: %w", said, err)
	case m.Template != "" && t.Name != m.Template:
		return t, badField("template", "templateId %s is another template than %q; give one of the two", said, m.Template)
	}
	return t, nil
}
