package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"reflect"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// aboutAPI opens the document.
const aboutAPI = "Send mail through your own SMTP servers, and see what became of it. The readable form of this document is at " + ReferencePath + "."

//go:embed reference.html
var referenceHTML string

//go:embed reference.css
var referenceCSS string

var referencePage = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("reference").Parse(referenceHTML))
})

// Reference answers with the readable reference, made from the document that
// describes the same API: one page, without scripts or anything from elsewhere.
func (a *API) Reference() http.Handler {
	page := sync.OnceValues(a.renderReference)
	hash := sha256.Sum256([]byte(referenceCSS))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := page()
		if err != nil {
			a.cfg.Log.ErrorContext(r.Context(), "cannot make the API reference", "error", err)
			http.Error(w, "the reference cannot be shown; the log has the details", http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(body) // the reader may be gone
	})
}

// What the page shows.
type (
	refPage struct {
		Host, Version string
		Style         template.CSS
		Scopes        any
		Chapters      []refChapter
		Schemas       []refSchema
	}
	refChapter struct {
		Name, Anchor string
		Operations   []refOperation
	}
	refOperation struct {
		ID, Method, Path, Summary, Header, Scope, Curl string
		Params                                         []refField
		Body                                           *refType
		Answers                                        []refAnswer
	}
	refField struct {
		Name, In, Words string
		Required        bool
		Type            refType
	}
	refAnswer struct {
		Status, Words string
		Types         []refType
	}
	refType struct{ Text, Ref string }

	refSchema struct {
		Name   string
		Fields []refField
	}
)

func (a *API) renderReference() ([]byte, error) {
	doc := a.huma.OpenAPI()
	page := refPage{Host: a.cfg.PublicURL, Version: a.cfg.Version, Style: template.CSS(referenceCSS), Scopes: scopeWords} //nolint:gosec // our own file
	found := map[string]int{}
	for _, name := range chapters {
		found[name] = len(page.Chapters)
		page.Chapters = append(page.Chapters, refChapter{Name: name})
	}
	for _, path := range sortedKeys(doc.Paths) {
		for _, op := range operationsOf(doc.Paths[path]) {
			name := op.Tags[0]
			if _, ok := found[name]; !ok {
				found[name] = len(page.Chapters)
				page.Chapters = append(page.Chapters, refChapter{Name: name})
			}
			c := &page.Chapters[found[name]]
			c.Operations = append(c.Operations, a.refOperation(op))
		}
	}
	page.Chapters = slices.DeleteFunc(page.Chapters, func(c refChapter) bool { return len(c.Operations) == 0 })
	for i := range page.Chapters {
		page.Chapters[i].Anchor = strings.ReplaceAll(strings.ToLower(page.Chapters[i].Name), " ", "-")
	}
	schemas := doc.Components.Schemas
	for _, name := range sortedKeys(schemas.Map()) {
		if s := schemas.Map()[name]; len(s.Properties) > 0 {
			page.Schemas = append(page.Schemas, refSchema{name, schemaFields(s, schemas.TypeFromRef("#/components/schemas/"+name))})
		}
	}
	var out bytes.Buffer
	if err := referencePage().Execute(&out, page); err != nil {
		return nil, fmt.Errorf("render the API reference: %w", err)
	}
	return out.Bytes(), nil
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// operationsOf lists the operations of a path.
func operationsOf(item *huma.PathItem) []*huma.Operation {
	all := []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete}
	return slices.DeleteFunc(all, func(op *huma.Operation) bool { return op == nil })
}

func (a *API) refOperation(op *huma.Operation) refOperation {
	out := refOperation{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary}
	for _, s := range schemes {
		if asks(op, s.name) {
			out.Header, out.Scope = s.header, scopeAsked(op, s.name)
		}
	}
	for _, p := range op.Parameters {
		if p.Name == contractHeader {
			continue // said once, at the top
		}
		out.Params = append(out.Params, refField{p.Name, p.In, words(p.Schema, p.Description), p.Required, typeOf(p.Schema)})
	}
	if op.RequestBody != nil {
		if m := op.RequestBody.Content["application/json"]; m != nil {
			t := typeOf(m.Schema)
			out.Body = &t
		}
	}
	for _, status := range sortedKeys(op.Responses) {
		if status < "400" {
			r := op.Responses[status]
			out.Answers = append(out.Answers, refAnswer{status, r.Description, answerTypes(r)})
		}
	}
	out.Curl = a.curl(op, out.Header)
	return out
}

func answerTypes(r *huma.Response) []refType {
	var out []refType
	for _, m := range r.Content {
		if m.Schema == nil {
			continue
		}
		if len(m.Schema.AnyOf) == 0 {
			out = append(out, typeOf(m.Schema))
		}
		for _, s := range m.Schema.AnyOf {
			out = append(out, typeOf(s))
		}
	}
	return out
}

// typeOf says in a few words what a schema is, with the name of the schema
// that it refers to.
func typeOf(s *huma.Schema) refType {
	switch {
	case s == nil:
		return refType{Text: "any"}
	case s.Ref != "":
		return refType{Ref: s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]}
	case s.Type == huma.TypeArray:
		t := typeOf(s.Items)
		t.Text = "list of " + t.Text
		return t
	case s.Type == huma.TypeObject:
		if of, ok := s.AdditionalProperties.(*huma.Schema); ok {
			t := typeOf(of)
			t.Text = "object of " + t.Text
			return t
		}
		return refType{Text: "object"}
	case s.Format == "int64" || s.Format == "int32":
		return refType{Text: "integer"}
	case s.Format != "":
		return refType{Text: s.Type + ", " + s.Format}
	case s.Type == "":
		return refType{Text: "any"}
	}
	return refType{Text: s.Type}
}

// words adds to a description what its schema allows.
func words(s *huma.Schema, description string) string {
	parts := []string{}
	if description != "" {
		parts = append(parts, description)
	} else if s != nil && s.Description != "" {
		parts = append(parts, s.Description)
	}
	if s != nil && len(s.Enum) > 0 {
		var of []string
		for _, v := range s.Enum {
			of = append(of, fmt.Sprint(v))
		}
		parts = append(parts, "one of "+strings.Join(of, ", "))
	}
	if s != nil && s.Minimum != nil && s.Maximum != nil {
		parts = append(parts, fmt.Sprintf("%v to %v", *s.Minimum, *s.Maximum))
	}
	if s != nil && s.Default != nil {
		parts = append(parts, fmt.Sprintf("default %v", s.Default))
	}
	return strings.Join(parts, "; ")
}

// schemaFields lists the fields of a schema in the order of its Go type.
func schemaFields(s *huma.Schema, t reflect.Type) []refField {
	var out []refField
	for _, name := range fieldOrder(s, t) {
		p := s.Properties[name]
		out = append(out, refField{Name: name, Words: words(p, ""), Required: slices.Contains(s.Required, name), Type: typeOf(p)})
	}
	return out
}

func fieldOrder(s *huma.Schema, t reflect.Type) []string {
	var out []string
	seen := map[string]bool{}
	add := func(name string) {
		if s.Properties[name] != nil && !seen[name] {
			out, seen[name] = append(out, name), true
		}
	}
	if t != nil && t.Kind() == reflect.Struct {
		for _, f := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			add(name)
		}
	}
	for _, name := range sortedKeys(s.Properties) {
		add(name)
	}
	return out
}

// curl gives a command that calls the operation on this very host.
func (a *API) curl(op *huma.Operation, header string) string {
	var b strings.Builder
	path := op.Path
	var query []string
	for _, p := range op.Parameters {
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", fmt.Sprint(sample(a.huma.OpenAPI().Components.Schemas, p.Name, p.Schema, 0)))
		case p.In == "query" && p.Required:
			query = append(query, p.Name+"="+fmt.Sprint(sample(a.huma.OpenAPI().Components.Schemas, p.Name, p.Schema, 0)))
		}
	}
	if len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	fmt.Fprintf(&b, "curl -X %s '%s%s' \\\n  -H '%s: YOUR-KEY'", op.Method, a.cfg.PublicURL, path, header)
	if op.RequestBody == nil {
		return b.String()
	}
	m := op.RequestBody.Content["application/json"]
	if m == nil || m.Schema == nil {
		return b.String()
	}
	body, ok := samples[op.OperationID]
	if !ok {
		text, err := json.MarshalIndent(sample(a.huma.OpenAPI().Components.Schemas, "", m.Schema, 0), "  ", "  ")
		if err != nil {
			return b.String()
		}
		body = string(text)
	}
	fmt.Fprintf(&b, " \\\n  -H 'Content-Type: application/json' \\\n  -d '%s'", body)
	return b.String()
}
