package compare

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/bookstore/report"
	"weir/internal/pgserver"
)

// The role and the database that the application uses on a private server.
const (
	roleName     = "bookstore"
	databaseName = "bookstore"
)

// stage is a database that turns run on, with what is needed to look at it.
type stage struct {
	opts     *Options
	server   *pgserver.Server // nil when it is not ours
	password string           // of roleName, on a server of ours
	direct   string           // DSN
	dir      string           // for logs and weir's configuration
	observer *pgx.Conn        // on a server of ours a superuser's: it has a place when nobody else has

	version        string
	maxConnections int
	reserved       int
	poolSize       int           // of the pooler; 0: not known
	postmaster     int           // process id; 0: it cannot be seen from here
	memory         report.Memory // of what kind the sizes are
}

// open makes a stage ready: it starts a server unless one was given, and fills the database.
func (c *comparison) open(ctx context.Context, maxConnections int) (*stage, error) {
	s := &stage{opts: &c.opts, direct: c.opts.Direct, maxConnections: maxConnections, reserved: reserved}
	if err := s.prepare(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) prepare(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "weir-compare-"); err != nil {
		return fmt.Errorf("make a folder for logs: %w", err)
	}
	if s.direct == "" {
		if err := s.startServer(ctx); err != nil {
			return err
		}
	}
	if err := s.seed(ctx); err != nil {
		return err
	}
	if err := s.observe(ctx); err != nil {
		return err
	}
	return s.checkProxy(ctx)
}

// checkProxy tries a pooler that was given before minutes are spent on the other way, and finds its pool's size.
func (s *stage) checkProxy(ctx context.Context) error {
	if s.opts.Proxied == "" {
		s.poolSize = s.opts.PoolSize
		return nil
	}
	conn, err := connect(ctx, s.opts.Proxied, "bookstore compare")
	if err != nil {
		return fmt.Errorf("connect through %s: %w", s.opts.ProxyName, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var database string
	if err := conn.QueryRow(ctx, "SELECT current_database()").Scan(&database); err != nil {
		return fmt.Errorf("query through %s: %w", s.opts.ProxyName, err)
	}
	if s.opts.ProxyMetrics == "" {
		return nil
	}
	metrics, err := scrape(ctx, s.opts.ProxyMetrics)
	if err != nil {
		return fmt.Errorf("ask %s for its metrics: %w", s.opts.ProxyName, err)
	}
	s.poolSize = metrics.poolSize
	return nil
}

func (s *stage) startServer(ctx context.Context) (err error) {
	s.opts.Progress.Say("starting a private PostgreSQL with max_connections = %d", s.maxConnections)
	s.server, err = pgserver.Start(ctx, pgserver.Options{
		Password: rand.Text(),
		Auth:     "scram-sha-256",
		Settings: map[string]string{
			"max_connections":                strconv.Itoa(s.maxConnections),
			"superuser_reserved_connections": strconv.Itoa(reserved),
		},
		Progress: func(line string) { s.opts.Progress.Say("%s", line) },
	})
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	s.password = rand.Text()
	err = s.server.Exec(ctx, "postgres", fmt.Sprintf("CREATE ROLE %s LOGIN NOSUPERUSER PASSWORD '%s'", roleName, s.password))
	if err != nil {
		return err
	}
	s.direct = s.server.DSN(databaseName, roleName, s.password)
	return s.server.CreateDatabase(ctx, databaseName, roleName)
}

// seed lets the application fill its database, as an operator would.
func (s *stage) seed(ctx context.Context) error {
	seed, err := startProgram(s.logPath("seed"), []string{"BOOKSTORE_DSN=" + s.direct}, s.opts.Bookstore, "seed", "--wait", seedWait.String())
	if err != nil {
		return fmt.Errorf("fill the database: %w", err)
	}
	defer seed.stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-seed.Done():
	}
	if seed.Err() != nil {
		return fmt.Errorf("fill the database: bookstore seed says:\n%s", seed.lastWords())
	}
	return nil
}

// seedWait is short: a DSN that is wrong should be told at once.
const seedWait = 5 * time.Second

// observe connects the observer and finds out what can be seen of the server.
func (s *stage) observe(ctx context.Context) (err error) {
	dsn := s.direct
	if s.server != nil {
		dsn = s.server.DSN(databaseName)
	}
	if s.observer, err = connect(ctx, dsn, "bookstore compare"); err != nil {
		return fmt.Errorf("connect to watch pg_stat_activity: %w", err)
	}
	var pid int
	var local bool
	err = s.observer.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('max_connections')::int,
		current_setting('superuser_reserved_connections')::int, pg_backend_pid(),
		coalesce(inet_server_addr() = inet_client_addr(), true)`).Scan(&s.version, &s.maxConnections, &s.reserved, &pid, &local)
	if err != nil {
		return fmt.Errorf("ask the server for its settings: %w", err)
	}
	switch {
	case s.server != nil:
		s.postmaster = s.server.PID()
	case local:
		s.postmaster = postmasterOf(pid)
	}
	if s.postmaster != 0 {
		if _, err := pgserver.UsageOf(s.postmaster); err != nil {
			s.opts.Progress.Say("PostgreSQL's memory cannot be measured: %v", err)
			s.postmaster = 0
		}
	}
	switch {
	case s.postmaster == 0:
	case runtime.GOOS == "linux":
		s.memory = report.Pss
	default:
		s.memory = report.Resident
	}
	return nil
}

// connect opens one connection of our own, through a pooler as well: without named statements.
func connect(ctx context.Context, dsn, name string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the DSN: %w", err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.RuntimeParams["application_name"] = name
	return pgx.ConnectConfig(ctx, config)
}

func (s *stage) setup(c *comparison) report.Setup {
	o := s.opts
	return report.Setup{
		Started: c.started, Machine: machine(), Cores: runtime.GOMAXPROCS(0), Server: "PostgreSQL " + s.version, Proxy: o.ProxyName,
		Asked: o.Path, MaxConnections: s.maxConnections, Reserved: s.reserved,
		Processes: o.Processes, SyncPool: o.SyncPool, AsyncPool: o.AsyncPool, AsyncOverflow: o.AsyncOverflow,
		PoolSize: s.poolSize, WarmUp: o.WarmUp.Seconds(), Duration: o.Duration.Seconds(), Memory: s.memory, Private: s.server != nil,
	}
}

// closeWait bounds the farewell to a server that may no longer answer.
const closeWait = 2 * time.Second

func (s *stage) close() {
	if s.observer != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeWait)
		defer cancel()
		_ = s.observer.Close(ctx)
	}
	if s.server != nil {
		s.server.Stop()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

func (s *stage) logPath(name string) string { return filepath.Join(s.dir, name+".log") }

// sessions counts those of clients by state, without the observer's own.
func (s *stage) sessions(ctx context.Context) (n report.Sessions, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	err = s.observer.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state = 'active'), count(*) FILTER (WHERE state = 'idle'),
		count(*) FILTER (WHERE state LIKE 'idle in transaction%'),
		count(*) FILTER (WHERE state IS NULL OR state NOT IN ('active', 'idle') AND state NOT LIKE 'idle in transaction%')
		FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`).
		Scan(&n.Active, &n.Idle, &n.IdleInTransaction, &n.Other)
	if err != nil {
		return n, fmt.Errorf("count sessions: %w", errors.Join(err, s.serverGone()))
	}
	return n, nil
}

// serverGone explains the end of a server of ours by its own words.
func (s *stage) serverGone() error {
	if s.server == nil || s.observer == nil || !s.observer.IsClosed() {
		return nil
	}
	return fmt.Errorf("PostgreSQL's log ends:\n%s", lastLines(s.server.Log()))
}

// waitEmpty waits until the server has ended the sessions of a turn: the next one shall not find them. On a server that
// is not ours others' sessions may stay; there it gives up in silence.
func (s *stage) waitEmpty(ctx context.Context, before int) error {
	ctx, cancel := context.WithTimeout(ctx, emptyWait)
	defer cancel()
	for {
		n, err := s.sessions(ctx)
		switch {
		case ctx.Err() != nil && s.server == nil:
			return nil
		case err != nil:
			return err
		case n.Total() <= before:
			return nil
		}
		select {
		case <-ctx.Done():
			if s.server == nil {
				return nil
			}
			return fmt.Errorf("%d backends are still there after the turn: %w", n.Total(), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// proxiedDSN leads to the private database through weir at address.
func (s *stage) proxiedDSN(address string) string {
	u := url.URL{
		Scheme: "postgres", Host: address, Path: "/" + databaseName,
		User: url.UserPassword(roleName, s.password), RawQuery: "sslmode=disable",
	}
	return u.String()
}
