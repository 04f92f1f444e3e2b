package dash

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// maxForm bounds a posted form, in bytes.
const maxForm = 1 << 20

// readForm reads a posted form. Fields keep their spaces; handlers trim what
// may be trimmed.
func readForm(r *http.Request) error {
	err := r.ParseForm()
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data") {
		err = r.ParseMultipartForm(maxForm)
	}
	if err != nil {
		return errors.Join(errForm, err)
	}
	return nil
}

// form is what was typed and what is wrong with it, by the field's name.
type form struct {
	Values  url.Values
	Wrong   map[string]string
	Message string // trouble of no single field
}

// newForm begins with what a request brought.
func newForm(values url.Values) *form {
	return &form{Values: values, Wrong: map[string]string{}}
}

// filled begins with values of ours, given as name and value in turn.
func filled(pairs ...string) *form {
	f := newForm(url.Values{})
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Values.Set(pairs[i], pairs[i+1])
	}
	return f
}

// Get is what was typed into a field, without space around it.
func (f *form) Get(name string) string { return strings.TrimSpace(f.Values.Get(name)) }

// Raw is what was typed into a field, byte for byte.
func (f *form) Raw(name string) string { return f.Values.Get(name) }

// On tells whether a box is ticked.
func (f *form) On(name string) bool { return f.Values.Get(name) != "" }

// wrong notes what is wrong with a field; the first trouble stays.
func (f *form) wrong(name, text string) {
	if _, there := f.Wrong[name]; !there {
		f.Wrong[name] = text
	}
}

// OK tells whether nothing is wrong.
func (f *form) OK() bool { return len(f.Wrong) == 0 && f.Message == "" }

// refuse takes over what the API refused: beside the field when the form has
// it, above the form when not. It tells whether the error was a refusal that
// the person can mend; any other is the caller's to return.
func (f *form) refuse(err error, fields ...string) bool {
	var r *Refusal
	if !errors.As(err, &r) || r.Status >= http.StatusInternalServerError && r.Status != http.StatusServiceUnavailable {
		return false
	}
	has := map[string]bool{}
	for _, name := range fields {
		has[name] = true
	}
	placed := false
	for _, d := range r.Details {
		if has[d.Field] {
			f.wrong(d.Field, d.Message)
			placed = true
		}
	}
	if !placed && has[r.Param] {
		f.wrong(r.Param, r.Message)
		placed = true
	}
	if !placed {
		f.Message = r.Message
	}
	return true
}

// input is one labelled field, for the template "input".
type input struct {
	Form         *form
	Name         string
	Label        string
	Hint         string
	Type         string // "text" when empty
	Autocomplete string
	Placeholder  string
	Required     bool
	Mono         bool
	Focus        bool
	Rows         int // above 0: a text area
	Options      []option
	Keep         bool // a password that may be shown again; else it is not put back
}

// Value is what stands in the field.
func (i input) Value() string {
	if i.Form == nil || i.Type == "password" && !i.Keep {
		return ""
	}
	return i.Form.Values.Get(i.Name)
}

// Wrong is what is wrong with the field, "" when nothing.
func (i input) Wrong() string {
	if i.Form == nil {
		return ""
	}
	return i.Form.Wrong[i.Name]
}

// Checked tells whether a box is ticked.
func (i input) Checked() bool { return i.Form != nil && i.Form.On(i.Name) }

// Described is the value of aria-describedby.
func (i input) Described() string {
	var ids []string
	if i.Hint != "" {
		ids = append(ids, "h-"+i.Name)
	}
	if i.Wrong() != "" {
		ids = append(ids, "e-"+i.Name)
	}
	return strings.Join(ids, " ")
}

// option is one choice of a field.
type option struct{ Value, Label string }

// makeInput is the template function "input": form, name, label, and then any
// of type=…, hint=…, autocomplete=…, placeholder=…, required, mono, focus,
// rows=N.
func makeInput(f *form, name, label string, more ...string) input {
	i := input{Form: f, Name: name, Label: label, Type: "text"}
	for _, m := range more {
		key, value, _ := strings.Cut(m, "=")
		switch key {
		case "type":
			i.Type = value
		case "hint":
			i.Hint = value
		case "autocomplete":
			i.Autocomplete = value
		case "placeholder":
			i.Placeholder = value
		case "required":
			i.Required = true
		case "mono":
			i.Mono = true
		case "focus":
			i.Focus = true
		case "rows":
			i.Rows = 8
			if value == "few" {
				i.Rows = 3
			}
		}
	}
	return i
}

// makeChoice is the template function "choice": a field with given options.
func makeChoice(f *form, name, label string, options []option, more ...string) input {
	i := makeInput(f, name, label, more...)
	i.Options = options
	return i
}
