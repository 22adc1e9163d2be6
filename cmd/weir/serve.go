package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"weir/config"
	"weir/proxy"
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
	conf, err := c.load(s)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	signal.Ignore(syscall.SIGHUP) // reserved for a reload of the configuration
	defer signal.Stop(signals)
	p, err := proxy.Start(context.Background(), conf, newLogger(s.err, conf.Log))
	if err != nil {
		return err
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

func newLogger(w io.Writer, c config.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level}
	if c.Format == config.FormatJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
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
	for _, w := range conf.Warnings() {
		fmt.Fprintf(s.err, "weir: warning: %s\n", w)
	}
	return conf, nil
}
