package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A transaction that PostgreSQL gave up for another's sake is tried again, after a pause that doubles, until the tries
// are used up: the worst case waits 5 + 10 + 20 + 40 + 80 ms, each plus up to as much again by chance, so that those
// who collided do not collide again.
const (
	triesMax   = 6
	firstPause = 5 * time.Millisecond
)

// retryable says whether the server gave up a transaction that may well succeed if it is begun again.
func retryable(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == serializationFailure || pgErr.Code == deadlockDetected)
}

// retry runs a transaction until it is not given up. once must leave no trace when it fails.
func (s *Store) retry(ctx context.Context, once func() error) error {
	for try, pause := 1, firstPause; ; try, pause = try+1, 2*pause {
		err := once()
		if !retryable(err) || try == triesMax {
			return classify(err)
		}
		s.counts.retries.Add(1)
		s.log.Debug("transaction given up, trying again", slog.Int("try", try), slog.Any("error", err))
		select {
		case <-ctx.Done():
			return classify(err)
		case <-time.After(pause + rand.N(pause)): //nolint:gosec // chance that nobody need fail to guess
		}
	}
}

// read runs a transaction that changes nothing; it ends in ROLLBACK, as the original's did.
func (s *Store) read(ctx context.Context, do func(*sql.Tx) error) error {
	return s.retry(ctx, func() error {
		tx, err := s.sync.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		end := func() { _ = tx.Rollback() } // it only read
		if err := do(tx); err != nil {
			end()
			return err
		}
		endNowOrLater(ctx, end)
		return nil
	})
}

// write runs a transaction and commits it. The level is the database's default, read committed: what must not change
// meanwhile is locked, and who comes second waits instead of failing.
func (s *Store) write(ctx context.Context, do func(*sql.Tx) error) error {
	return s.retry(ctx, func() error {
		tx, err := s.sync.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		if err := do(tx); err != nil {
			_ = tx.Rollback() // do's error is the one to tell
			return err
		}
		return tx.Commit()
	})
}

// holdKey is the place of a hold in a context.
type holdKey struct{}

// hold keeps transactions that have read until they are released.
type hold struct {
	mu   sync.Mutex
	ends []func()
}

// Hold makes reads with this context keep their connection until release, as the original kept it until the whole
// answer was with a reader, however slow. release must be called.
func Hold(ctx context.Context) (held context.Context, release func()) {
	h := new(hold)
	return context.WithValue(ctx, holdKey{}, h), func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, end := range h.ends {
			end()
		}
		h.ends = nil
	}
}

// endNowOrLater ends a transaction that has read, or leaves that to the context's hold.
func endNowOrLater(ctx context.Context, end func()) {
	h, ok := ctx.Value(holdKey{}).(*hold)
	if !ok {
		end()
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ends = append(h.ends, end)
}
