package sqlite

import (
	"context"
	"fmt"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

// CreateTemplate implements [store.Templates].
func (d *DB) CreateTemplate(ctx context.Context, t *waypost.Template) error {
	return d.do(ctx, fmt.Sprintf("create template %q", t.Name), len(t.HTML)+len(t.Text)+len(t.Design), func(tx *tx) (err error) {
		t.ID, err = tx.insert(`INSERT INTO template (account, name, subject, html, body, design, created, updated)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, t.Account, t.Name, t.Subject, t.HTML, t.Text, t.Design, millis(t.Created), millis(t.Updated))
		return err
	})
}

// UpdateTemplate implements [store.Templates].
func (d *DB) UpdateTemplate(ctx context.Context, t *waypost.Template) error {
	return d.do(ctx, fmt.Sprintf("update template %q", t.Name), len(t.HTML)+len(t.Text)+len(t.Design), func(tx *tx) error {
		n, err := tx.exec(`UPDATE template SET name = $1, subject = $2, html = $3, body = $4, design = $5, updated = $6
WHERE id = $7 AND account = $8`, t.Name, t.Subject, t.HTML, t.Text, t.Design, millis(t.Updated), t.ID, t.Account)
		return found(n, taken(err))
	})
}

// DeleteTemplate implements [store.Templates].
func (d *DB) DeleteTemplate(ctx context.Context, account, id int64) error {
	return d.do(ctx, fmt.Sprintf("delete template %d", id), 0, func(tx *tx) error {
		return found(tx.exec("DELETE FROM template WHERE id = $1 AND account = $2", id, account))
	})
}

const selectTemplate = "SELECT id, account, name, subject, html, body, design, created, updated FROM template"

func scanTemplate(row scanner, t *waypost.Template) error {
	var created, updated int64
	err := row.Scan(&t.ID, &t.Account, &t.Name, &t.Subject, &t.HTML, &t.Text, &t.Design, &created, &updated)
	t.Created, t.Updated = moment(created), moment(updated)
	return err
}

// Template implements [store.Templates].
func (d *DB) Template(ctx context.Context, account, id int64) (waypost.Template, error) {
	return one(ctx, d, "find a template", scanTemplate, selectTemplate+" WHERE id = $1 AND account = $2", id, account)
}

// TemplateByName implements [store.Templates].
func (d *DB) TemplateByName(ctx context.Context, account int64, name string) (waypost.Template, error) {
	return one(ctx, d, "find a template", scanTemplate, selectTemplate+" WHERE account = $1 AND name = $2", account, name)
}

// Templates implements [store.Templates].
func (d *DB) Templates(ctx context.Context, account int64, p store.Page) ([]waypost.Template, error) {
	limit, offset, like := pageArgs(p)
	return list(ctx, d, "list templates", scanTemplate, selectTemplate+" WHERE account = $1"+page, account, like, limit, offset)
}

// CountTemplates implements [store.Templates].
func (d *DB) CountTemplates(ctx context.Context, account int64) (int, error) {
	return one(ctx, d, "count templates", func(row scanner, n *int) error { return row.Scan(n) },
		"SELECT count(*) FROM template WHERE account = $1", account)
}
