package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"weir/bookstore"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Processes that start at once migrate one after the other. What keeps them apart is a row in a table, with a lease
// that its holder renews: an advisory lock of the session would stay on the backend that a transaction pooler gives to
// somebody else, or pin it. A holder that dies is waited for until its lease ends.
const (
	versionTable = "schema_migrations"
	lockTable    = "schema_migrations_lock"
	leaseTime    = 15 * time.Second
	renewEvery   = 3 * time.Second
	lockLookTime = 100 * time.Millisecond
	lockLooksMax = 600 // a minute
)

// Migrate brings the schema up to date. Any number of processes may do so at once, directly or through a pooler.
func (s *Store) Migrate(ctx context.Context) error {
	if err := s.migrate(ctx); err != nil {
		return fmt.Errorf("migrate the schema: %w", classify(err))
	}
	return nil
}

func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresTableLocker(
		lock.WithTableName(lockTable),
		lock.WithTableLeaseDuration(leaseTime), lock.WithTableHeartbeatInterval(renewEvery),
		lock.WithTableLockTimeout(lockLookTime, lockLooksMax),
		// Whoever finds the lock taken looks again; a database that is away is for our caller to wait for.
		lock.WithTableRetryPolicy(func(err error) bool {
			_, text := unavailable(err)
			return text == "" || retryable(err)
		}),
		lock.WithTableLogger(slog.New(slog.DiscardHandler)), // its errors come back to us
	)
	if err != nil {
		return err
	}
	// A pool of its own: goose keeps one connection while it asks for the lock on another, which a pool of one could
	// never give, and none of them shall stay.
	db := stdlib.OpenDB(*s.config)
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		return err // goose would go on trying, and say at last that time was up
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(versionTable), goose.WithLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	done, err := provider.Up(ctx)
	for _, m := range done {
		s.log.Info("migration applied", slog.Int64("version", m.Source.Version), slog.Duration("took", m.Duration))
	}
	return err
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
		if last == nil || ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			last = err // one that our own patience cut short tells nothing
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait %s for the database: %w", patience, last)
		case <-tick.C:
		}
	}
}
