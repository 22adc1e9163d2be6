// Package bench measures weir beside PgBouncer: CPU time per transaction, memory per idle client, fairness of the
// queue, memory while a peer is slow, and the price of a connect.
//
// A Lab owns a private PostgreSQL and starts targets (proxies in front of it). A suite runs its targets in
// interleaved rounds (A B, B A, ...), so that a noisy neighbour hits all of them, and reports medians and ratios of
// medians. Clients speak the wire protocol by hand (client.go) and share no code with the proxy under test.
//
// Owner: the goroutine that called the suite; suites run one at a time. It imports internal/pgserver and
// internal/testca and, of weir, nothing else. It is no part of any test: figures depend on the machine, so nothing here asserts them.
package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"weir/internal/pgserver"
	"weir/internal/testca"
)

// database and user of all benchmarks. The private server trusts everybody on loopback.
const (
	database = "bench"
	user     = "postgres"
)

// Lab is a running PostgreSQL with pgbench's tables, and the programs that are measured in front of it.
type Lab struct {
	// Programs are the proxies to measure, in the order of the report. Ratios are taken against the last one when
	// that is the rival, see baseline.
	Programs []Program
	// ServerSocket lets proxies reach PostgreSQL through its unix socket instead of TCP.
	ServerSocket bool
	// TLS lets clients and proxies talk TLS; between proxies and PostgreSQL there is none.
	TLS bool
	// Progress is told in one line what runs now.
	Progress func(format string, args ...any)

	pg  *pgserver.Server
	dir string // logs and generated configuration, removed by Close

	cores string // that proxies are kept to; "": all
}

// pgbenchScale is pgbench's smallest: the proxy is measured, not the database.
const pgbenchScale = "1"

// maxConnections leaves room for the backends of several targets at once, pgbench's direct runs and superusers.
const maxConnections = "200"

// Open starts a private PostgreSQL and fills pgbench's tables.
func Open(ctx context.Context, programs []Program, serverSocket bool, progress func(string, ...any)) (*Lab, error) {
	l := &Lab{Programs: programs, ServerSocket: serverSocket, Progress: progress}
	raiseDescriptors()
	progress("starting a private PostgreSQL")
	pg, err := pgserver.Start(ctx, pgserver.Options{
		Settings: map[string]string{"max_connections": maxConnections, "shared_buffers": "128MB", "autovacuum": "off"},
		Progress: func(line string) { progress("%s", line) },
	})
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	l.pg = pg
	if err := l.prepare(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Lab) prepare(ctx context.Context) error {
	// Beside the server's folder, not in it: a target may run as another user and must read its configuration.
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return fmt.Errorf("make the folder for logs: %w", err)
	}
	l.dir = dir
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	l.certify()
	if err := l.pg.CreateDatabase(ctx, database); err != nil {
		return err
	}
	return l.fillPgbench(ctx)
}

// certify makes the proxies' certificate, which the account that runs them may read.
func (l *Lab) certify() {
	ca := testca.New("weirbench")
	cert, key := ca.Localhost().Write(l.dir, "proxy")
	for _, file := range []string{cert, key} {
		_ = os.Chmod(file, 0o644) // else the proxy says that it cannot read it
	}
}

func (l *Lab) fillPgbench(ctx context.Context) error {
	pgbench, err := l.pgbench()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, pgbench, "-i", "-q", "-s", pgbenchScale, l.pg.DSN(database))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fill pgbench's tables: %w\n%s", err, out)
	}
	return nil
}

// pgbench finds the program: a fetched PostgreSQL holds the server's programs only, so it may be missing.
func (l *Lab) pgbench() (string, error) {
	if path := l.pg.Bin("pgbench"); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("find pgbench: not beside PostgreSQL's server programs and not in PATH (Debian: postgresql-contrib or postgresql-15)")
}

// Close stops PostgreSQL and removes logs and generated files. Targets must have been stopped.
func (l *Lab) Close() {
	l.pg.Stop()
	if l.dir != "" {
		_ = os.RemoveAll(l.dir)
	}
}

// baseline is the index of the program that ratios are taken against: the first PgBouncer, or -1.
func (l *Lab) baseline() int {
	for i, p := range l.Programs {
		if p.Kind == PgBouncer {
			return i
		}
	}
	return -1
}

// path is a file in the lab's own folder.
func (l *Lab) path(name string) string { return filepath.Join(l.dir, name) }

// startAll starts every program with the same options; the caller stops them with stopAll.
func (l *Lab) startAll(ctx context.Context, opts targetOptions) ([]*target, error) {
	var targets []*target
	for _, p := range l.Programs {
		t, err := l.start(ctx, p, opts)
		if err != nil {
			stopAll(targets)
			return nil, err
		}
		targets = append(targets, t)
	}
	return targets, nil
}

func stopAll(targets []*target) {
	for _, t := range targets {
		t.stop()
	}
}

// roundOrder is the order in which n targets take their turn in a round: rotated by one each round, so that none is
// always the first after a pause or the one after its rival.
func roundOrder(round, n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = (round + i) % n
	}
	return order
}

// interleave measures every target once per round. Result [i][r] is target i in round r.
func interleave[T any](ctx context.Context, n, rounds int, measure func(ctx context.Context, target, round int) (T, error)) ([][]T, error) {
	samples := make([][]T, n)
	for round := range rounds {
		for _, i := range roundOrder(round, n) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			s, err := measure(ctx, i, round)
			if err != nil {
				return nil, err
			}
			samples[i] = append(samples[i], s)
		}
	}
	return samples, nil
}

// pick takes one figure out of each sample.
func pick[T any](samples []T, figure func(T) float64) []float64 {
	out := make([]float64, len(samples))
	for i, s := range samples {
		out[i] = figure(s)
	}
	return out
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
