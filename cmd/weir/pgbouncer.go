package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"weir/config"
	"weir/proxy/descriptors"
)

// pgbouncerCmd is PgBouncer's own command line: `weir pgbouncer.ini` serves such a file as it is.
type pgbouncerCmd struct {
	Daemon  bool   `short:"d" help:"Run in the background; needs pidfile, and logfile or syslog."`
	Quiet   bool   `short:"q" help:"No log on standard error."`
	Verbose int    `short:"v" type:"counter" help:"Log more; may be repeated."`
	User    string `short:"u" placeholder:"NAME" help:"Account to change to when started as root."`
	Version bool   `short:"V" help:"Print the version and exit."`
	File    string `arg:"" optional:"" name:"FILE" help:"PgBouncer's configuration file."`
}

// isPgBouncer reports whether a command line is PgBouncer's: options of its own or a file where a command of weir's would stand.
func isPgBouncer(args []string, commands []string) bool {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case a == "-u" || a == "--user":
			i++
		case a == "-h" || a == "--help" || a == "--version":
			return false // weir's own, unless there is a file as well
		case strings.HasPrefix(a, "-"):
			if !isPgBouncerOption(a) {
				return false
			}
			if a == "-V" {
				return true
			}
		default:
			return !slices.Contains(commands, a) && (i > 0 || strings.ContainsAny(a, "./"))
		}
	}
	return false
}

func isPgBouncerOption(a string) bool {
	if long, ok := strings.CutPrefix(a, "--"); ok {
		name, _, _ := strings.Cut(long, "=")
		return slices.Contains([]string{"daemon", "quiet", "verbose", "user", "reboot"}, name)
	}
	return len(a) > 1 && (a[1] == 'u' || strings.Trim(a[1:], "dqvRV") == "")
}

// newPgBouncerParser describes that command line.
func newPgBouncerParser(name string, c *pgbouncerCmd, s streams, exit func(int)) *kong.Kong {
	parser, err := kong.New(c,
		kong.Name(name),
		kong.Description("Serves a configuration file of PgBouncer's as it is. weir's own commands: weir --help."),
		kong.Writers(s.out, s.err),
		kong.Exit(exit),
	)
	if err != nil {
		panic(err) // a wrong tag
	}
	return parser
}

// runPgBouncer is run for such a command line, of a program called name.
func runPgBouncer(name string, args []string, s streams) int {
	var c pgbouncerCmd
	helped := false
	parser := newPgBouncerParser(name, &c, s, func(int) { helped = true })
	if slices.ContainsFunc(args, func(a string) bool { return a == "--reboot" || a == "-R" }) {
		fmt.Fprintln(s.err, "weir: -R is gone, as in PgBouncer 1.26: a second weir may listen beside the first (so_reuseport)")
		return exitFailed
	}
	_, err := parser.Parse(args)
	switch {
	case helped:
		return exitOK
	case err == nil && c.Version:
		return failOf(s.err, printPgBouncerVersion(s.out), name)
	case err == nil && c.File == "":
		err = usageError{fmt.Errorf("no configuration file specified")}
	case err != nil:
		err = usageError{err}
	default:
		err = c.serve(s)
	}
	return failOf(s.err, err, name)
}

func printPgBouncerVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "PgBouncer %s\n%s\n", config.PgBouncerVersion, versionLine(debug.ReadBuildInfo()))
	return err
}

// serve serves the file until told to stop.
func (c *pgbouncerCmd) serve(s streams) (err error) {
	conf, err := c.load()
	if err != nil {
		return err
	}
	var here *background
	if c.Daemon {
		switch {
		case conf.Process.PIDFile == "":
			return errors.New("daemon needs pidfile configured")
		case conf.Log.File == "" && !conf.Log.Syslog:
			return errors.New("daemon needs logfile or syslog configured")
		}
		var parent bool
		if here, parent, err = toBackground(); parent || err != nil {
			return err
		}
		defer func() { here.failed(err) }()
	}
	signal.Ignore(syscall.SIGPIPE)
	if err := descriptors.Enough(); err != nil {
		return err
	}
	return serveConfig(conf, c.load, s, here.started)
}

// load reads the file. Options win.
func (c *pgbouncerCmd) load() (*config.Config, error) {
	result, err := readPgBouncer(c.File, "")
	if err != nil {
		return nil, err
	}
	if result.Unservable != nil {
		return nil, result.Unservable
	}
	conf := result.Served()
	if c.User != "" {
		conf.Process.User = c.User
	}
	if c.Verbose > 0 {
		conf.Log.Level = slog.LevelDebug
	}
	conf.Log.Stderr = !c.Quiet && !c.Daemon
	return conf, nil
}
