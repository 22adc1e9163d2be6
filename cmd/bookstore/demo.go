package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"weir/bookstore/compare"
)

type demoCmd struct {
	Weir      string        `default:"bin/weir" placeholder:"PATH" help:"The program weir."`
	Bookstore string        `default:"bin/bookstore" placeholder:"PATH" help:"The program bookstore, which serves the shop."`
	Clients   []int         `default:"${clients}" help:"Concurrent clients, one pair of turns for each."`
	WarmUp    time.Duration `default:"${warmUp}" help:"How long each turn warms up, which is not counted."`
	Duration  time.Duration `default:"${duration}" help:"How long each turn's load lasts."`
	Path      string        `default:"${path}" help:"What the clients ask for: /async_books/, /books/ or /authors/."`
}

func (c *demoCmd) Run(ctx context.Context, s streams) error {
	for _, program := range []string{c.Weir, c.Bookstore} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("find a program of the demo: %w (make demo builds both)", err)
		}
	}
	progress := compare.NewProgress(s.err, isTerminal(s.err))
	opts := compare.DefaultOptions()
	opts.Weir, opts.Bookstore = c.Weir, c.Bookstore
	opts.Clients, opts.WarmUp, opts.Duration, opts.Path = c.Clients, c.WarmUp, c.Duration, c.Path
	opts.Progress = progress
	result, err := compare.Run(ctx, opts)
	progress.Done()
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out)
	return result.Write(s.out)
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
