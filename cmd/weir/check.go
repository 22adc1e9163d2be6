package main

import (
	"fmt"

	"weir/config"
)

type checkCmd struct {
	Config string `short:"c" required:"" placeholder:"FILE" help:"Configuration file."`
	Diff   string `placeholder:"OLD" help:"Print what a weir that runs with this file would change when it reads FILE anew, and what needs a restart, rather than what holds."`
}

// Run prints what holds, as TOML with secrets masked, or what a reload would change, on one stream and warnings on the other. What is
// wrong with the file is the error.
func (c *checkCmd) Run(s streams) error {
	conf, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	for _, w := range conf.Warnings() {
		fmt.Fprintf(s.err, "weir: %s: warning: %s\n", c.Config, w)
	}
	if c.Diff == "" {
		return conf.WriteTOML(s.out)
	}
	old, err := config.Load(c.Diff)
	if err != nil {
		return err
	}
	for _, change := range conf.Changes(old) {
		fmt.Fprintln(s.out, change)
	}
	return nil
}
