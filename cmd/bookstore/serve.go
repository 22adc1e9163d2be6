package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"weir/bookstore/api"
	"weir/bookstore/fleet"
	"weir/bookstore/store"
	"weir/bookstore/storefront"
	"weir/bookstore/token"
)

// serveCmd's sizes are the original's, so they are per process.
type serveCmd struct {
	database
	Listen        string        `default:"127.0.0.1:8000" env:"BOOKSTORE_LISTEN" help:"Where to serve HTTP."`
	Processes     int           `default:"1" env:"BOOKSTORE_PROCESSES" help:"Processes that serve, each with its own pools; the original had two."`
	SyncPool      int           `default:"${syncPool}" env:"BOOKSTORE_SYNC_POOL" help:"Connections that all but /async_books/ may open together, per process."`
	AsyncPool     int           `default:"${asyncPool}" env:"BOOKSTORE_ASYNC_POOL" help:"Connections that /async_books/ may open, per process."`
	AsyncOverflow int           `default:"${asyncOverflow}" env:"BOOKSTORE_ASYNC_OVERFLOW" help:"Connections that it may open beyond these."`
	Blobs         bool          `env:"BOOKSTORE_BLOBS" help:"Let listings fetch every cover and text, as the original's did, and show neither."`
	Hold          bool          `env:"BOOKSTORE_HOLD" help:"Keep a read's connection until its answer is written, as the original did."`
	Secret        string        `env:"BOOKSTORE_SECRET" placeholder:"TEXT" help:"What signs tokens, at least 32 bytes, better set in the environment. Random without it: tokens end with the shop."`
	SecureCookies bool          `env:"BOOKSTORE_SECURE_COOKIES" help:"Keep cookies from travelling in clear text, for a shop behind TLS."`
	WeirMetrics   string        `env:"BOOKSTORE_WEIR_METRICS" placeholder:"URL" help:"weir's metrics, for the page /live: http://host:9127/metrics."`
	Timeout       time.Duration `default:"30s" env:"BOOKSTORE_TIMEOUT" help:"The longest work on one request, the wait for a connection included."`
	Grace         time.Duration `default:"10s" env:"BOOKSTORE_GRACE" help:"How long requests may take to end once told to stop."`
	Seed          bool          `env:"BOOKSTORE_SEED" help:"Fill the database first, as the command seed does."`
	stock
	LogLevel slog.Level `default:"info" env:"BOOKSTORE_LOG_LEVEL" help:"debug, info, warn or error."`
}

// Validate runs when the command line has been read.
func (c *serveCmd) Validate() error {
	if c.Processes < 1 {
		return errors.New("--processes must be at least 1")
	}
	return c.database.Validate()
}

// Bounds on how long a client may take to send its request, and to stay without one. Writing an answer has none: a slow
// reader is what Hold is about.
const (
	headerWait  = 10 * time.Second
	requestWait = time.Minute
	idleWait    = 2 * time.Minute
)

func (c *serveCmd) Run(ctx context.Context, s streams) error {
	log := slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: c.LogLevel}))
	worker, err := fleet.Join()
	if err != nil {
		return err
	}
	if worker != nil {
		return c.serve(worker.WithParent(ctx), log.With(slog.Int("process", worker.Number)), worker.Listener, worker)
	}

	var seeding *store.Seeding
	if c.Seed {
		what := c.seeding()
		seeding = &what
	}
	if err := c.prepare(ctx, log, seeding); err != nil {
		return err
	}
	if c.Secret == "" {
		c.Secret = token.RandomSecret()
		log.Info("no secret is set: a restart logs all readers out")
	}
	if _, err := token.New(c.Secret); err != nil {
		return err
	}
	// No keep-alive probes: a connection without requests ends by idleWait, and setting them up is four system calls for
	// each of the connections that the original's load generator opens, one a request.
	config := net.ListenConfig{KeepAlive: -1}
	listener, err := config.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	log.Info("the bookstore is open", slog.String("address", listener.Addr().String()), slog.Int("processes", c.Processes))
	if c.Processes == 1 {
		return c.serve(ctx, log, listener, nil)
	}
	return fleet.Run(ctx, fleet.Options{
		Listener: listener.(*net.TCPListener), Processes: c.Processes, Grace: c.Grace, Log: log, Stderr: os.Stderr,
		Args: os.Args[1:], Env: []string{"BOOKSTORE_SECRET=" + c.Secret},
	})
}

// serve serves from this process until ctx is done. worker is nil if there is no other.
func (c *serveCmd) serve(ctx context.Context, log *slog.Logger, listener net.Listener, worker *fleet.Worker) error {
	defer listener.Close()
	books, err := store.Open(ctx, store.Options{
		DSN: c.DSN, SyncConns: c.SyncPool, AsyncConns: c.AsyncPool, AsyncOverflow: c.AsyncOverflow, Blobs: c.Blobs, Log: log,
	})
	if err != nil {
		return err
	}
	defer books.Close()
	keys, err := token.New(c.Secret)
	if err != nil {
		return err
	}
	opts := api.Options{Shop: books, Keys: keys, Log: log, Timeout: c.Timeout, Ready: books.Ready}
	if c.Hold {
		opts.Hold = store.Hold
	}
	registry := prometheus.NewRegistry()
	opts.Metrics, opts.Gatherer = registry, registry
	if worker != nil {
		opts.Metrics = prometheus.WrapRegistererWith(worker.Label(), registry)
		all, closeShare, err := worker.Share(registry)
		if err != nil {
			return err
		}
		defer closeShare()
		opts.Gatherer = all
	}
	opts.Metrics.MustRegister(books, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	served := api.New(opts)
	pages := storefront.New(storefront.Options{
		Shop: books, Keys: keys, Log: log, Timeout: c.Timeout, SecureCookies: c.SecureCookies,
		Count: served.Count, Gatherer: opts.Gatherer, WeirMetrics: c.WeirMetrics,
	})
	return c.answer(ctx, log, listener, pages.Handler(served.Handler()))
}

// answer runs the HTTP server, and lets requests end when ctx is done.
func (c *serveCmd) answer(ctx context.Context, log *slog.Logger, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerWait,
		ReadTimeout:       requestWait,
		IdleTimeout:       idleWait,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what strangers cause
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
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
