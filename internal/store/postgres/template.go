package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/waypost-mail/waypost"
	"github.com/waypost-mail/waypost/internal/store"
)

const templateColumns = `id, account, name, subject, html, body, design, created, updated`

func scanTemplate(row pgx.CollectableRow) (t waypost.Template, err error) {
	var created, updated int64
	err = row.Scan(&t.ID, &t.Account, &t.Name, &t.Subject, &t.HTML, &t.Text, &t.Design, &created, &updated)
	t.Created, t.Updated = moment(created), moment(updated)
	return t, err
}

// CreateTemplate stores a template.
func (d *DB) CreateTemplate(ctx context.Context, t *waypost.Template) error {
	return wrap(ctx, "create template "+t.Name, d.pool.QueryRow(ctx,
		`INSERT INTO template (account, name, subject, html, body, design, created, updated)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id`, t.Account, clean(t.Name), clean(t.Subject), clean(t.HTML), clean(t.Text),
		clean(t.Design), millis(t.Created), millis(t.Updated)).Scan(&t.ID))
}

// UpdateTemplate stores everything of a template but its creation.
func (d *DB) UpdateTemplate(ctx context.Context, t *waypost.Template) error {
	return d.change(ctx, "update template "+t.Name, `UPDATE template SET name = $3, subject = $4, html = $5, body = $6, design = $7,
updated = $8 WHERE id = $1 AND account = $2`, t.ID, t.Account, clean(t.Name), clean(t.Subject), clean(t.HTML), clean(t.Text),
		clean(t.Design), millis(t.Updated))
}

// DeleteTemplate deletes a template of an account.
func (d *DB) DeleteTemplate(ctx context.Context, account, id int64) error {
	return d.change(ctx, fmt.Sprintf("delete template %d", id), `DELETE FROM template WHERE id = $1 AND account = $2`, id, account)
}

// Template finds a template of an account.
func (d *DB) Template(ctx context.Context, account, id int64) (waypost.Template, error) {
	return one(ctx, d, fmt.Sprintf("template %d", id), scanTemplate,
		`SELECT `+templateColumns+` FROM template WHERE id = $1 AND account = $2`, id, account)
}

// TemplateByName finds a template of an account by its name.
func (d *DB) TemplateByName(ctx context.Context, account int64, name string) (waypost.Template, error) {
	return one(ctx, d, "template "+name, scanTemplate,
		`SELECT `+templateColumns+` FROM template WHERE account = $1 AND name = $2`, account, clean(name))
}

// Templates lists the templates of an account.
func (d *DB) Templates(ctx context.Context, account int64, p store.Page) ([]waypost.Template, error) {
	return listPage(ctx, d, "list templates", scanTemplate, templateColumns, "template", "account", account, p)
}

// CountTemplates counts the templates of an account.
func (d *DB) CountTemplates(ctx context.Context, account int64) (n int, err error) {
	err = d.pool.QueryRow(ctx, `SELECT count(*) FROM template WHERE account = $1`, account).Scan(&n)
	return n, wrap(ctx, "count templates", err)
}
