package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"weir/config"
	"weir/proxy"
	"weir/proxy/logline"
)

type serveCmd struct {
	Config   string   `short:"c" placeholder:"FILE" help:"Configuration file. Without one weir listens on 127.0.0.1:6432, trusts its clients, and forwards to the server that PGHOST and PGPORT name, or localhost:5432."`
	To       string   `placeholder:"DSN" help:"Server to forward to: postgres://[user[:password]@]host[:port][/dbname] or key=value pairs. Replaces [databases.\"*\"]."`
	Listen   []string `sep:"none" placeholder:"ADDR" help:"Address to listen on, host:port; may be repeated. Replaces [listen] addresses."`
	HTTP     *string  `name:"http" placeholder:"ADDR" help:"Address for metrics and health, empty for none. Replaces [http] address."`
	LogLevel string   `placeholder:"LEVEL" help:"debug, info, warn or error. Replaces the level in the file."`
}

// Run serves until it is told to stop: the first SIGTERM or SIGINT drains, the second stops at once.
func (c *serveCmd) Run(s streams) error {
	signal.Ignore(syscall.SIGPIPE) // a reader of the log that has ended does not end weir
	conf, err := c.load(s)
	if err != nil {
		if c.Config != "" && config.WantsJSON(c.Config) {
			return refuseAsJSON(s, err)
		}
		return err
	}
	return serveConfig(conf, s)
}

// serveConfig is Run with what was read.
func serveConfig(conf *config.Config, s streams) error {
	if err := becomeUser(conf.Process.User); err != nil {
		return err
	}
	removePIDFile, err := writePIDFile(conf.Process.PIDFile)
	if err != nil {
		return err
	}
	defer removePIDFile()
	logger, outputs, err := openLogs(conf, s.err)
	if err != nil {
		return err
	}
	defer outputs.close()
	for _, w := range conf.Warnings() {
		logger.Warn("configuration", "warning", w)
	}
	if err = proxy.EnoughDescriptors(); err == nil {
		err = serve(conf, logger, outputs)
	}
	if err != nil && conf.Log.Format == config.FormatJSON {
		logger.Error("weir cannot serve", "error", err)
		return errLogged
	}
	return err
}

// refuseAsJSON writes what is wrong with a configuration that asks for JSON, a line for each problem.
func refuseAsJSON(s streams, err error) error {
	logger, lines := logline.New(s.err, logline.Options{JSON: true})
	defer lines.Close(lastLinesWait)
	for problem := range strings.Lines(err.Error()) {
		logger.Error("weir cannot serve", "error", strings.TrimSpace(problem))
	}
	return errLogged
}

// serve is Run from the first line of the log to the last.
func serve(conf *config.Config, logger *slog.Logger, outputs *logOutputs) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	defer reopenOnHangup(logger, outputs)()
	p, err := proxy.Start(context.Background(), conf, logger)
	if err != nil {
		return err
	}
	if conf.PgBouncer {
		defer stopOnQuit(p)()
	}
	select {
	case <-signals:
		p.Drain()
	case <-p.Stopped():
	}
	select {
	case <-signals:
		p.Stop()
	case <-p.Stopped():
	}
	return nil
}

// reopenOnHangup opens the log's file anew on SIGHUP, until the function is called.
func reopenOnHangup(logger *slog.Logger, outputs *logOutputs) (end func()) {
	return onSignal(syscall.SIGHUP, func() {
		if err := outputs.reopen(); err != nil {
			logger.Error("the log's file cannot be opened anew; the former stays in use", "error", err)
		}
	})
}

// stopOnQuit ends weir at once on SIGQUIT, as PgBouncer does.
func stopOnQuit(p *proxy.Proxy) (end func()) { return onSignal(syscall.SIGQUIT, p.Stop) }

// onSignal calls do for each signal that comes, until the function is called.
func onSignal(s os.Signal, do func()) (end func()) {
	signals, over := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, s)
	go func() {
		for {
			select {
			case <-signals:
				do()
			case <-over:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(over)
	}
}

// load makes the Config of the file or the environment, and of the flags.
func (c *serveCmd) load(s streams) (*config.Config, error) {
	var conf *config.Config
	var err error
	if c.Config != "" {
		conf, err = config.Load(c.Config)
	} else if conf, err = config.FromEnvironment(s.env, c.To); err != nil && c.To != "" {
		err = usageError{err}
	}
	if err != nil {
		return nil, err
	}
	conf, err = conf.With(config.Flags{To: c.To, Listen: c.Listen, HTTP: c.HTTP, LogLevel: c.LogLevel}, s.env)
	if err != nil {
		return nil, usageError{err}
	}
	return conf, nil
}
