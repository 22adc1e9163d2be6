package main

import (
	"fmt"

	"weir/config"
)

type checkCmd struct {
	Config string `short:"c" required:"" placeholder:"FILE" help:"Configuration file."`
}

// Run prints what holds, as TOML with secrets masked, on one stream and warnings on the other. What is wrong with the
// file is the error.
func (c *checkCmd) Run(s streams) error {
	conf, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	for _, w := range conf.Warnings() {
		fmt.Fprintf(s.err, "weir: %s: warning: %s\n", c.Config, w)
	}
	return conf.WriteTOML(s.out)
}
