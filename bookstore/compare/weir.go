package compare

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// weirProcess is a proxy of a turn: one that we started, or somebody's, of which we know the metrics at most.
// Its methods do nothing on nil: the direct way has no proxy.
type weirProcess struct {
	*program        // nil when it is somebody's
	address  string // host:port for clients, of one that we started
	metrics  string // URL; empty: unknown
}

func (w *weirProcess) stop() {
	if w != nil {
		w.program.stop()
	}
}

func (w *weirProcess) running() error {
	if w == nil {
		return nil
	}
	return w.program.running()
}

// startWeir runs weir in front of the private server.
func (s *stage) startWeir(ctx context.Context) (*weirProcess, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	metrics, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, "weir.toml")
	if err := os.WriteFile(file, []byte(s.weirConfig(address, metrics)), 0o600); err != nil {
		return nil, fmt.Errorf("write weir's configuration: %w", err)
	}
	w := &weirProcess{address: address, metrics: "http://" + metrics + "/metrics"}
	if w.program, err = startProgram(s.logPath("weir"), nil, s.opts.Weir, "serve", "-c", file); err != nil {
		return nil, fmt.Errorf("start weir: %w", err)
	}
	err = w.waitReady(ctx, func(ctx context.Context) error {
		conn, err := connect(ctx, s.proxiedDSN(address), "bookstore compare")
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
	if err != nil {
		w.stop()
		return nil, fmt.Errorf("start weir: %w", err)
	}
	return w, nil
}

// weirConfig is all that a user would write. Every value is ours and free of quotes. min_pool_size keeps the pool at
// its size, so that PostgreSQL's memory is the same whatever the load.
func (s *stage) weirConfig(address, metrics string) string {
	host, port, _ := net.SplitHostPort(s.server.Addr()) // a server's address has both
	return strings.NewReplacer(
		"ADDRESS", address, "METRICS", metrics, "SIZE", fmt.Sprint(s.opts.PoolSize),
		"DATABASE", databaseName, "HOST", host, "PORT", port, "ROLE", roleName, "PASSWORD", s.password,
	).Replace(`[listen]
addresses = ["ADDRESS"]

[http]
address = "METRICS"

[auth]
type = "scram-sha-256"

[pool]
mode = "transaction"
pool_size = SIZE
min_pool_size = SIZE

[databases.DATABASE]
host = "HOST"
port = PORT

[users.ROLE]
password = "PASSWORD"
`)
}

// freeAddress is a loopback address that nobody listens on just now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
