package api

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/suppresslist"
)

// SuppressionImport tells what became of a file of addresses.
type SuppressionImport struct {
	Format   string        `json:"format" doc:"who made the file: waypost, sendpost, postmark, mailgun, ses, sendgrid or plain"`
	Read     int           `json:"read" doc:"entries in the file"`
	Added    int           `json:"added" doc:"new on the list; of a dry run, those that would be"`
	Known    int           `json:"known" doc:"on the list before, or twice in the file"`
	Rejected int           `json:"rejected" doc:"entries that make no sense"`
	Errors   []ImportError `json:"errors" doc:"the first 100 of those"`
	DryRun   bool          `json:"dryRun"`
}

// ImportError is an entry that was passed over.
type ImportError struct {
	Line    int    `json:"line" doc:"of a CSV file, or the number of the entry in JSON"`
	Message string `json:"message"`
}

// The limits of an import.
const (
	maxImport       = 512 << 20 // bytes
	mostImportError = 100
	importPatience  = 2 * time.Minute // for the client, between batches
)

// importInput reads nothing of the body: the import does, while it stores.
type importInput struct {
	Type   string `query:"type" enum:"hardBounce,manual,spamComplaint,unsubscribe" doc:"the reason of entries that do not tell theirs"`
	DryRun bool   `query:"dryRun" doc:"read the file, store nothing"`

	late lateBody
	gzip bool
}

// Resolve implements [huma.Resolver].
func (in *importInput) Resolve(ctx huma.Context) []error {
	in.late, in.gzip = lateBodyOf(ctx), strings.EqualFold(ctx.Header("Content-Encoding"), "gzip")
	return nil
}

func (a *API) suppressionFileRoutes() {
	const path = "/subaccount/suppression"
	file := func(words string) map[string]*huma.MediaType {
		text := &huma.Schema{Type: huma.TypeString, Description: words}
		return map[string]*huma.MediaType{"text/csv": {Schema: text}, "application/json": {Schema: &huma.Schema{Description: words}}}
	}
	load := operation(http.MethodPost, path+"/import", "Add the addresses of a file: CSV or JSON, of us or of another service", waypost.KeySubAccount)
	load.Description = "What the file is and which service made it is found out from its fields: SendPost, Postmark, Mailgun, Amazon SES, " +
		"SendGrid, or CSV with a column of addresses. It is read while it is sent, in batches: when a call breaks off, what came before is " +
		"stored, and the same file can be sent again. An address that is on the list keeps its entry."
	register(a, load, nil, a.importSuppressions)
	// Only the document says that there is a body: what is registered with one
	// is read into memory before its handler runs.
	described := *a.huma.OpenAPI().Paths[load.Path].Post
	described.RequestBody = &huma.RequestBody{Required: true, Content: file("the file")}
	a.huma.OpenAPI().Paths[load.Path].Post = &described

	save := operation(http.MethodGet, path+"/export", "The whole suppression list as CSV, newest first", waypost.KeySubAccount)
	save.Responses = map[string]*huma.Response{"200": {
		Description: "columns " + strings.Join(entryHeader, ", ") + "; the connection breaks off when the rest cannot be read",
		Content:     map[string]*huma.MediaType{"text/csv": {Schema: huma.SchemaFromType(a.huma.OpenAPI().Components.Schemas, reflect.TypeFor[string]())}},
	}}
	huma.Register(a.huma, save, func(ctx context.Context, in *SuppressionFilter) (*stream, error) {
		out, err := a.exportSuppressions(ctx, in)
		if err != nil {
			return nil, a.explain(ctx, &save, err)
		}
		return out, nil
	})
}

func (a *API) importSuppressions(ctx context.Context, in *importInput) (SuppressionImport, error) {
	var reason *waypost.SuppressionReason
	if r, ok := suppresslist.ParseType(in.Type); ok {
		reason = &r
	}
	in.late.wait(importPatience)
	if in.gzip {
		z, err := gzip.NewReader(in.late.in)
		if err != nil {
			return SuppressionImport{}, badField("body", "is not gzip, though Content-Encoding says so")
		}
		in.late.in = z
	}
	i := importing{API: a, ctx: ctx, now: time.Now().Truncate(time.Millisecond), out: SuppressionImport{DryRun: in.DryRun, Errors: []ImportError{}}}
	list, err := suppresslist.NewReader(&bounded{in: in.late.in, left: maxImport}, reason)
	if err != nil {
		return i.out, fileError(err)
	}
	if !in.DryRun { // a row that expired gives way to one of the file, however old that one is
		if err := i.prune(); err != nil {
			return i.out, err
		}
	}
	for {
		e, err := list.Next()
		bad, wrong := errors.AsType[*suppresslist.LineError](err)
		switch {
		case wrong:
			i.reject(bad.Line, bad.Msg)
			continue
		case errors.Is(err, io.EOF):
			i.out.Format = string(list.Format())
			if err := i.flush(); err != nil {
				return i.out, err
			}
			if i.out.Added+i.out.Known == 0 {
				return i.out, i.nothing()
			}
			if !in.DryRun {
				a.audit(ctx, "suppression.import", fmt.Sprintf("sub-account %d", caller(ctx).SubAccount), "imported a %s list: %d added, %d known, %d rejected",
					i.out.Format, i.out.Added, i.out.Known, i.out.Rejected)
			}
			return i.out, nil
		case err != nil:
			return i.out, fileError(errors.Join(err, i.flush()))
		}
		if err := i.add(&e); err != nil {
			return i.out, err
		}
		if len(i.batch) == suppressBatch {
			in.late.wait(importPatience)
			if err := i.flush(); err != nil {
				return i.out, err
			}
		}
	}
}

// importing is an import under way.
type importing struct {
	*API
	ctx   context.Context //nolint:containedctx // lives as long as its call
	now   time.Time
	batch []waypost.Suppression
	seen  map[string]bool // of a batch
	out   SuppressionImport
}

func (i *importing) reject(line int, message string) {
	i.out.Read++
	i.out.Rejected++
	if len(i.out.Errors) < mostImportError {
		i.out.Errors = append(i.out.Errors, ImportError{line, message})
	}
}

// nothing refuses a file in which nothing is an entry.
func (i *importing) nothing() error {
	if i.out.Read == 0 {
		return badField("body", "the file has no addresses")
	}
	e := badField("body", "none of the %d entries of the file makes sense; the first: line %d: %s", i.out.Read, i.out.Errors[0].Line, i.out.Errors[0].Message)
	for _, bad := range i.out.Errors {
		e.Body.Details = append(e.Body.Details, ErrorDetail{fmt.Sprintf("line %d", bad.Line), bad.Message})
	}
	return e
}

func (i *importing) add(e *suppresslist.Entry) error {
	email, err := suppressedForm(e.Email)
	switch {
	case err != nil:
		i.reject(e.Line, err.Error())
		return nil
	case !e.Expires.IsZero() && !e.Expires.After(i.now):
		i.reject(e.Line, "has expired already")
		return nil
	}
	i.out.Read++
	if i.seen == nil {
		i.seen = make(map[string]bool, suppressBatch)
	}
	if i.seen[email] {
		i.out.Known++
		return nil
	}
	i.seen[email] = true
	s := waypost.Suppression{
		Account: caller(i.ctx).Account, SubAccount: caller(i.ctx).SubAccount, Email: email, Reason: e.Reason,
		Text: lineOf(e.Text), Created: e.Created.Truncate(time.Millisecond), Expires: e.Expires.Truncate(time.Millisecond),
	}
	if s.Created.IsZero() || s.Created.After(i.now) {
		s.Created = i.now
	}
	i.batch = append(i.batch, s)
	return nil
}

// flush stores the batch, or counts it in a dry run.
func (i *importing) flush() error {
	defer func() { i.batch, i.seen = i.batch[:0], nil }()
	if len(i.batch) == 0 {
		return nil
	}
	var added int
	if i.out.DryRun {
		emails := make([]string, len(i.batch))
		for n := range i.batch {
			emails[n] = i.batch[n].Email
		}
		known, err := i.cfg.Store.Suppressed(i.ctx, caller(i.ctx).SubAccount, emails, i.now)
		if err != nil {
			return fmt.Errorf("look up %d suppressions: %w", len(emails), err)
		}
		added = len(emails) - len(known)
	} else {
		var err error
		if added, err = i.cfg.Store.Suppress(i.ctx, i.batch); err != nil {
			return fmt.Errorf("store %d suppressions: %w", len(i.batch), err)
		}
	}
	i.out.Added += added
	i.out.Known += len(i.batch) - added
	return nil
}

func (i *importing) prune() error {
	const most = 5000
	for {
		n, err := i.cfg.Store.PruneSuppressions(i.ctx, i.now, most)
		if err != nil {
			return fmt.Errorf("delete expired suppressions: %w", err)
		}
		if n < most {
			return nil
		}
	}
}

// lineOf makes text of a file fit to store: one line, bounded.
func lineOf(s string) string {
	s = strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > waypost.MaxText {
		s = strings.ToValidUTF8(s[:waypost.MaxText], "")
	}
	return s
}

// fileError is what a file is refused with. What came before its end is stored.
func fileError(err error) error {
	switch {
	case errors.Is(err, errTooLong):
		return fail(http.StatusRequestEntityTooLarge, fmt.Sprintf("the file has more than %d MB; send it in parts. What came before is stored", maxImport>>20))
	case errors.Is(err, suppresslist.ErrList):
		return badField("body", "%v; entries before it are stored", err)
	case errors.Is(err, store.ErrUnavailable):
		return err
	}
	return badField("body", "the file broke off while it was read: send it again; entries that came are stored")
}

var errTooLong = errors.New("the file is too long")

// bounded refuses what comes behind a number of bytes.
type bounded struct {
	in   io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.in.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

var entryHeader = []string{"email", "type", "created", "expires", "text", "messageId"}

// exportSuppressions writes the list a page at a time.
func (a *API) exportSuppressions(ctx context.Context, in *SuppressionFilter) (*stream, error) {
	q, err := in.query(ctx, false)
	if err != nil {
		return nil, err
	}
	q.Limit = exportPage
	first, err := a.cfg.Store.ListSuppressions(ctx, q) // before the answer begins, so that a refusal can be one
	if err != nil {
		return nil, fmt.Errorf("export suppressions: %w", err)
	}
	return &stream{func(c huma.Context) {
		c.SetHeader("Content-Type", "text/csv; charset=utf-8")
		c.SetHeader("Content-Disposition", `attachment; filename="suppressions.csv"`)
		c.SetStatus(http.StatusOK)
		err := writeCSV(c.BodyWriter(), entryHeader)
		for page := first; err == nil && len(page) > 0; {
			if err = writeCSV(c.BodyWriter(), entryLines(page)...); err != nil || len(page) < exportPage {
				break
			}
			q.Before = page[len(page)-1].ID
			page, err = a.cfg.Store.ListSuppressions(ctx, q)
		}
		if err != nil {
			a.cfg.Log.WarnContext(ctx, "an export broke off", "error", err)
			panic(http.ErrAbortHandler) // a file that is cut short must not look whole
		}
	}}, nil
}

func entryLines(page []waypost.Suppression) [][]string {
	lines := make([][]string, len(page))
	for i := range page {
		s := &page[i]
		expires := ""
		if !s.Expires.IsZero() {
			expires = s.Expires.UTC().Format(time.RFC3339)
		}
		lines[i] = []string{
			cell(s.Email), suppresslist.TypeName(s.Reason), s.Created.UTC().Format(time.RFC3339Nano), expires, cell(s.Text), originOf(s),
		}
	}
	return lines
}
