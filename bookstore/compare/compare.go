// Package compare shows what a pooler changes: it runs the bookstore on a private PostgreSQL, directly and through
// weir in turns, under growing load, and measures both.
//
// Each turn starts the application (and weir) anew as processes of their own and waits until the server is empty again,
// so that no turn inherits the other's connections. The original's situation is kept: the application's pool may open
// more connections than the server takes, and its role is no superuser.
//
// Run owns all that it starts and takes it away again before it returns, however it ends. It imports bookstore's
// packages and internal/pgserver.
package compare

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/bookstore/report"
	"weir/bookstore/store"
	"weir/internal/pgserver"
)

// Options is one comparison.
type Options struct {
	Weir, Bookstore string        // the programs
	Clients         []int         // concurrent clients of each pair of turns
	WarmUp          time.Duration // of one turn, in which the application's pools fill; its requests are not counted
	Duration        time.Duration // of one turn's load
	Path            string        // what the clients ask for
	MaxConnections  int           // of PostgreSQL
	PoolSize        int           // of weir
	Progress        *Progress
}

// DefaultOptions are those of the demo, which they keep below two minutes.
func DefaultOptions() Options {
	return Options{
		Clients:        []int{10, 100, 200, 400},
		WarmUp:         2 * time.Second,
		Duration:       5 * time.Second,
		Path:           "/async_books/",
		MaxConnections: 100,
		PoolSize:       20,
	}
}

// reserved is PostgreSQL's default of superuser_reserved_connections.
const reserved = 3

// The role and the database that the application uses.
const (
	roleName     = "bookstore"
	databaseName = "bookstore"
)

// stage is what the turns have in common.
type stage struct {
	opts     Options
	server   *pgserver.Server
	password string    // of roleName
	dir      string    // for logs and weir's configuration
	observer *pgx.Conn // a superuser's: it has a place when nobody else has
}

// Run compares. Cancelling ctx ends it with ctx's error.
func Run(ctx context.Context, opts Options) (*report.Report, error) {
	s := &stage{opts: opts, password: rand.Text()}
	defer s.close()
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	result := &report.Report{Setup: s.setup()}
	for i, clients := range opts.Clients {
		for j, way := range []report.Way{report.Direct, report.Weir} {
			t := turn{stage: s, way: way, clients: clients, number: 2*i + j + 1}
			row, err := t.run(ctx)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				return nil, fmt.Errorf("%d clients, %s: %w", clients, way, err)
			}
			result.Rows = append(result.Rows, row)
		}
	}
	return result, nil
}

// prepare starts the server and fills it.
func (s *stage) prepare(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "weir-compare-"); err != nil {
		return fmt.Errorf("make a folder for logs: %w", err)
	}
	s.opts.Progress.say("starting a private PostgreSQL with max_connections = %d", s.opts.MaxConnections)
	s.server, err = pgserver.Start(ctx, pgserver.Options{
		Password: rand.Text(),
		Auth:     "scram-sha-256",
		Settings: map[string]string{
			"max_connections":                strconv.Itoa(s.opts.MaxConnections),
			"superuser_reserved_connections": strconv.Itoa(reserved),
		},
		Progress: func(line string) { s.opts.Progress.say("%s", line) },
	})
	if err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	err = s.server.Exec(ctx, "postgres", fmt.Sprintf("CREATE ROLE %s LOGIN NOSUPERUSER PASSWORD '%s'", roleName, s.password))
	if err != nil {
		return err
	}
	if err := s.server.CreateDatabase(ctx, databaseName, roleName); err != nil {
		return err
	}
	books, err := store.Open(ctx, store.Options{DSN: s.directDSN(), SyncConns: 1, AsyncConns: 1})
	if err != nil {
		return err
	}
	defer books.Close()
	if err := books.Migrate(ctx); err != nil {
		return err
	}
	if err := books.Seed(ctx, store.DefaultSeeding()); err != nil {
		return err
	}
	s.observer, err = pgx.Connect(ctx, s.server.DSN(databaseName))
	if err != nil {
		return fmt.Errorf("connect to watch pg_stat_activity: %w", err)
	}
	return nil
}

func (s *stage) setup() report.Setup {
	pools := store.DefaultOptions() // those of `bookstore serve`, which the turns start without flags
	return report.Setup{
		Server:         s.server.Version(),
		Path:           s.opts.Path,
		Cores:          runtime.GOMAXPROCS(0),
		MaxConnections: s.opts.MaxConnections,
		Reserved:       reserved,
		PoolConns:      pools.SyncConns + pools.AsyncConns + pools.AsyncOverflow,
		PoolSize:       s.opts.PoolSize,
		WarmUp:         s.opts.WarmUp,
		Pss:            runtime.GOOS == "linux",
	}
}

func (s *stage) directDSN() string { return s.server.DSN(databaseName, roleName, s.password) }

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
