package dash

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// importPage is the form that takes a file of addresses, and what became of
// the last one.
type importPage struct {
	Form   *form
	Subs   []option
	Types  []option
	Report *importReport
	Name   string // of the file
}

// importReport is the API's answer to an import.
type importReport struct {
	Format   string `json:"format"`
	Read     int    `json:"read"`
	Added    int    `json:"added"`
	Known    int    `json:"known"`
	Rejected int    `json:"rejected"`
	Errors   []struct {
		Line    int    `json:"line"`
		Message string `json:"message"`
	} `json:"errors"`
	DryRun bool `json:"dryRun"`
}

// The bounds of a file.
const (
	maxFile       = 512 << 20 // bytes, as the API takes
	filePatience  = 30 * time.Minute
	maxFileFields = 4 << 10 // bytes of a field that stands beside the file
)

func (d *Dash) showImport(v *visit, status int, p importPage) error {
	_, subs, err := d.chosenSub(v, p.Form)
	if err != nil {
		return err
	}
	p.Subs, p.Types = subs, append([]option{{"", "what the file says, else added by hand"}}, suppressTypes...)
	return d.showStatus(v, status, "import", p)
}

func (d *Dash) importForm(v *visit) error {
	return d.showImport(v, http.StatusOK, importPage{Form: filled("sub", v.r.URL.Query().Get("sub"))})
}

// importSuppressions hands a file to the API while it is being sent. The
// fields of the form stand before the file.
func (d *Dash) importSuppressions(v *visit) error {
	_ = http.NewResponseController(v.w).SetReadDeadline(v.now.Add(filePatience)) // a long file takes its time
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxFile)
	parts, err := v.r.MultipartReader()
	if err != nil {
		return errors.Join(errForm, err)
	}
	p := importPage{Form: filled()}
	for range 10 {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(errForm, err)
		}
		if part.FormName() != "file" {
			text, err := io.ReadAll(io.LimitReader(part, maxFileFields))
			if err != nil {
				return errors.Join(errForm, err)
			}
			p.Form.Values.Set(part.FormName(), string(text))
			continue
		}
		p.Name = clip(part.FileName(), 200)
		return d.importFile(v, p, part)
	}
	p.Form.wrong("file", "Choose a file.")
	return d.showImport(v, http.StatusUnprocessableEntity, p)
}

func (d *Dash) importFile(v *visit, p importPage, file io.Reader) error {
	f := p.Form
	sub, err := d.subOf(v, f.Get("sub"))
	if err != nil {
		return err
	}
	if p.Name == "" {
		f.wrong("file", "Choose a file.")
		return d.showImport(v, http.StatusUnprocessableEntity, p)
	}
	path := link("/subaccount/suppression/import", "type", f.Get("type"))
	if f.On("dryRun") {
		path = link("/subaccount/suppression/import", "type", f.Get("type"), "dryRun", "true")
	}
	var report importReport
	if err := d.send(v, sub.ID, path, file, &report); err != nil {
		if !f.refuse(err) {
			return err
		}
		f.wrong("file", fmt.Sprintf("%s: %s", p.Name, strings.TrimPrefix(f.Message, "body: ")))
		f.Message = ""
		return d.showImport(v, http.StatusUnprocessableEntity, p)
	}
	p.Report = &report
	return d.showImport(v, http.StatusOK, p)
}
