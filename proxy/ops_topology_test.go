package proxy_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/internal/pgserver"
)

// Unix sockets on both sides: clients come by one, and backends are reached by one.
func TestUnixSockets(t *testing.T) {
	d := database(t)
	dir, err := os.MkdirTemp("", "weir-s-") // short: a socket's name has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := start(t, d, fmt.Sprintf(`
[listen]
addresses = ["127.0.0.1:0"]
unix_socket_dir = %q
unix_socket_mode = "0700"
[databases."*"]
host = %q
port = %d
`, dir, d.Server.SocketDir(), d.Server.Port()))
	_, port, err := net.SplitHostPort(w.Addr)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ".s.PGSQL."+port)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o700 {
		t.Fatalf("the socket: %v, %v", st, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgconn.Connect(ctx, fmt.Sprintf("host=%s port=%s user=postgres dbname=%s", dir, port, d.Name))
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, conn, "SELECT coalesce(inet_server_addr()::text, 'unix')"); got != "unix" {
		t.Errorf("the backend was reached by %s", got)
	}
	if err := conn.Close(ctx); err != nil {
		t.Error(err)
	}
	w.Stop()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// With several loops pools spread over them, and every client finds its own, cancel requests too.
func TestSeveralLoops(t *testing.T) {
	dbs := []*pgserver.Database{database(t), database(t), database(t), database(t)}
	w := start(t, dbs[0], "[loops]\ncount = 3\n[pool]\npool_size = 2")
	var all sync.WaitGroup
	for _, d := range dbs {
		clients := enterMany(t, w, d, 4)
		for _, c := range clients {
			all.Go(func() {
				for range 20 {
					if a, err := c.TryRun("SELECT current_database()"); err != nil || a.First() != d.Name {
						t.Errorf("in %s: %q %v %v", d.Name, a.First(), err, a.Err())
						return
					}
				}
			})
		}
	}
	all.Wait()
	s := w.Proxy.Snapshot()
	if len(s.Loops) != 3 || len(s.Pools) != 4 {
		t.Fatalf("%d loops, %d pools", len(s.Loops), len(s.Pools))
	}
	for i, l := range s.Loops {
		if l.Reads == 0 {
			t.Errorf("loop %d has nothing to do", i)
		}
	}
	for _, d := range dbs {
		c := enter(t, w, d)
		c.inBackground("SELECT pg_sleep(60)")
		// A request that reaches the server before the query has begun there cancels nothing, here as without weir.
		watcher := direct(t, d)
		eventually(t, func() string {
			if n := ask(t, watcher, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"); n != "1" {
				return n + " backends sleep"
			}
			return ""
		})
		eventually(t, func() string {
			cancelRequest(t, w.Addr, c.pid, c.secret)
			for _, p := range w.Proxy.Snapshot().Pools {
				if p.Database == d.Name && p.Totals.Cancels > 0 {
					return ""
				}
			}
			return "the query has not begun"
		})
		refused(t, c.Answer().Err(), "57014")
	}
}
