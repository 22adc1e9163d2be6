package compare

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// startWeir runs weir in front of the server and returns the DSN that leads through it.
func (s *stage) startWeir(ctx context.Context) (weir *child, dsn string, err error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	metrics, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(s.dir, "weir.toml")
	if err := os.WriteFile(file, []byte(s.weirConfig(address, metrics)), 0o600); err != nil {
		return nil, "", fmt.Errorf("write weir's configuration: %w", err)
	}
	weir, err = startChild(s.logPath("weir"), nil, s.opts.Weir, "serve", "-c", file)
	if err != nil {
		return nil, "", fmt.Errorf("start weir: %w", err)
	}
	u := url.URL{
		Scheme: "postgres", Host: address, Path: "/" + databaseName,
		User: url.UserPassword(roleName, s.password), RawQuery: "sslmode=disable",
	}
	err = weir.waitReady(ctx, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, u.String())
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
	if err != nil {
		weir.stop()
		return nil, "", fmt.Errorf("start weir: %w", err)
	}
	return weir, u.String(), nil
}

// weirConfig is all that a user would write. Every value is ours and free of quotes.
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
