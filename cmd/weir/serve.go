package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"weir/config"
	"weir/proxy"
	"weir/proxy/descriptors"
	"weir/proxy/logline"
)

type serveCmd struct {
	Config   string   `short:"c" placeholder:"FILE" help:"Configuration file. Without one weir listens on 127.0.0.1:6432, trusts its clients, and forwards to the server that PGHOST and PGPORT name, or localhost:5432."`
	To       string   `placeholder:"DSN" help:"Server to forward to: postgres://[user[:password]@]host[:port][/dbname] or key=value pairs. Replaces [databases.\"*\"]."`
	Listen   []string `sep:"none" placeholder:"ADDR" help:"Address to listen on, host:port; may be repeated. Replaces [listen] addresses."`
	HTTP     *string  `name:"http" placeholder:"ADDR" help:"Address for metrics and health, empty for none. Replaces [http] address."`
	LogLevel string   `placeholder:"LEVEL" help:"debug, info, warn or error. Replaces the level in the file."`
}

// Run serves until it is told to stop: the first SIGTERM or SIGINT drains, the second stops at once. SIGHUP has the configuration read
// and the log's file opened anew.
func (c *serveCmd) Run(s streams) error {
	signal.Ignore(syscall.SIGPIPE) // a reader of the log that has ended does not end weir
	conf, err := c.load(s)
	if err != nil {
		if c.Config != "" && config.WantsJSON(c.Config) {
			return refuseAsJSON(s, err)
		}
		return err
	}
	return serveConfig(conf, func() (*config.Config, error) { return c.load(s) }, s, func() {})
}

// serveConfig is Run with what was read. load reads it anew. started is called when weir serves.
func serveConfig(conf *config.Config, load func() (*config.Config, error), s streams, started func()) error {
	keepToMemory()
	if err := becomeUser(conf.Process.User); err != nil {
		return err
	}
	caught := catchSignals(conf.PgBouncer)
	defer caught.release()
	removePIDFile, err := writePIDFile(conf.Process.PIDFile) // whoever reads it may send signals
	if err != nil {
		return err
	}
	defer removePIDFile()
	level := new(slog.LevelVar)
	level.Set(conf.Log.Level)
	logger, outputs, err := openLogs(conf, level, s.err)
	if err != nil {
		return err
	}
	defer outputs.close()
	for _, w := range conf.Warnings() {
		logger.Warn("configuration", "warning", w)
	}
	if err = descriptors.Enough(); err == nil {
		err = serve(conf, logger, outputs, caught, started, proxy.Options{Level: level, Load: load, Version: version(debug.ReadBuildInfo())})
	}
	if err == nil || conf.Log.Stderr && conf.Log.Format != config.FormatJSON {
		return err
	}
	logger.Error("weir cannot serve", "error", err)
	if conf.Log.Format == config.FormatJSON {
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
func serve(conf *config.Config, logger *slog.Logger, outputs *logOutputs, caught *caughtSignals, started func(), options proxy.Options) error {
	supervisor := supervise(&options)
	p, err := proxy.Start(context.Background(), conf, logger, options)
	if err != nil {
		return err
	}
	started()
	drain := func(os.Signal) { p.Drain() }
	if conf.PgBouncer {
		caught.followPgBouncers(p, logger)
		drain = func(s os.Signal) {
			if s == syscall.SIGINT {
				p.DrainServers()
			} else {
				p.DrainClients()
			}
		}
	}
	go supervisor.watch(p)
	go each(caught.hangUps, p.Stopped(), func() { // so that a signal that stops does not wait for a reload
		if err := outputs.reopen(); err != nil {
			logger.Error("the log's file cannot be opened anew; the former stays in use", "error", err)
		}
		_ = p.Reload() // the log says why not
	})
	for stop := drain; ; stop = func(os.Signal) { p.Stop() } {
		select {
		case s := <-caught.stops:
			stop(s)
		case <-p.Stopped():
			return nil
		}
	}
}

// caughtSignals are those that weir gives a meaning of its own. They are caught before anybody can know the process: one that came earlier
// would end it on the spot.
type caughtSignals struct {
	stops, hangUps         chan os.Signal
	quits, pauses, resumes chan os.Signal // PgBouncer's; nothing comes with a weir.toml
}

func catchSignals(pgbouncer bool) *caughtSignals {
	s := &caughtSignals{stops: make(chan os.Signal, 2)}
	for _, one := range []*chan os.Signal{&s.hangUps, &s.quits, &s.pauses, &s.resumes} {
		*one = make(chan os.Signal, 1)
	}
	signal.Notify(s.stops, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(s.hangUps, syscall.SIGHUP)
	if pgbouncer {
		signal.Notify(s.quits, syscall.SIGQUIT)
		signal.Notify(s.pauses, syscall.SIGUSR1)
		signal.Notify(s.resumes, syscall.SIGUSR2)
	}
	return s
}

func (s *caughtSignals) release() {
	for _, one := range []chan os.Signal{s.stops, s.hangUps, s.quits, s.pauses, s.resumes} {
		signal.Stop(one)
	}
}

// followPgBouncers has the signals that only PgBouncer knows do what they do there, until the proxy has stopped: SIGQUIT ends weir at once,
// SIGUSR1 pauses all databases, SIGUSR2 resumes them.
func (s *caughtSignals) followPgBouncers(p *proxy.Proxy, log *slog.Logger) {
	go each(s.quits, p.Stopped(), p.Stop)
	go each(s.pauses, p.Stopped(), func() {
		go func() { // it returns when the last backend is closed
			if err := p.Pause(); err != nil {
				log.Info("got SIGUSR1, not paused", "reason", err)
			}
		}()
	})
	go each(s.resumes, p.Stopped(), func() {
		switch err := p.Resume(); {
		case err != nil && p.Ready() != nil:
			log.Info("got SIGUSR2 while shutting down, ignoring")
		case err != nil:
			log.Info("got SIGUSR2, nothing to resume", "reason", err)
		}
	})
}

// each calls do for every signal that comes, until over.
func each(signals <-chan os.Signal, over <-chan struct{}, do func()) {
	for {
		select {
		case <-signals:
			do()
		case <-over:
			return
		}
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
