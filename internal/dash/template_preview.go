package dash

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/compose"
)

// errPreview is the cause of a preview that cannot be made; its text is for
// the person.
var errPreview = errors.New("it cannot be rendered")

// render makes a template into what a recipient would get. Nothing is stored
// or sent, and neither pool nor sender domain is needed for it.
func (d *Dash) render(v *visit, t *waypost.Template, sample string) (compose.Preview, error) {
	select {
	case making <- struct{}{}:
		defer func() { <-making }()
	case <-v.ctx().Done():
		return compose.Preview{}, v.ctx().Err()
	}
	sample = orElse(strings.TrimSpace(sample), "{}")
	var data map[string]any
	if err := json.Unmarshal([]byte(sample), &data); err != nil {
		return compose.Preview{}, fmt.Errorf("%w: the sample data is no JSON object (%w)", errPreview, err)
	}
	content := waypost.Content{From: waypost.Address{Email: "preview@example.com"}, Subject: t.Subject, HTML: t.HTML, Text: t.Text}
	if t.HTML == "" && t.Text == "" {
		content.Text = " "
	}
	prepared, err := compose.Prepare(&content)
	if err != nil {
		return compose.Preview{}, fmt.Errorf("%w: %w", errPreview, err)
	}
	m := waypost.Message{ID: waypost.NewUUID(v.now), Recipient: "someone@example.org", To: waypost.Address{Email: "someone@example.org"}, Variables: []byte(sample), SubmittedAt: v.now}
	p, err := prepared.Preview(&m, compose.Options{SenderDomain: "example.com", Now: v.now})
	if err != nil {
		return p, fmt.Errorf("%w: %w", errPreview, err)
	}
	return p, nil
}

// atVariable finds the variables in a template, near enough for sample data.
var atVariable = regexp.MustCompile(`\{\{\{?\s*(?:#(?:if|unless)\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*\}`)

// sample makes up data for the variables that a template asks for.
func sample(t *waypost.Template) string {
	data := map[string]any{}
	for _, found := range atVariable.FindAllStringSubmatch(t.Subject+" "+t.HTML+" "+t.Text, 500) {
		if !slices.Contains([]string{"else", "unsubscribe"}, found[1]) {
			put(data, strings.Split(found[1], "."))
		}
	}
	out, _ := json.MarshalIndent(data, "", "  ") // maps and strings always encode
	return string(out)
}

// put makes a value at a path of names, which is its last name.
func put(data map[string]any, path []string) {
	for i, key := range path {
		next, nested := data[key].(map[string]any)
		switch {
		case i < len(path)-1 && !nested:
			next = map[string]any{}
			data[key] = next
		case i == len(path)-1 && !nested:
			data[key] = key
			return
		}
		data = next
	}
}

// previewTyped shows what stands in the editor, saved or not, in its frame.
func (d *Dash) previewTyped(v *visit) error {
	f := newForm(v.r.PostForm)
	t := waypost.Template{Subject: f.Get("subject"), HTML: f.Raw("html"), Text: f.Raw("text")}
	return d.preview(v, &t, f.Raw("sample"), f.Get("part"))
}

func (d *Dash) previewStored(v *visit) error {
	t, err := d.templateOf(v)
	if err != nil {
		return err
	}
	return d.preview(v, &t, sample(&t), "html")
}

// preview answers for the sandboxed frame beside the editor: the customer's
// HTML under the policy of mails, or text that no browser takes for anything
// else.
func (d *Dash) preview(v *visit, t *waypost.Template, sample, part string) error {
	p, err := d.render(v, t, sample)
	if err != nil && !errors.Is(err, errPreview) {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Security-Policy", mailPolicy)
	h.Set("X-Frame-Options", "SAMEORIGIN")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	if err == nil && part == "html" && p.HTML != "" {
		h.Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(v.w, p.HTML) // the caller may be gone
		return nil
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		v.w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(v.w, capital(err.Error())+".")
		return nil
	}
	_, _ = fmt.Fprintf(v.w, "Subject: %s\nVariables without a value: %s\n\n%s", p.Subject, orElse(strings.Join(p.Missing, ", "), "none"), p.Text)
	return nil
}
