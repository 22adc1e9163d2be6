package pool

import (
	"fmt"
	"time"
)

// defaultMaxDials stands in for MaxDials 0. A login costs PostgreSQL a fork and,
// with SCRAM, some milliseconds of processor time; four at once fill a pool of
// 20 in a few round trips and leave a small server's processors to its queries.
const defaultMaxDials = 4

// Config holds a pool's sizes and timeouts. A timeout of 0 is off.
type Config struct {
	Size        int // backends at most, reserve aside; at least 1
	MinSize     int // backends kept while the pool has clients; above Size it counts as Size
	ReserveSize int // backends above Size for those who wait long; 0 or ReserveTimeout 0: none
	MaxDials    int // dials under way at most; 0 means 4

	// KeepMin has MinSize backends kept without clients, too, from the first Tick
	// until Close.
	KeepMin bool

	// RoundRobin leases the backend that has been idle longest, not the one that
	// was used last.
	RoundRobin bool

	// ReserveTimeout is how long a client waits before the reserve is opened.
	ReserveTimeout time.Duration
	// QueryWaitTimeout is how long a client waits before it is failed.
	QueryWaitTimeout time.Duration
	// ServerLifetime is the age at which a backend is closed when it is not
	// leased. Each backend draws its own, up to a tenth shorter, so that those
	// dialled together do not end together. 0 is never. (PgBouncer's 0 closes
	// a backend after each use, which defeats a pool.)
	ServerLifetime time.Duration
	// ServerIdleTimeout is how long a backend above MinSize may stay unused.
	ServerIdleTimeout time.Duration
	// PoolIdleTimeout is how long a pool without clients keeps its idle
	// backends.
	PoolIdleTimeout time.Duration
	// ServerLoginRetry bounds the back-off after failed dials, the patience of
	// waiters with a server that is away, and the time for which its last error
	// is told to new clients at once. With 0 a first failure fails the waiters,
	// no client is failed without an attempt, and attempts are 100 ms apart.
	ServerLoginRetry time.Duration
	// Patient has waiters wait out a server that is away, for QueryWaitTimeout:
	// another server is expected to take its place. What a server refuses is
	// told to them all the same.
	Patient bool
}

// checked returns cfg with defaults in place. The configuration's reader has
// refused bad values with a line number long before, so here they are bugs.
func (cfg Config) checked() Config {
	for _, n := range []struct {
		name         string
		value, least int64
	}{
		{"Size", int64(cfg.Size), 1},
		{"MinSize", int64(cfg.MinSize), 0},
		{"ReserveSize", int64(cfg.ReserveSize), 0},
		{"MaxDials", int64(cfg.MaxDials), 0},
		{"ReserveTimeout", int64(cfg.ReserveTimeout), 0},
		{"QueryWaitTimeout", int64(cfg.QueryWaitTimeout), 0},
		{"ServerLifetime", int64(cfg.ServerLifetime), 0},
		{"ServerIdleTimeout", int64(cfg.ServerIdleTimeout), 0},
		{"PoolIdleTimeout", int64(cfg.PoolIdleTimeout), 0},
		{"ServerLoginRetry", int64(cfg.ServerLoginRetry), 0},
	} {
		if n.value < n.least {
			panic(fmt.Sprintf("pool: Config.%s is %d, must be at least %d", n.name, n.value, n.least))
		}
	}
	cfg.MinSize = min(cfg.MinSize, cfg.Size)
	if cfg.MaxDials == 0 {
		cfg.MaxDials = defaultMaxDials
	}
	if cfg.ReserveTimeout == 0 {
		cfg.ReserveSize = 0
	}
	return cfg
}
