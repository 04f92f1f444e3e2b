package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/waypost-mail/waypost/internal/server"
)

type initCmd struct {
	Data      string `help:"Directory to make the installation in." required:"" placeholder:"DIR"`
	Database  string `help:"postgres://… to keep the installation in PostgreSQL." placeholder:"URL"`
	PublicURL string `name:"public-url" help:"How the world will reach the server." placeholder:"URL"`
	HTTP      string `name:"http" help:"Listen address that serve will have." default:"127.0.0.1:8080" placeholder:"ADDR"`
	JSON      bool   `name:"json" help:"Print the keys as JSON."`
}

// Run creates the installation.
func (c *initCmd) Run(e *env) error {
	keys, err := server.Init(e.ctx, server.Config{
		Data: c.Data, Database: c.Database, PublicURL: c.PublicURL, HTTP: c.HTTP, Log: e.log, Version: version,
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(keys)
	}
	printKeys(e.stdout, &keys)
	return nil
}

func printKeys(w io.Writer, k *server.Keys) {
	fmt.Fprintf(w, `The installation is made. Its keys are shown this once; only hashes of them are kept.

  account API key       %s   (header X-Account-ApiKey)
  sub-account API key   %s   (header X-SubAccount-ApiKey)
  sub-account id        %d
  dashboard             %s
  dashboard password    %s
`, k.AccountAPIKey, k.SubAccountAPIKey, k.SubAccountID, k.DashboardURL, k.DashboardPassword)
}
