// Package compare shows what a pooler changes: it runs the same load on the bookstore directly and through weir, in
// turns, with ever more clients, and measures both.
//
// Each turn starts the application (and weir) anew as processes of their own and waits until the server is empty again,
// so that no turn inherits the other's connections; which way goes first alternates, so that a machine that gets slower
// hurts both. The original's situation is kept: two processes, whose pools may open more connections than the server
// takes, and a role that is no superuser. What is missing is started: PostgreSQL, weir; given DSNs are used as they are.
//
// Run owns all that it starts and takes it away again before it returns, however it ends. It imports report, load,
// internal/pgserver, pgx to look into the server, and Prometheus' parser to look into weir.
package compare

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/bookstore/report"
)

// Options is one comparison.
type Options struct {
	Bookstore string // the program
	Weir      string // the program; not needed with Proxied

	// Direct and Proxied are DSNs of one database, on a server and through a pooler that run already. Without them a
	// private server and weir are started.
	Direct, Proxied string
	ProxyName       string // what the pooler is called in the report
	ProxyMetrics    string // URL of weir's metrics, with Proxied; empty: its waits stay unknown

	Clients  []int         // concurrent clients, one pair of turns for each
	WarmUp   time.Duration // of one turn, in which the application's pools fill; its requests are not counted
	Duration time.Duration // of one turn's load
	Patience time.Duration // of the application with one request; its clients have patienceMore
	Path     string        // what the clients ask for; "visit": the front page with its images

	Processes     int // of the application
	SyncPool      int // of each process
	AsyncPool     int
	AsyncOverflow int

	MaxConnections int // of the private PostgreSQL
	PoolSize       int // of weir

	Walk        []int // repeat the direct way with each of these max_connections
	WalkClients int   // concurrent clients then

	Progress *Progress
}

// DefaultOptions are the full ladder, on what the original ended with.
func DefaultOptions() Options {
	return Options{
		ProxyName: "weir",
		Clients:   []int{10, 50, 100, 200, 400, 1000, 2000},
		WarmUp:    3 * time.Second, Duration: 10 * time.Second,
		Patience:  30 * time.Second,
		Path:      "/async_books/",
		Processes: 2, SyncPool: 150, AsyncPool: 300, AsyncOverflow: 10,
		MaxConnections: 400, PoolSize: 20,
		WalkClients: 700, // enough for both processes to want all that their async pools may open
	}
}

// Quick shortens the comparison to what make demo shows, below three minutes.
func (o *Options) Quick() {
	o.Clients = []int{10, 100, 400, 1000}
	o.WarmUp, o.Duration, o.Patience = 2*time.Second, 6*time.Second, 10*time.Second
}

// Visit as Options.Path makes each client visit the front page.
const Visit = "visit"

// reserved is PostgreSQL's default of superuser_reserved_connections.
const reserved = 3

func (o *Options) check() error {
	if (o.Direct == "") != (o.Proxied == "") {
		return errors.New("give both DSNs, the direct and the proxied one, or none")
	}
	if o.Direct != "" && len(o.Walk) > 0 {
		return errors.New("a walk through max_connections needs servers of its own: give no DSN")
	}
	if len(o.Clients) == 0 {
		return errors.New("the ladder has no rungs")
	}
	for _, n := range o.Clients {
		if n < 1 {
			return fmt.Errorf("a rung of %d clients: it must be at least 1", n)
		}
	}
	for _, n := range append([]int{o.MaxConnections}, o.Walk...) {
		if n <= reserved {
			return fmt.Errorf("max_connections is %d, and %d of them are reserved for superusers", n, reserved)
		}
	}
	if o.Patience <= 0 {
		return errors.New("the application needs some patience")
	}
	if o.Duration <= 0 || o.Processes < 1 || o.PoolSize < 1 {
		return errors.New("a comparison needs a duration, a process of the application and a backend for the proxy")
	}
	return nil
}

// Run compares. When it ends early, its error says why, and the report, unless nil, holds the turns that were finished.
func Run(ctx context.Context, opts Options) (*report.Report, error) {
	if err := opts.check(); err != nil {
		return nil, err
	}
	c := &comparison{opts: opts, started: time.Now(), turns: 2*len(opts.Clients) + len(opts.Walk)}
	err := c.ladder(ctx)
	if err == nil {
		err = c.walk(ctx)
	}
	if c.report == nil || len(c.report.Rows)+len(c.report.Walk) == 0 {
		return nil, err
	}
	if err != nil {
		c.report.Unfinished = err.Error()
		if errors.Is(err, context.Canceled) {
			c.report.Unfinished = "it was interrupted"
		}
	}
	return c.report, err
}

// comparison is a run under way.
type comparison struct {
	opts    Options
	started time.Time
	turns   int // in all
	turn    int // the one under way, from 1
	report  *report.Report
}

func (c *comparison) ladder(ctx context.Context) error {
	s, err := c.open(ctx, c.opts.MaxConnections)
	if err != nil {
		return err
	}
	defer s.close()
	c.report = &report.Report{Setup: s.setup(c)}
	for i, clients := range c.opts.Clients {
		ways := []report.Way{report.Direct, report.Proxied}
		if i%2 == 1 {
			ways[0], ways[1] = ways[1], ways[0]
		}
		for _, way := range ways {
			row, err := c.run(ctx, s, way, clients)
			if err != nil {
				return err
			}
			c.report.Rows = append(c.report.Rows, row)
		}
		if i%2 == 1 { // tables show the direct way first
			n := len(c.report.Rows)
			c.report.Rows[n-1], c.report.Rows[n-2] = c.report.Rows[n-2], c.report.Rows[n-1]
		}
	}
	return nil
}

func (c *comparison) walk(ctx context.Context) error {
	for _, maxConnections := range c.opts.Walk {
		err := func() error {
			s, err := c.open(ctx, maxConnections)
			if err != nil {
				return err
			}
			defer s.close()
			row, err := c.run(ctx, s, report.Direct, c.opts.WalkClients)
			if err != nil {
				return err
			}
			c.report.Walk = append(c.report.Walk, row)
			return nil
		}()
		if err != nil {
			return fmt.Errorf("max_connections %d: %w", maxConnections, err)
		}
	}
	return nil
}

func (c *comparison) run(ctx context.Context, s *stage, way report.Way, clients int) (report.Row, error) {
	c.turn++
	t := turn{stage: s, comparison: c, way: way, clients: clients}
	row, err := t.run(ctx)
	if ctx.Err() != nil {
		return row, ctx.Err()
	}
	if err != nil {
		return row, fmt.Errorf("%d clients, %s: %w", clients, t.name(), err)
	}
	return row, nil
}
