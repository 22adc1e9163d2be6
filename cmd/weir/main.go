// Command weir is a connection-pooling proxy in front of PostgreSQL.
//
// main parses the command line and turns an error into an exit code; each command is a file with a struct of its
// flags and a Run. Exit codes: 0 it went well, 1 it did not, 2 the command line was wrong. Nothing but main exits,
// and nothing writes but to the streams it was handed, so tests run the commands as a shell does.
//
// May import config, proxy, proxy/logline and the command-line library.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// streams is the world as a command sees it.
type streams struct {
	out io.Writer                   // what was asked for
	err io.Writer                   // warnings, errors, logs
	env func(string) (string, bool) // the environment
}

type cli struct {
	Serve   serveCmd   `cmd:"" help:"Serve clients until told to stop."`
	Check   checkCmd   `cmd:"" help:"Say what is wrong in a configuration file, or print what holds."`
	Health  healthCmd  `cmd:"" help:"Ask a running weir whether it is well; for health checks."`
	Import  importCmd  `cmd:"" name:"import-pgbouncer" help:"Write the weir.toml that a configuration file of PgBouncer's amounts to."`
	Version versionCmd `cmd:"" help:"Print weir's version."`
	Help    helpCmd    `cmd:"" help:"Say what a command takes."`

	PrintVersion kong.VersionFlag `name:"version" help:"Print weir's version."`
}

// helpCmd is there for its line in the help: help COMMAND is read as COMMAND --help.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"The command."`
}

func main() {
	pgBouncer := filepath.Base(os.Args[0]) == "pgbouncer" // a link of that name
	if pgBouncer || slices.Contains(os.Args[1:], "serve") {
		avoidHugePages()
	}
	if pgBouncer {
		os.Exit(runPgBouncer("pgbouncer", os.Args[1:], streams{out: os.Stdout, err: os.Stderr, env: os.LookupEnv}))
	}
	os.Exit(run(os.Args[1:], streams{out: os.Stdout, err: os.Stderr, env: os.LookupEnv}))
}

// run is main without the process: it returns the exit code.
func run(args []string, s streams) int {
	if isPgBouncer(args, []string{"serve", "check", "health", "import-pgbouncer", "version"}) {
		return runPgBouncer("weir", args, s)
	}
	helped := false
	parser := newParser(s, func(int) { helped = true }) // --help and --version print and want to exit
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	ctx, err := parser.Parse(args)
	switch {
	case helped:
		return exitOK
	case err != nil:
		if parse, ok := errors.AsType[*kong.ParseError](err); ok {
			ctx = parse.Context
		}
		if len(args) > 0 && (strings.HasPrefix(args[0], "-c") || strings.HasPrefix(args[0], "--config")) {
			err = errors.New("what is to be done with the file? \"weir serve -c FILE\" serves it, \"weir check -c FILE\" says what is wrong with it")
		}
		if len(args) > 1 && (args[0] == "serve" || args[0] == "check") && err.Error() == "unexpected argument "+args[1] {
			err = fmt.Errorf("%w; a file is named with -c: weir %s -c %s", err, args[0], args[1])
		}
		return fail(s.err, usageError{err}, ctx)
	}
	return fail(s.err, ctx.Run(s), ctx)
}

// newParser describes the command line.
func newParser(s streams, exit func(int)) *kong.Kong {
	parser, err := kong.New(&cli{},
		kong.Name("weir"),
		kong.Description("A connection-pooling proxy in front of PostgreSQL.\n\n"+
			"With a configuration file of PgBouncer's for a command it takes PgBouncer's place: weir [-d] [-q] [-v] [-u NAME] pgbouncer.ini."),
		kong.Writers(s.out, s.err),
		kong.Exit(exit),
		kong.Vars{"version": versionLine(debug.ReadBuildInfo())},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	)
	if err != nil {
		panic(err) // a wrong tag in a command's struct
	}
	return parser
}

// usageError marks an error as one of the command line's: it exits with 2 and a hint.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errLogged is an error that the log tells of, in the log's own form.
var errLogged = errors.New("see the log")

// fail prints an error, if there is one, and returns the exit code. Lines begin with the program's name, so that they are found in
// a log of many.
func fail(w io.Writer, err error, ctx *kong.Context) int {
	command := "weir"
	if ctx != nil && ctx.Command() != "" {
		command += " " + ctx.Command()
	}
	return failOf(w, err, command)
}

// failOf is fail for what was called as command, which has the help.
func failOf(w io.Writer, err error, command string) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errLogged):
		return exitFailed
	}
	fmt.Fprintf(w, "weir: %s\n", strings.ReplaceAll(err.Error(), "\n", "\nweir: "))
	if _, ok := errors.AsType[usageError](err); !ok {
		return exitFailed
	}
	fmt.Fprintf(w, "Try: %s --help\n", command)
	return exitUsage
}
