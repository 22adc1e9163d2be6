package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"weir/bookstore/api"
	"weir/bookstore/store"
	"weir/bookstore/token"
)

// database is what every command needs that speaks to the shop's database. The sizes are the original's.
type database struct {
	DSN  string        `name:"dsn" env:"BOOKSTORE_DSN,DATABASE_URL" placeholder:"URL" help:"The database: postgres://... or libpq's key=value form."`
	Wait time.Duration `default:"30s" help:"How long to wait for a database that is not there yet."`
}

// Validate runs when the command line has been read. kong's own check takes an empty variable for a value.
func (d *database) Validate() error {
	if d.DSN == "" {
		return errors.New("no database: give --dsn or set BOOKSTORE_DSN or DATABASE_URL")
	}
	return nil
}

type serveCmd struct {
	database
	Listen        string        `default:"127.0.0.1:8000" help:"Where to serve HTTP."`
	SyncPool      int           `default:"${syncPool}" help:"Connections that /books/ and /authors/ may open together."`
	AsyncPool     int           `default:"${asyncPool}" help:"Connections that /async_books/ may open."`
	AsyncOverflow int           `default:"${asyncOverflow}" help:"Connections that it may open beyond these."`
	Timeout       time.Duration `default:"30s" help:"The longest work on one request, the wait for a connection included."`
	Grace         time.Duration `default:"10s" help:"How long requests may take to end once told to stop."`
	Seed          bool          `help:"Fill the database first, as the command seed does."`
	LogLevel      slog.Level    `default:"info" help:"debug, info, warn or error."`
}

// headerWait bounds how long a client may take to send its request's header.
const headerWait = 10 * time.Second

func (c *serveCmd) Run(ctx context.Context, s streams) error {
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: c.LogLevel}))
	books, err := c.open(ctx, store.Options{SyncConns: c.SyncPool, AsyncConns: c.AsyncPool, AsyncOverflow: c.AsyncOverflow}, c.Seed)
	if err != nil {
		return err
	}
	defer books.Close()

	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	keys, err := token.New(token.RandomSecret())
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           api.New(api.Options{Shop: books, Keys: keys, Log: log, Timeout: c.Timeout, Ready: books.Ready}).Handler(),
		ReadHeaderTimeout: headerWait,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what strangers cause
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	log.Info("the bookstore is open", slog.String("address", listener.Addr().String()))
	select {
	case err := <-ended:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}

	log.Info("closing: requests under way may end", slog.Duration("grace", c.Grace))
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Grace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close() // whoever is left has had the time
		if !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("stop serving HTTP: %w", err)
		}
		log.Warn("requests were cut off", slog.Duration("grace", c.Grace))
	}
	return nil
}

// open prepares the pools and a database that is ready to be used.
func (d *database) open(ctx context.Context, opts store.Options, seed bool) (*store.Store, error) {
	opts.DSN = d.DSN
	books, err := store.Open(ctx, opts)
	if err != nil {
		return nil, err
	}
	err = books.WaitAndMigrate(ctx, d.Wait)
	if err == nil && seed {
		err = books.Seed(ctx, store.DefaultSeeding())
	}
	if err != nil {
		books.Close()
		return nil, err
	}
	return books, nil
}
