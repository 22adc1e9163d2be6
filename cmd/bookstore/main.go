// Command bookstore is weir's demo application: it serves a small book shop, seeds its database, and shows what a
// pooler changes.
//
// main parses the command line and turns an error into an exit code; each command is a file with a struct of its flags
// and a Run. Exit codes: 0 it went well, 1 it did not, 2 the command line was wrong. Nothing but main exits, and
// nothing writes but to the streams it was handed. A first Ctrl-C or SIGTERM ends a command in good order.
//
// May import bookstore's packages and the command-line library.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"weir/bookstore/fleet"
	"weir/bookstore/store"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// streams is where a command writes.
type streams struct {
	out io.Writer // what was asked for
	err io.Writer // progress, errors, logs
}

type cli struct {
	Serve   serveCmd   `cmd:"" help:"Serve the shop over HTTP."`
	Seed    seedCmd    `cmd:"" help:"Fill the shop's database; repeatable."`
	Health  healthCmd  `cmd:"" help:"Ask a running shop whether it is well; for health checks."`
	Load    loadCmd    `cmd:"" help:"Put HTTP load on the shop and measure what comes back."`
	Compare compareCmd `cmd:"" help:"Compare PostgreSQL used directly and through weir under growing load."`
	Demo    demoCmd    `cmd:"" help:"The same in under three minutes."`
	Report  reportCmd  `cmd:"" help:"Show a comparison's result again."`
	Version versionCmd `cmd:"" help:"Print the bookstore's version."`
	Help    helpCmd    `cmd:"" help:"Say what a command takes."`

	PrintVersion kong.VersionFlag `name:"version" help:"Print the bookstore's version."`
}

// helpCmd is there for its line in the help: help COMMAND is read as COMMAND --help.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"The command."`
}

// release is the version that packages are made of: make packages sets it.
var release string

type versionCmd struct{}

// Run prints one line.
func (versionCmd) Run(s streams) error {
	_, err := fmt.Fprintln(s.out, versionLine())
	return err
}

func versionLine() string {
	version := "development"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		version = info.Main.Version
	}
	if release != "" {
		version = release
	}
	return fmt.Sprintf("bookstore %s, %s, %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	if !fleet.Started() {
		// A second signal ends the program at once. A worker hears the first one twice: where a terminal or systemd tells all
		// processes, its parent tells it again.
		context.AfterFunc(ctx, stop)
	}
	code := run(ctx, os.Args[1:], streams{out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// defaults are the values in the flags' tags that other packages decide.
func defaults() kong.Vars {
	pools, seeding := store.DefaultOptions(), store.DefaultSeeding()
	vars := kong.Vars{
		"version":       versionLine(),
		"syncPool":      strconv.Itoa(pools.SyncConns),
		"asyncPool":     strconv.Itoa(pools.AsyncConns),
		"asyncOverflow": strconv.Itoa(pools.AsyncOverflow),
		"books":         strconv.Itoa(seeding.Books),
		"users":         strconv.Itoa(seeding.Users),
		"admin":         seeding.Admin,
	}
	compareDefaults(vars)
	return vars
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	helped := false
	parser := newParser(ctx, s, func(int) { helped = true }) // --help and --version print and want to exit
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	command, err := parser.Parse(args)
	switch {
	case helped:
		return exitOK
	case err != nil:
		printError(s.err, err)
		fmt.Fprintln(s.err, "Try: bookstore --help")
		return exitUsage
	}
	err = command.Run(s)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(s.err, "bookstore: interrupted")
	default:
		printError(s.err, err)
	}
	return exitFailed
}

// newParser describes the command line.
func newParser(ctx context.Context, s streams, exit func(int)) *kong.Kong {
	parser, err := kong.New(&cli{},
		kong.Name("bookstore"),
		kong.Description("A small book shop on PostgreSQL, weir's demo application."),
		kong.Writers(s.out, s.err),
		kong.Exit(exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		defaults(),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		panic(err) // a wrong tag in a command's struct
	}
	return parser
}

// printError prints an error with the program's name before each of its lines.
func printError(w io.Writer, err error) {
	fmt.Fprintf(w, "bookstore: %s\n", strings.ReplaceAll(err.Error(), "\n", "\nbookstore: "))
}
