package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date, one transaction a migration, and
// refuses a database whose schema is newer than this program.
func migrate(ctx context.Context, db *sql.DB, path string, log *slog.Logger) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return wrap("migrations", err)
	}
	newest := int64(0)
	for _, s := range p.ListSources() {
		newest = max(newest, s.Version)
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return refused(path, wrap("read the schema version of "+path, err))
	}
	if have > newest {
		return fmt.Errorf("database %s has schema %d, this program knows %d: start the newer Waypost that wrote it, or restore a backup", path, have, newest)
	}
	if have == newest {
		return nil
	}
	if err := steps(ctx, p, have, newest, log); err != nil {
		return refused(path, wrap("migrate "+path, err))
	}
	return nil
}

// steps applies the migrations one by one and says how far it is: those that
// fill new columns of old rows take minutes on a large database.
func steps(ctx context.Context, p *goose.Provider, have, newest int64, log *slog.Logger) error {
	if log == nil || have == 0 { // a new database takes no time
		log = slog.New(slog.DiscardHandler)
	}
	log.WarnContext(ctx, "bringing the database's schema up to date; on a large database this takes minutes, do not stop it", "from", have, "to", newest)
	for {
		step, err := p.UpByOne(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil
		}
		if err != nil {
			return err
		}
		log.WarnContext(ctx, "a migration is done", "schema", step.Source.Version, "to", newest, "took", step.Duration.Round(time.Millisecond).String())
	}
}

// foreign refuses the database of another program: it has tables, and none of
// ours.
func foreign(ctx context.Context, db *sql.DB, path string) error {
	var tables, ours int
	err := db.QueryRowContext(ctx, "SELECT count(*), count(*) FILTER (WHERE name = $1) FROM sqlite_schema WHERE type = 'table'", goose.DefaultTablename).
		Scan(&tables, &ours)
	switch {
	case err != nil:
		return refused(path, wrap("read the tables of "+path, err))
	case tables > 0 && ours == 0:
		return fmt.Errorf("%s is a database of another program: name another data directory, or move the file away", path)
	}
	return nil
}
