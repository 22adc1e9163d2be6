// Package store keeps the bookstore's data in PostgreSQL.
//
// It reaches the database in two ways on purpose, as the original did with its two engines: database/sql's pool over
// the simple protocol (books.go, authors.go), and pgx's own pool over the extended protocol (joined.go). Both work
// directly and through a transaction pooler. A Store is safe for use by any number of goroutines. No method returns
// while it still holds a connection. It imports bookstore and pgx.
package store

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
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
}

// DefaultOptions are the sizes where the original's author ended. With two pools of this size and more than one
// process they exceed what PostgreSQL allows, which is the experiment.
func DefaultOptions() Options { return Options{SyncConns: 150, AsyncConns: 300, AsyncOverflow: 10} }

// asyncMode is how the async pool runs a query with arguments: by the extended protocol. QueryExecModeExec uses the
// unnamed statement, which a transaction pooler can always share. The original's driver named its statements
// (QueryExecModeCacheStatement): a named statement belongs to its backend, so weir pins that backend to the client
// until it keeps track of statements itself. When it does, this is the one line to change.
const asyncMode = pgx.QueryExecModeExec

// Store is the bookstore's database.
type Store struct {
	sync  *sql.DB
	async *pgxpool.Pool
}

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

	s := &Store{sync: stdlib.OpenDB(*syncConfig), async: async}
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

//go:embed schema.sql
var schema string

// schemaLock is the advisory lock that whoever changes the schema or seeds it holds, so that two processes that start
// at once do it one after the other. An arbitrary number. The lock ends with the transaction: a session's lock would
// stay on the backend that a transaction pooler gives to somebody else.
const schemaLock = 0x626f6f6b73 // "books"

// Migrate brings the schema up to date. Any number of processes may do so at once.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.locked(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, schema) // many statements: possible because it has no arguments
		return err
	})
	if err != nil {
		return fmt.Errorf("apply the schema: %w", err)
	}
	return nil
}

func (s *Store) locked(ctx context.Context, do func(pgx.Tx) error) error {
	return classify(pgx.BeginFunc(ctx, s.async, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(schemaLock)); err != nil {
			return err
		}
		return do(tx)
	}))
}

// WaitAndMigrate is Migrate that waits for a database that is still starting or has no free connection.
func (s *Store) WaitAndMigrate(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := s.Migrate(ctx)
		busy := (*bookstore.Error)(nil)
		if !errors.As(err, &busy) || busy.Code != bookstore.Unavailable {
			return err
		}
		if ctx.Err() == nil || last == nil {
			last = err // one that our own patience cut short tells nothing
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait %s for the database: %w", patience, last)
		case <-tick.C:
		}
	}
}
