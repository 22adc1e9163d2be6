// Package store keeps the bookstore's data in PostgreSQL; it implements the services of package bookstore.
//
// It reaches the database in two ways on purpose, as the original did with its two engines: pgx's own pool over the
// extended protocol for Joined (joined.go), and database/sql's pool over the simple protocol for everything else. Both
// work directly and through a transaction pooler. A Store is safe for use by any number of goroutines. No method
// returns while it still holds a connection, except to who asked for that with Hold.
//
// It imports bookstore, its stock of books for the seed, pgx, goose for the schema and Prometheus' client.
package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"weir/bookstore"
)

// Options sizes the two pools of a process.
type Options struct {
	DSN string
	// SyncConns is how many connections database/sql's pool may open, and keeps.
	SyncConns int
	// AsyncConns and AsyncOverflow are how many pgx's pool may open together. The original's pool opened the overflow
	// beyond its size when all were busy; pgx's knows one number only, so here they are added.
	AsyncConns, AsyncOverflow int
	// Blobs makes both listings fetch every book's cover and text, which they do not show, as the original's did.
	Blobs bool
	// Log is told what goes well only after a retry, and about migrations; nil is silent.
	Log *slog.Logger
}

// DefaultOptions are the sizes where the original's author ended. With two pools of this size and more than one
// process they exceed what PostgreSQL allows, which is the experiment.
func DefaultOptions() Options { return Options{SyncConns: 150, AsyncConns: 300, AsyncOverflow: 10} }

// asyncMode names prepared statements, as the original's driver did: the names recur in every process, which is a
// pooler's to keep apart.
const asyncMode = pgx.QueryExecModeCacheStatement

// Store is the bookstore's database.
type Store struct {
	sync   *sql.DB
	async  *pgxpool.Pool
	config *pgx.ConnConfig // of sync
	log    *slog.Logger
	counts counts

	booksSQL, joinedSQL string
}

var _ bookstore.Shop = (*Store)(nil)

// Open prepares the pools. It connects to nothing yet: an unreachable database is the first query's error.
func Open(ctx context.Context, opts Options) (*Store, error) {
	syncConfig, err := pgx.ParseConfig(opts.DSN)
	if err != nil {
		return nil, fmt.Errorf("read the DSN: %w", err)
	}
	syncConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	setName(syncConfig)

	asyncConfig, err := pgxpool.ParseConfig(opts.DSN)
	if err != nil {
		return nil, fmt.Errorf("read the DSN: %w", err)
	}
	asyncConfig.ConnConfig.DefaultQueryExecMode = asyncMode
	asyncConfig.MaxConns = int32(max(1, opts.AsyncConns+opts.AsyncOverflow))
	setName(asyncConfig.ConnConfig)
	async, err := pgxpool.NewWithConfig(ctx, asyncConfig)
	if err != nil {
		return nil, fmt.Errorf("make the async pool: %w", err)
	}

	s := &Store{
		sync: stdlib.OpenDB(*syncConfig), async: async, config: syncConfig, log: opts.Log,
		booksSQL: booksSQL(opts.Blobs), joinedSQL: joinedSQL(opts.Blobs),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.sync.SetMaxOpenConns(max(1, opts.SyncConns))
	s.sync.SetMaxIdleConns(max(1, opts.SyncConns)) // keep them, as the original's pool did
	return s, nil
}

// setName shows in pg_stat_activity who holds a connection, unless the DSN says something else.
func setName(c *pgx.ConnConfig) {
	if _, ok := c.RuntimeParams["application_name"]; !ok {
		c.RuntimeParams["application_name"] = "bookstore"
	}
}

// Close closes both pools and waits for connections in use.
func (s *Store) Close() {
	_ = s.sync.Close() // nothing to be done about a connection that ends badly
	s.async.Close()
}

// readyWait bounds the look whether the database answers: who asks decides about sending requests here.
const readyWait = 2 * time.Second

// Ready says why the database does not answer, or nil.
func (s *Store) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	return classify(s.sync.PingContext(ctx))
}

// Superuser says whether the shop's role is one. It should not be: superusers take the places that PostgreSQL reserves
// for administrators who look into a full server.
func (s *Store) Superuser(ctx context.Context) (yes bool, err error) {
	err = s.sync.QueryRowContext(ctx, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&yes)
	return yes, classify(err)
}
