package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date, one transaction a migration, under a
// lock that keeps other nodes waiting; it refuses a schema that is newer than
// this program.
func migrate(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) (err error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	// A probe a second, for five minutes.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300), lock.WithUnlockTimeout(1, 30))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	db := stdlib.OpenDBFromPool(pool)
	defer func() {
		if closed := db.Close(); err == nil && closed != nil {
			err = fmt.Errorf("migrations: %w", closed)
		}
	}()
	p, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
	if err != nil {
		return wrap(ctx, "migrations", err)
	}
	newest := int64(0)
	for _, s := range p.ListSources() {
		newest = max(newest, s.Version)
	}
	have, err := schemaVersion(ctx, pool)
	if err != nil || have == newest {
		return err
	}
	if have > newest {
		return fmt.Errorf("the database has schema %d, this program knows %d: start the newer Waypost that wrote it, or restore a backup", have, newest)
	}
	if err := steps(ctx, p, have, newest, log); err != nil {
		return wrap(ctx, "migrate the database", err)
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

// schemaVersion is the newest migration applied, 0 for an empty database.
func schemaVersion(ctx context.Context, pool *pgxpool.Pool) (version int64, err error) {
	var exists bool
	err = pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, goose.DefaultTablename).Scan(&exists)
	if err == nil && exists {
		err = pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+goose.DefaultTablename+` WHERE is_applied`).Scan(&version)
	}
	return version, wrap(ctx, "read the schema version", err)
}
