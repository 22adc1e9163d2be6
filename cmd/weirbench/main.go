// Command weirbench measures weir beside PgBouncer on a private PostgreSQL and writes the tables of
// docs/performance.md.
//
//	go run ./cmd/weirbench all                     # everything, some half an hour
//	go run ./cmd/weirbench cpu --quick             # one suite, a look
//	go run ./cmd/weirbench cpu --weir old=/tmp/weir --weir new=bin/weir
//
// Exit codes: 0 done, 1 failed, 2 wrong usage. Whether a goal was met is in the table, not in the exit code: the
// figures are a machine's. It imports internal/bench alone.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	var flags commandLine
	parser, err := kong.New(&flags, kong.Name("weirbench"),
		kong.Description("Measures weir beside PgBouncer on a private PostgreSQL."), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(os.Stderr, "weirbench:", err)
		return 1
	}
	line, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "weirbench:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = flags.measure(ctx, line.Command(), args, os.Stdout, os.Stderr)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "weirbench: interrupted")
		return 1
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "weirbench:", err)
		return 2
	case err != nil:
		fmt.Fprintln(os.Stderr, "weirbench:", err)
		return 1
	}
	return 0
}
