package main

import (
	"context"
	"os"

	"weir/bookstore/compare"
)

type demoCmd struct {
	programs
	Out string `default:"out/demo" placeholder:"DIR" help:"Where the report goes (${default})."`
}

// Run is compare --quick.
func (c *demoCmd) Run(ctx context.Context, s streams) error {
	opts := compare.DefaultOptions()
	opts.Quick()
	_, err := runComparison(ctx, s, c.programs, opts, c.Out)
	return err
}

// isTerminal says whether what is written appears on a screen that can move its cursor.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" || os.Getenv("TERM") == "" {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
