package main

import (
	"fmt"

	"github.com/waypost-mail/waypost/internal/server"
)

type personCmd struct {
	Link personLinkCmd `cmd:"" help:"Print a link that logs a person in to the dashboard once, for who is locked out."`
}

type personLinkCmd struct {
	Email     string `arg:"" help:"Address of the person."`
	Owner     bool   `help:"Make the person an owner, and make the person when there is none with the address."`
	Data      string `help:"Directory of the installation." required:"" placeholder:"DIR"`
	Database  string `help:"postgres://… when the installation is in PostgreSQL. With SQLite, stop the server first." placeholder:"URL"`
	PublicURL string `name:"public-url" help:"How the world reaches the server." placeholder:"URL"`
	HTTP      string `name:"http" help:"Listen address of the server." default:"127.0.0.1:8080" placeholder:"ADDR"`
}

// Run makes the link.
func (c *personLinkCmd) Run(e *env) error {
	link, err := server.LoginLink(e.ctx, server.Config{
		Data: c.Data, Database: c.Database, PublicURL: c.PublicURL, HTTP: c.HTTP, Log: e.log, Version: version,
	}, c.Email, c.Owner)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s\nIt works once, within an hour, whatever is set about passwords and single sign-on.\n", link)
	return err
}
