// Command run makes an installation with one of the scenes of package seed, in
// a directory that waypost serve --data opens, or in a PostgreSQL database. It
// prints what to log in with. It is for looking at the dashboard by hand, and
// refuses a database that has an installation already.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/waypost-mail/waypost/internal/secret"
	"github.com/waypost-mail/waypost/internal/store"
	"github.com/waypost-mail/waypost/internal/store/postgres"
	"github.com/waypost-mail/waypost/internal/store/sqlite"
	"github.com/waypost-mail/waypost/test/seed"
)

func main() {
	data := flag.String("data", "", "directory of the installation; its database must not exist yet")
	database := flag.String("database", "", "postgres://… instead of SQLite in the directory")
	scene := flag.String("scene", "busy", "new, empty, busy, trouble or large")
	perDay := flag.Int("per-day", 1500, "messages a day of the busy scene")
	events := flag.Int("events", 5_000_000, "events of the large scene")
	flag.Parse()
	if err := run(context.Background(), *data, *database, *scene, *perDay, *events); err != nil {
		fmt.Fprintln(os.Stderr, "seed:", err)
		os.Exit(1)
	}
	fmt.Printf("log in as %s with the password %q\n", seed.Email, seed.Password)
}

func run(ctx context.Context, data, database, scene string, perDay, events int) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	box, err := secret.OpenOrCreate(filepath.Join(data, "secret.key"))
	if err != nil {
		return err
	}
	var clock seed.Clock
	var s store.Store
	if database != "" {
		s, err = postgres.Open(ctx, database, postgres.Options{Now: clock.Now})
	} else {
		s, err = sqlite.Open(ctx, filepath.Join(data, "waypost.db"), sqlite.Options{Now: clock.Now})
	}
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	var made *seed.Scene
	switch scene {
	case "new":
		made, err = seed.New(ctx, s, time.Now())
	case "empty":
		made, err = seed.Empty(ctx, s, time.Now())
	case "busy":
		made, err = seed.Busy(ctx, s, time.Now(), perDay)
	case "trouble":
		made, err = seed.Trouble(ctx, s, time.Now())
	case "large":
		made, err = seed.Large(ctx, s, time.Now(), &clock, events, func(day, of int) {
			if day%10 == 0 {
				fmt.Printf("%d of %d days\n", day, of)
			}
		})
	default:
		err = fmt.Errorf("there is no scene %q", scene)
	}
	if err != nil {
		return err
	}
	return made.Sign(box)
}
